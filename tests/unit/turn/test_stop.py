"""Why a turn stops: the first reason counts, and each is asked for where it is found out."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from parley.storage.inbox_entries import BegunEntry, InterruptEntry
from parley.storage.item_codec import Session
from parley.turn import pipeline
from parley.turn import turn as turn_module
from parley.turn.stop import StopReason, TurnStop
from tests.unit.fakes import text_in, until
from tests.unit.memory import REF
from tests.unit.stage import Stage, holding

# --- by itself ------------------------------------------------------------------------


async def test_a_turn_stops_for_no_reason_until_somebody_asks() -> None:
    stop = TurnStop()
    assert (stop.reason, stop.interrupted, stop.interruption) == (None, False, None)


@pytest.mark.parametrize("reason", StopReason)
async def test_only_an_interruption_makes_what_has_not_left_unwanted(reason: StopReason) -> None:
    stop = TurnStop()
    stop.request(reason)
    unwanted = reason in {StopReason.INTERRUPTED, StopReason.OVERTAKEN}
    assert (stop.reason, stop.interrupted) == (reason, unwanted)


async def test_the_first_reason_counts() -> None:
    stop = TurnStop()
    stop.request(StopReason.INTERRUPTED, InterruptEntry(30.0))
    stop.request(StopReason.INTERRUPTED, InterruptEntry(1_000.0))
    stop.request(StopReason.ANSWER_FULL)
    assert (stop.reason, stop.interruption) == (StopReason.INTERRUPTED, InterruptEntry(30.0))


async def test_who_interrupts_an_answer_that_is_full_is_too_late() -> None:
    stop = TurnStop()
    stop.request(StopReason.ANSWER_FULL)
    stop.request(StopReason.INTERRUPTED, InterruptEntry(30.0))
    assert (stop.reason, stop.interrupted) == (StopReason.ANSWER_FULL, False)
    assert stop.interruption is None


async def test_being_superseded_counts_whenever_it_comes() -> None:
    stop = TurnStop()
    stop.request(StopReason.INTERRUPTED, InterruptEntry(30.0))
    stop.request(StopReason.SUPERSEDED)
    assert stop.reason is StopReason.SUPERSEDED
    assert stop.interrupted, "what has not left stays unwanted"


@pytest.mark.parametrize("reason", StopReason)
async def test_who_waits_is_woken_by_any_reason(reason: StopReason) -> None:
    stop, task = TurnStop(), asyncio.create_task(asyncio.Event().wait())
    asyncio.get_running_loop().call_soon(stop.request, reason)
    async with asyncio.timeout(5):
        await stop.wait_for(task, 60)
    assert not task.done()
    task.cancel()


async def test_who_waits_is_woken_by_the_task_and_by_the_time() -> None:
    stop, task = TurnStop(), asyncio.create_task(asyncio.Event().wait())
    await stop.wait_for(task, 0.01)
    assert not task.done()
    task.cancel()
    async with asyncio.timeout(5):
        await stop.wait_for(task, 60)
    assert stop.reason is None


# --- in a turn ------------------------------------------------------------------------


@pytest.fixture
def reasons(monkeypatch: pytest.MonkeyPatch) -> list[tuple[StopReason, InterruptEntry | None]]:
    """What turns are asked to stop for, in order."""
    seen: list[tuple[StopReason, InterruptEntry | None]] = []
    request = TurnStop.request

    def noted(
        self: TurnStop, reason: StopReason, interruption: InterruptEntry | None = None
    ) -> None:
        seen.append((reason, interruption))
        request(self, reason, interruption)

    monkeypatch.setattr(TurnStop, "request", noted)
    return seen


Reasons = list[tuple[StopReason, InterruptEntry | None]]


async def test_a_turn_that_nobody_stops_is_asked_by_nobody(reasons: Reasons) -> None:
    stage = Stage()
    await stage.run()
    assert reasons == []
    assert stage.wire.end.reason == "completed"


@pytest.mark.parametrize("when", ["before it began", "while it runs"])
async def test_the_user_interrupts(reasons: Reasons, when: str) -> None:
    responder, _ = holding("One two three four.")
    stage = Stage(responder=responder, provider_timeout_s=5)
    if when == "before it began":
        stage.interrupt(80)
        await stage.run(received_at_ms=int(time.time() * 1000) - 1_000)
    else:
        running = asyncio.create_task(stage.run())
        await until(lambda: text_in(stage.audio).startswith("One two three"))
        stage.interrupt(80)
        await running
    (reason, interruption), *_ = reasons
    assert interruption is not None
    assert (reason, interruption.played_ms) == (StopReason.INTERRUPTED, 80)
    assert {each for each, _ in reasons} == {StopReason.INTERRUPTED}
    assert stage.wire.end.reason == "interrupted"
    assert (stage.responder.prompts == []) is (when == "before it began")


@pytest.mark.parametrize("when", ["before it began", "while it runs"])
async def test_a_newer_turn_has_overtaken(
    reasons: Reasons, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    responder, _ = holding("Too late.")
    stage = Stage(responder=responder, provider_timeout_s=5)
    note, newer_ms = stage.store.set_active_turn, int(time.time() * 1000) + 1_000

    def newer_came(*arguments: Any) -> Session | None:
        note(REF, "newer", newer_ms)
        return note(*arguments)

    if when == "before it began":
        note(REF, "newer", newer_ms)
    else:
        monkeypatch.setattr(stage.store, "set_active_turn", newer_came)
    await stage.run()
    assert reasons[0] == (StopReason.OVERTAKEN, None)
    assert stage.wire.end.reason == "interrupted"
    assert (stage.responder.prompts == []) is (when == "before it began")


async def test_an_answer_is_full(reasons: Reasons, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "MAX_ANSWER_AUDIO_BYTES", 48 * 10 * 10)
    responder, _ = holding("Sure, the old bridge is open. ")
    stage = Stage(responder=responder)
    outcome = await stage.run(connection_id="")
    assert outcome is not None
    assert outcome.reason == "interrupted"
    assert {reason for reason, _ in reasons} == {StopReason.ANSWER_FULL}
    _, sound = stage.store.sounds()
    assert sound is not None
    assert sound.heard_ms == sound.duration_ms, "all of it is in the answer"


@pytest.mark.parametrize("by", ["a later attempt", "whoever ended it"])
async def test_an_attempt_is_superseded(
    reasons: Reasons, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    monkeypatch.setattr(turn_module, "RENEW_S", 0.02)
    responder, _ = holding("One moment.")
    stage = Stage(responder=responder, provider_timeout_s=5)
    running = asyncio.create_task(stage.run())
    await until(lambda: stage.text)
    if by == "a later attempt":
        stage.store.inboxes.put_begun(REF, "t1", BegunEntry(2))
    else:
        assert stage.store.fail_turn(REF, "t1", "me") is not None
    assert await running is None
    assert {reason for reason, _ in reasons} == {StopReason.SUPERSEDED}


async def test_an_attempt_that_was_ended_as_it_ended_is_superseded(reasons: Reasons) -> None:
    stage = Stage()
    stage.store.finish_turn = lambda *_arguments, **_options: False  # type: ignore[method-assign]
    assert await stage.run() is None
    assert reasons == [(StopReason.SUPERSEDED, None)]
