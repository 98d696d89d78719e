"""Whole turns over in-memory services: what the client gets, and what is kept.

Whatever happens, a turn that was claimed posts its events without a gap and ends once:
`Wire.end` checks that for every test that looks at it.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from parley.aws.management_api import Address
from parley.protocol.messages import TurnEnd
from parley.turn.input.poller import UNREADABLE_POLL_S
from parley.turn.turn import END_MARGIN_S
from tests.unit.fakes import (
    FakeResponder,
    FakeSynthesizer,
    FakeTranscriber,
    Wire,
    broken,
    until,
)
from tests.unit.memory import REF
from tests.unit.stage import REPLY, Stage, holding

# --- who runs it ----------------------------------------------------------------------


async def test_a_turn_that_another_invocation_runs_is_left_to_it() -> None:
    stage = Stage()
    stage.store.acquire_lease(REF, "t1", "somebody else")
    assert await stage.run() is None
    assert stage.wire.events == []
    assert stage.history_texts == []


async def test_nothing_of_a_turn_that_was_not_claimed_stays_behind() -> None:
    stage = Stage()
    stage.store.acquire_lease(REF, "t1", "somebody else")
    await stage.run()
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("text", ["typed", None])
async def test_nothing_of_a_turn_stays_behind(text: str | None) -> None:
    stage = Stage()
    stage.say("What?")
    await stage.run(text)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert all(stream.closed for stream in stage.synthesizer.streams)
    assert all(stream.closed for stream in stage.transcriber.streams)


@pytest.mark.parametrize("stopped", [False, True])
async def test_a_client_does_not_wait_until_the_providers_have_closed_but_the_turn_does(
    stopped: bool,
) -> None:
    stage = Stage(
        transcriber=FakeTranscriber(slow_to_close=True),
        synthesizer=FakeSynthesizer(slow_to_close=True),
    )
    stage.say("What?")
    running = asyncio.create_task(stage.run(None))
    await until(lambda: stage.wire.of(TurnEnd))
    if stopped:
        running.cancel()
    streams: list[Any] = [*stage.transcriber.streams, *stage.synthesizer.streams]
    await until(lambda: len(asyncio.all_tasks()) == len(streams) + 2)  # the turn, and this test
    assert not any(stream.closed for stream in streams)
    for stream in streams:
        stream.may_close.set()
    await asyncio.wait([running])
    assert (running.cancelled(), all(stream.closed for stream in streams)) == (stopped, True)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_of_two_invocations_of_one_turn_only_one_answers() -> None:
    stage = Stage()
    outcomes = await asyncio.gather(stage.run(owner="a"), stage.run(owner="b"))
    assert [outcome is None for outcome in outcomes].count(True) == 1
    assert stage.text == "You said: Hello there."
    assert stage.wire.end.reason == "completed"


@pytest.mark.parametrize("sessions", ["ended", "missing"])
async def test_a_session_that_is_over_gets_no_turn(sessions: str) -> None:
    stage = Stage()
    if sessions == "ended":
        stage.store.end_session(REF, 0)
    else:
        stage.store.forget_session(REF)
    await stage.run()
    assert [error.code for error in stage.errors] == ["session_not_found"]
    assert stage.wire.end.reason == "failed"
    assert stage.responder.prompts == []


async def test_a_new_turn_interrupts_the_one_that_still_runs() -> None:
    responder, _ = holding("One, two.")
    stage = Stage(responder=responder, provider_timeout_s=5)
    older = asyncio.create_task(stage.run())
    await until(lambda: stage.text)
    first, stage.wire = stage.wire, Wire()
    await stage.run("Something else.", "t2")
    await older
    assert (first.end.reason, first.end.heard) == ("interrupted", None)
    assert stage.wire.end.reason == "completed"


# --- time, the connection, the table ---------------------------------------------------------


async def test_a_turn_ends_before_its_invocation_does() -> None:
    responder, _ = holding("It is", " getting late.")
    stage = Stage(responder=responder, provider_timeout_s=60)
    await stage.run(remaining_s=END_MARGIN_S + 0.2)
    assert [(e.code, e.retryable) for e in stage.errors] == [("turn_timeout", True)]
    assert stage.wire.end.reason == "failed"
    assert stage.history_texts[-1] == ("assistant", "It is getting late.", None)


async def test_a_connection_that_is_gone_does_not_end_the_turn() -> None:
    stage = Stage(responder=FakeResponder([[*REPLY]]))
    stage.wire.gone_after = 2
    outcome = await stage.run()
    assert outcome is not None
    assert outcome.reason == "completed"
    assert len(stage.wire.events) == 2
    assert stage.history_texts[-1] == ("assistant", REPLY, None)


async def test_a_post_that_fails_in_an_unknown_way_does_not_keep_the_turn() -> None:
    stage = Stage()

    async def post(address: Address, frame: bytes) -> None:
        raise RuntimeError(f"no thread for {len(frame)} bytes to {address}")

    stage.wire.post = post  # type: ignore[method-assign]  # another wire
    outcome = await stage.run()
    assert outcome is not None
    assert outcome.reason == "completed"
    assert stage.history_texts[-1][1] == "You said: Hello there."
    assert ("post_failed", {"error": "RuntimeError"}) in stage.logged


@pytest.mark.parametrize("method", ["read_conversation", "acquire_lease"])
async def test_a_table_that_cannot_be_read_fails_the_turn_in_good_order(method: str) -> None:
    stage = Stage()
    stage.store.failing.add(method)
    await stage.run()
    assert [(e.code, e.retryable) for e in stage.errors] == [("internal", True)]
    assert stage.wire.end.reason == "failed"
    await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})


async def test_a_claim_that_fails_is_what_the_client_is_told_even_if_speech_failed_too() -> None:
    stage = Stage(synthesizer=FakeSynthesizer([broken("refused", "speech_failed")]))
    acquire = stage.store.acquire_lease

    def slowly(*arguments: Any, **options: Any) -> Any:
        time.sleep(0.1)
        stage.store.failing.add("acquire_lease")
        return acquire(*arguments, **options)

    stage.store.acquire_lease = slowly  # type: ignore[method-assign]  # a slow table
    await stage.run()
    assert [error.code for error in stage.errors] == ["internal"]
    assert stage.wire.end.reason == "failed"


@pytest.mark.parametrize("method", ["put_message", "finish_turn", "set_active_turn", "read_inbox"])
async def test_a_table_that_fails_later_does_not_cost_the_reply(method: str) -> None:
    stage = Stage()
    stage.store.failing.add(method)
    await stage.run()
    assert stage.wire.end.reason == "completed"
    assert stage.text == "You said: Hello there."
    assert stage.logged, "but it is noted"


async def test_an_inbox_that_cannot_be_read_for_a_while_loses_nothing() -> None:
    stage = Stage(listen_timeout_s=5)
    stage.say("What time is it?")
    stage.store.failing.add("read_inbox")
    running = asyncio.create_task(stage.run(None))
    await until(lambda: ("inbox_unreadable", {"error": "OSError"}) in stage.logged)
    await asyncio.sleep(3 * UNREADABLE_POLL_S)
    stage.store.failing.clear()
    await running
    polls = [event for event, _ in stage.logged if event == "inbox_unreadable"]
    assert len(polls) == 1, "one line for one failure, however long it lasts"
    assert stage.wire.end.reason == "completed"
    assert stage.text == "You said: What time is it?"


async def test_nothing_that_was_said_is_logged() -> None:
    replies: Any = [["A secret ", "answer", broken("unavailable", "reply_failed")]]
    stage = Stage(responder=FakeResponder(replies))
    stage.store.failing |= {"put_message", "finish_turn", "set_active_turn", "read_inbox"}
    await stage.run("A secret question.")
    assert stage.logged
    assert "ecret" not in repr(stage.logged)
