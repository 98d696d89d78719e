"""Attempts at one turn that overtake each other: the history keeps one question and one reply."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from parley.clock import now_ms
from parley.protocol.messages import Message, Settings, TurnEnd
from parley.providers.rules import CallRules
from parley.storage.item_codec import Session, message_key
from parley.storage.sessions import SessionStore
from parley.storage.table import Table
from parley.turn.context import SecondProviders
from tests.unit.fakes import DEADLINE_S, FakeResponder, Wire, broken, until
from tests.unit.memory import REF, own
from tests.unit.stage import Stage

ANSWERED = [("user", "Hello there.", None), ("assistant", "All is well.", None)]


def reply(text: str) -> Message:
    return Message("assistant", text, "t")


@pytest.mark.parametrize(
    ("attempts", "kept"), [((1, 2), 2), ((2, 1), 2), ((2, 2), 2), ((3, 1, 2), 3)]
)
def test_what_a_later_attempt_has_written_stays(
    table: Table, request: pytest.FixtureRequest, attempts: tuple[int, ...], kept: int
) -> None:
    store, ref = SessionStore(table), own(request.node.name)
    store.put_session(Session(ref, "", "c", Settings(), "active"))
    keys = {
        store.put_message(ref, 1, reply(f"Reply {n}."), None, attempt=n)  # in any order
        for n in attempts
    }
    (message,) = store.read_conversation(ref, 9)[1].messages
    assert message.text == f"Reply {kept}."
    assert keys == {message_key(1, message)}


def test_what_does_not_say_which_attempt_wrote_it_is_written_over(
    table: Table, client: Any, request: pytest.FixtureRequest
) -> None:
    store, ref = SessionStore(table), own(request.node.name)
    store.put_session(Session(ref, "", "c", Settings(), "active"))
    key = store.put_message(ref, 1, reply("Before."), None)
    client.update_item(
        TableName="table",
        Key={"pk": {"S": f"SESSION#{ref}"}, "sk": {"S": key}},
        UpdateExpression="REMOVE attempt",
    )
    store.put_message(ref, 1, reply("After."), None)
    (message,) = store.read_conversation(ref, 9)[1].messages
    assert message.text == "After."


class Held:
    """The first reply that a stage's turns write down, held back until a test lets it go."""

    def __init__(self, stage: Stage) -> None:
        self.writing = False
        self._go = threading.Event()
        self._put = stage.store.put_message
        stage.store.put_message = self._held  # type: ignore[method-assign,assignment]  # a race

    def _held(self, *arguments: Any) -> str:
        if arguments[2].role == "assistant" and not self.writing:
            self.writing = True
            assert self._go.wait(DEADLINE_S)
        return self._put(*arguments)

    def let_go(self) -> None:
        self._go.set()


class Looks:
    """Counts how often the turns of a stage have read their inbox."""

    def __init__(self, stage: Stage) -> None:
        self.count = 0
        self._read = stage.store.inboxes.read_inbox
        stage.store.inboxes.read_inbox = self._counted  # type: ignore[method-assign,assignment]  # as before

    def _counted(self, *arguments: Any) -> Any:
        self.count += 1
        return self._read(*arguments)

    async def look(self) -> None:
        """Wait until the one turn that still runs has taken what its inbox holds."""
        enough = self.count + 3  # one of another turn's may be under way, and one is taken
        await until(lambda: self.count >= enough)  # before the next is begun


async def test_a_reply_that_is_written_late_does_not_replace_the_next_attempt_s() -> None:
    stage = Stage(responder=FakeResponder([["Given up."], ["All is well."]]))
    held = Held(stage)
    given_up = asyncio.create_task(stage.run())
    await until(lambda: held.writing)
    first, stage.wire = stage.wire, Wire()
    await stage.run(owner="next", attempt=2)
    held.let_go()
    assert await given_up is None
    assert first.of(TurnEnd) == []
    assert stage.history_texts == ANSWERED


async def test_a_reply_that_is_written_late_goes_with_an_attempt_that_has_none() -> None:
    stage = Stage(responder=FakeResponder([["Given up."], [asyncio.Event()]]), provider_timeout_s=5)
    held = Held(stage)
    given_up = asyncio.create_task(stage.run())
    await until(lambda: held.writing)
    stage.wire = Wire()
    running = asyncio.create_task(stage.run(owner="next", attempt=2))
    await until(lambda: len(stage.responder.prompts) == 2)
    held.let_go()
    assert await given_up is None
    stage.interrupt(0)
    await running
    assert stage.wire.end.reason == "interrupted"
    assert stage.history_texts == [("user", "Hello there.", None)]


async def test_an_attempt_that_is_given_up_while_its_end_is_posted_writes_no_reply() -> None:
    replies: Any = [["Given up.", broken()], [asyncio.Event()]]
    stage = Stage(responder=FakeResponder(replies), provider_timeout_s=5)
    looks = Looks(stage)
    stage.wire.open.clear()
    given_up = asyncio.create_task(stage.run())
    await until(lambda: stage.wire.posting)
    first, stage.wire = stage.wire, Wire()
    await until(lambda: stage.synthesizer.streams and stage.synthesizer.streams[0].closed)
    running = asyncio.create_task(stage.run(owner="next", attempt=2))
    await until(lambda: len(stage.responder.prompts) == 2)
    stage.interrupt(0)
    await running
    await looks.look()
    first.open.set()
    assert await given_up is None
    assert first.of(TurnEnd) == []
    assert stage.history_texts == [("user", "Hello there.", None)]


# --- who may not be asked again -----------------------------------------------------------------

ONCE = CallRules(repeatable=False)


@pytest.mark.parametrize("stage_of_it", ["first", "second"])
async def test_a_workflow_that_may_have_acted_is_not_asked_again_by_a_client_that_returns(
    stage_of_it: str,
) -> None:
    workflow, model = FakeResponder(rules=ONCE), FakeResponder()
    is_first = stage_of_it == "first"
    stage = Stage(
        responder=workflow if is_first else model,
        second=SecondProviders(responder=model if is_first else workflow),
    )
    died(stage)
    await stage.run("Send the mail.")  # sent again, by a client that knows of no failure
    assert (workflow.prompts, model.prompts) == ([], [])
    assert [error.code for error in stage.errors] == ["reply_failed"]
    assert "may have been done" in stage.errors[0].message
    end = stage.wire.end
    assert (end.reason, end.attempt, end.retryable) == ("failed", 2, True)


async def test_a_workflow_is_asked_again_by_a_client_that_asks_for_the_next_attempt() -> None:
    workflow = FakeResponder(rules=ONCE)
    stage = Stage(responder=workflow)
    died(stage)
    await stage.run("Send the mail.", attempt=2)
    assert (stage.wire.end.reason, stage.wire.end.attempt) == ("completed", 2)
    (prompt,) = workflow.prompts
    assert prompt.speaker.turn_id == "t1", "by it, a workflow can tell that it has acted"


async def test_a_model_is_asked_again_by_a_client_that_returns() -> None:
    stage = Stage()
    died(stage)
    await stage.run("Hello there.")
    assert (stage.wire.end.reason, stage.wire.end.attempt) == ("completed", 2)


def died(stage: Stage) -> None:
    """Have the function of the turn's first attempt die, a moment ago."""
    long_ago = now_ms() - 60_000
    stage.store.acquire_lease(REF, "t1", "dead", attempt=None, received_at_ms=long_ago)
    stage.store.fail_turn(REF, "t1", "dead")
    time.sleep(0.005)  # the table tells them apart by the time, in ms
