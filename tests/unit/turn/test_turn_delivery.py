"""A turn whose client may not have everything: kept, sent elsewhere, or left to another attempt."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import msgspec
import pytest

from parley.aws.management_api import Address
from parley.protocol.messages import AnyServerEvent, TurnEnd
from parley.storage.inbox_entries import AckEntry, ResumeEntry
from parley.storage.item_codec import Session
from parley.turn import delivery
from parley.turn import turn as turn_module
from tests.unit.fakes import (
    DEADLINE_S,
    FakeResponder,
    Wire,
    broken,
    text_in,
    until,
)
from tests.unit.memory import REF
from tests.unit.stage import REPLY, Stage, holding


async def test_what_is_not_acknowledged_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "ACK_WAIT_S", 0.05)
    stage = Stage(responder=FakeResponder([[REPLY]]))
    stage.acknowledges = False
    outcome = await stage.run()
    assert outcome is not None
    assert not outcome.delivered
    assert [f.frame for f in stage.store.list_undelivered(REF)] == stage.wire.frames


async def test_what_is_acknowledged_is_not_kept() -> None:
    stage = Stage(responder=FakeResponder([[REPLY]]))
    outcome = await stage.run()
    assert outcome is not None
    assert outcome.delivered
    assert list(stage.store.list_undelivered(REF)) == []


async def test_of_a_half_acknowledged_turn_the_rest_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivery, "ACK_WAIT_S", 0.1)
    stage = Stage(responder=FakeResponder([[REPLY]]))
    stage.acknowledges = False
    stage.store.inboxes.put_ack(REF, "t1", AckEntry(1, 2))
    await stage.run()
    assert [f.seq for f in stage.store.list_undelivered(REF)] == [
        *range(3, len(stage.wire.events) + 1)
    ]


async def test_a_client_that_is_away_finds_everything_when_it_returns() -> None:
    stage = Stage(responder=FakeResponder([[*REPLY]]))
    stage.wire.gone_after = 2
    await stage.run()
    kept = [
        msgspec.json.decode(f.frame, type=AnyServerEvent) for f in stage.store.list_undelivered(REF)
    ]
    stage.wire.events = [*stage.wire.events[:2], *kept[2:]]
    assert stage.wire.end.reason == "completed"
    assert stage.text == REPLY
    assert text_in(stage.audio).split() == REPLY.split()


async def test_a_turn_follows_its_client() -> None:
    responder, more = holding(*REPLY)
    stage = Stage(responder=responder, provider_timeout_s=5)
    running = asyncio.create_task(stage.run())
    await until(lambda: len(stage.wire.events) >= 3)
    stage.store.inboxes.put_resume(REF, "t1", ResumeEntry("c2", "https://y", 1, 2, 1))
    await until(lambda: stage.wire.addresses[-1] == Address("https://y", "c2"))
    more.set()
    await running
    moved = [
        e
        for e, a in zip(stage.wire.events, stage.wire.addresses, strict=True)
        if a.connection_id == "c2"
    ]
    stage.wire.events = [*stage.wire.events[:2], *moved]
    assert stage.wire.end.reason == "completed"
    assert stage.text == REPLY + " And so on."


async def test_a_turn_whose_session_moved_before_it_was_noted_answers_there() -> None:
    responder, more = holding("One moment.")
    stage = Stage(responder=responder, provider_timeout_s=5)
    note = stage.store.set_active_turn

    def moved_meanwhile(*arguments: Any) -> Session | None:
        stage.store.open_session(connection_id="c2", endpoint="https://y")
        return note(*arguments)

    stage.store.set_active_turn = moved_meanwhile  # type: ignore[method-assign,assignment]  # a race
    running = asyncio.create_task(stage.run())
    await until(lambda: stage.wire.addresses and stage.wire.addresses[-1].connection_id == "c2")
    more.set()
    await running
    assert isinstance(stage.wire.events[-1], TurnEnd)
    assert stage.wire.addresses[-1] == Address("https://y", "c2")


async def test_a_session_that_moved_unnoticed_is_found_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivery, "ACK_WAIT_S", 0.05)
    stage = Stage(responder=FakeResponder([[REPLY]]))
    finish = stage.store.finish_turn

    def moved_meanwhile(*arguments: Any, **options: Any) -> bool:
        stage.store.open_session(connection_id="c2", endpoint="https://y")
        return finish(*arguments, **options)

    stage.store.finish_turn = moved_meanwhile  # type: ignore[method-assign]  # a race
    stage.acknowledges = False
    await stage.run()
    there = stage.there()
    assert [getattr(event, "seq", 0) for event in there] == [*range(1, len(there) + 1)]
    assert isinstance(there[-1], TurnEnd)


async def test_who_comes_back_at_the_very_end_is_not_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivery, "ACK_WAIT_S", 0.05)
    stage = Stage(responder=FakeResponder([[REPLY]]))
    store = stage.store.put_undelivered

    def back_meanwhile(*arguments: Any) -> None:
        store(*arguments)
        stage.acknowledges = True
        stage.store.inboxes.put_resume(REF, "t1", ResumeEntry("c2", "https://y", 1, 0, 1))

    stage.store.put_undelivered = back_meanwhile  # type: ignore[method-assign,assignment]  # a race
    stage.acknowledges = False
    outcome = await stage.run()
    assert outcome is not None
    assert outcome.delivered
    assert stage.wire.addresses[-1] == Address("https://y", "c2")


async def test_a_turn_that_somebody_else_ended_says_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(turn_module, "RENEW_S", 0.02)
    responder, _ = holding("One moment.")
    stage = Stage(responder=responder, provider_timeout_s=5)
    running = asyncio.create_task(stage.run())
    await until(lambda: stage.text)
    assert stage.store.fail_turn(REF, "t1", "me") is not None
    assert await running is None
    assert stage.wire.of(TurnEnd) == []
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_renewal_that_hangs_does_not_cost_the_lease(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(turn_module, "RENEW_S", 0.02)
    responder, go_on = holding("One moment.")
    stage = Stage(responder=responder, provider_timeout_s=5)
    renew, hung, renewed = stage.store.renew_lease, threading.Event(), threading.Event()

    def hang_first(*arguments: Any) -> bool:
        if not hung.is_set():
            hung.set()
            assert renewed.wait(DEADLINE_S)
        renewed.set()
        return renew(*arguments)

    stage.store.renew_lease = hang_first  # type: ignore[method-assign,assignment]  # a late answer
    running = asyncio.create_task(stage.run())
    await until(renewed.is_set)
    go_on.set()
    outcome = await running
    assert outcome is not None
    assert outcome.reason == "completed"


async def test_an_attempt_that_nobody_waits_for_any_more_stops_at_once() -> None:
    responder, go_on = holding("One moment.")
    stage = Stage(responder=responder, provider_timeout_s=5)
    given_up = asyncio.create_task(stage.run())
    await until(lambda: stage.text)
    first, stage.wire = stage.wire, Wire()
    responder.replies.append(["All is well."])
    outcome = await stage.run(owner="next", attempt=2)
    assert outcome is not None
    assert outcome.reason == "completed"
    assert await given_up is None
    assert first.of(TurnEnd) == []
    assert not go_on.is_set()
    assert {getattr(event, "attempt", 0) for event in stage.wire.events} == {2}
    assert stage.history_texts == [
        ("user", "Hello there.", None),
        ("assistant", "All is well.", None),
    ]


async def test_a_turn_that_failed_runs_again_when_it_is_sent_again() -> None:
    replies: Any = [[broken("timeout", "reply_failed")], ["All is well."]]
    stage = Stage(responder=FakeResponder(replies))
    await stage.run()
    assert (stage.wire.end.code, stage.wire.end.retryable) == ("reply_failed", True)
    stage.interrupt(0)  # meant for the attempt that failed
    stage.wire = Wire()
    await stage.run(received_at_ms=int(time.time() * 1000) + 5)
    assert stage.wire.end.reason == "completed"
    assert {getattr(event, "attempt", 0) for event in stage.wire.events} == {2}
    assert stage.history_texts == [
        ("user", "Hello there.", None),
        ("assistant", "All is well.", None),
    ]
    assert stage.responder.prompts[-1].history == [], "what it was asked before is asked once"


async def test_the_ack_of_an_earlier_attempt_says_nothing_about_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivery, "ACK_WAIT_S", 0.05)
    replies: Any = [[broken("timeout", "reply_failed")], [REPLY]]
    stage = Stage(responder=FakeResponder(replies))
    await stage.run()
    stage.wire, stage.acknowledges = Wire(), False
    running = asyncio.create_task(stage.run(received_at_ms=int(time.time() * 1000) + 5))
    await until(lambda: stage.text)
    stage.store.inboxes.put_ack(REF, "t1", AckEntry(1, 99))  # it was long on its way
    await running
    kept = [frame.seq for frame in stage.store.list_undelivered(REF) if frame.attempt == 2]
    assert kept == [*range(1, len(stage.wire.events) + 1)]


async def test_a_second_attempt_without_a_word_leaves_no_reply_of_the_first() -> None:
    replies: Any = [["Half an ", broken("unavailable", "reply_failed")], [asyncio.Event()]]
    stage = Stage(responder=FakeResponder(replies), provider_timeout_s=5)
    await stage.run()
    assert stage.history_texts[-1] == ("assistant", "Half an ", None)
    stage.wire = Wire()
    asked_ms = int(time.time() * 1000) + 5
    running = asyncio.create_task(stage.run(received_at_ms=asked_ms))
    await until(lambda: len(stage.responder.prompts) == 2 and time.time() * 1000 > asked_ms + 1)
    stage.interrupt(0)
    await running
    assert stage.wire.end.reason == "interrupted"
    assert stage.history_texts == [("user", "Hello there.", None)]


async def test_a_table_that_cannot_keep_what_was_missed_does_not_keep_the_turn() -> None:
    stage = Stage()
    stage.wire.gone_after = 0
    stage.store.failing.add("put_undelivered")
    outcome = await stage.run()
    assert outcome is not None
    assert not outcome.delivered
    assert ("undelivered_not_kept", {"error": "OSError"}) in stage.logged


async def test_an_older_turn_that_starts_late_gives_way() -> None:
    responder, _ = holding("Too late.")
    stage = Stage(responder=responder, provider_timeout_s=5)
    stage.store.set_active_turn(REF, "newer", int(time.time() * 1000) + 1_000)
    await stage.run()
    assert stage.wire.end.reason == "interrupted"


async def test_a_turn_that_is_refused_is_told_where_its_client_is_now() -> None:
    stage = Stage()
    stage.store.failing.add("read_conversation")
    stage.store.open_session(connection_id="c2", endpoint="https://y")
    await stage.run()
    assert stage.wire.end.code == "internal"
    assert set(stage.wire.addresses) == {Address("https://y", "c2")}
    assert list(stage.store.list_undelivered(REF)) == []


async def test_a_turn_that_is_refused_while_its_client_is_away_tells_it_when_it_returns() -> None:
    stage = Stage()
    stage.store.failing.add("read_conversation")
    stage.wire.gone_after = 1
    outcome = await stage.run()
    assert outcome is not None
    assert not outcome.delivered
    kept = list(stage.store.list_undelivered(REF))
    assert [(f.turn_id, f.attempt, f.seq) for f in kept] == [("t1", 1, 1), ("t1", 1, 2)]
    assert kept[0].frame == stage.wire.frames[0]
    end = msgspec.json.decode(kept[1].frame, type=AnyServerEvent)
    assert isinstance(end, TurnEnd)
    assert (end.reason, end.code) == ("failed", "internal")
    assert {f.started_ms for f in kept} == {stage.store.turns[REF, "t1"].attempt.started_ms}


async def test_who_comes_back_while_a_refusal_is_being_kept_is_not_missed() -> None:
    stage = Stage()
    stage.store.failing.add("read_conversation")
    stage.wire.gone_after = 0
    store = stage.store.put_undelivered

    def back_meanwhile(*arguments: Any) -> None:
        store(*arguments)
        stage.store.open_session(connection_id="c2", endpoint="https://y")
        stage.wire.gone_after = None

    stage.store.put_undelivered = back_meanwhile  # type: ignore[method-assign,assignment]  # a race
    await stage.run()
    assert stage.wire.end.code == "internal"
    assert set(stage.wire.addresses) == {Address("https://y", "c2")}


async def test_a_refusal_that_cannot_be_kept_is_logged() -> None:
    stage = Stage()
    stage.store.failing |= {"read_conversation", "put_undelivered"}
    stage.wire.gone_after = 0
    assert await stage.run() is not None
    assert ("refusal_not_told", {"error": "OSError"}) in stage.logged
