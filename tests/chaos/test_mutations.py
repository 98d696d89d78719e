"""The ledger has teeth: with a mistake in the turns' code it finds what was done twice.

Here each mistake meets one turn in memory; `make chaos` has it meet conversations on the stack.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from parley.protocol.tool_rounds import ToolCall, ToolCalls
from parley.providers.errors import make_failure
from parley.providers.llm import Prompt, ReplyPiece, ToolOffer
from parley.tools.kinds.webhook import build_tool
from parley.tools.tool import Answer, Invocation, Tool, ToolSpec
from parley.tools.toolbox import Toolbox
from tests.chaos.booked import Book
from tests.chaos.mutations import mutated
from tests.chaos.tool_judge import ToolJudge, Troubles
from tests.chaos.tool_plan import CallPlan, ToolsPlan
from tests.unit.fakes import FakeResponder, Wire
from tests.unit.stage import Stage
from tests.unit.tool_calls import tool_context, tool_spec
from tests.unit.webhook_receiver import broken, receiving

PLAN = ToolsPlan("n-1", ((CallPlan("lambda", "Ada", 0, 0),),))
ARGUMENTS = {"people": 2, "time": "19:30", "name": "Ada", "nonce": "n-1"}
SCHEMA = {"type": "object", "properties": {name: {} for name in ARGUMENTS}}


class Books:
    """A tool that books in the soak's ledger, whatever its key is."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self.booked = threading.Event()

    async def call(self, invocation: Invocation) -> Answer:
        answer = await self._book.book(invocation.arguments)
        self.booked.set()
        return Answer(answer)


class Asks(FakeResponder):
    """A model that wants one booking, and breaks off once it has heard of it as often as said."""

    breaks_off = 0

    async def reply(
        self, prompt: Prompt, asked: Callable[[], None]
    ) -> AsyncGenerator[ReplyPiece, None]:
        asked()
        if not prompt.rounds:
            yield ToolCalls((ToolCall("book_table", json.dumps(ARGUMENTS), "1"),))
            return
        yield "It is booked."
        if self.breaks_off:
            self.breaks_off -= 1
            raise make_failure("reply_failed", "unavailable")


def found_doubled(book: Book) -> int:
    """What the soak's judge says of the sentence."""
    judge = ToolJudge(book, lambda turn_id, nonce: Troubles())
    judge.judge("t1", PLAN, [])
    return judge.verdict.doubled


def stage_with(tool: Tool) -> Stage:
    """A stage whose model books."""
    spec = ToolSpec(ToolOffer("book_table", "Books.", SCHEMA), "fake", effect="write")
    return Stage(responder=Asks(), toolbox=Toolbox((spec,), lambda _: tool))


def again(stage: Stage) -> Stage:
    """The same services, for an attempt with a wire of its own."""
    other = Stage.__new__(Stage)
    other.__dict__.update(stage.__dict__)
    other.wire = Wire()
    return other


@pytest.fixture
def book() -> Book:
    return Book(lambda nonce, moment: None, {"n-1": PLAN})


@pytest.mark.parametrize(("mistake", "doubled"), [("", 0), ("fence", 2)])
async def test_an_attempt_that_stood_still_before_its_record_books_nothing(
    mistake: str, doubled: int, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = Books(book)
    stage = stage_with(tool)
    # As it stands still, it does not hear that another attempt has begun.
    monkeypatch.setattr(stage.store.inboxes, "put_begun", lambda *_: None)
    with mutated(mistake):
        record, asked = stage.rounds.record_round, threading.Event()

        def record_late(*given: Any) -> Any:
            if given[4] == 1:
                asked.set()
                assert tool.booked.wait(5)
            return record(*given)

        monkeypatch.setattr(stage.rounds, "record_round", record_late)
        first = asyncio.create_task(stage.run("Book it.", attempt=1))
        assert await asyncio.to_thread(asked.wait, 5)
        await again(stage).run("Book it.", attempt=2, owner="you")
        await first
    assert found_doubled(book) == doubled


@pytest.mark.parametrize(("mistake", "doubled"), [("", 0), ("replay", 2)])
async def test_a_later_attempt_books_nothing_again(mistake: str, doubled: int, book: Book) -> None:
    stage = stage_with(Books(book))
    assert isinstance(stage.responder, Asks)
    stage.responder.breaks_off = 1
    with mutated(mistake):
        await stage.run("Book it.")
        assert stage.wire.end.reason == "failed"
        later = again(stage)
        await later.run("Book it.", attempt=2)
    assert later.wire.end.reason == "completed"
    assert found_doubled(book) == doubled


@pytest.mark.parametrize(("mistake", "requests"), [("", 1), ("repeat", 2)])
async def test_a_call_whose_answer_is_lost_is_not_sent_again(mistake: str, requests: int) -> None:
    async with receiving(broken) as receiver:
        spec = tool_spec(
            "http", f"http://{receiver.host}/", effect="write", options={"secret": "key"}
        )
        stage = stage_with(build_tool(spec, tool_context(private_hosts=[receiver.host])))
        with mutated(mistake):
            await stage.run("Book it.")
    assert len(receiver.requests) == requests
