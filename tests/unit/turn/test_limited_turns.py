"""Turns that meet a limit: refused with a sentence, charged for what they used and no more."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from parley.clock import now_ms
from parley.config import Deployment
from parley.limit import Limit
from parley.limits.rules import LimitRules, Share
from parley.limits.token_bucket import DAY_MS
from parley.limits.turn_quota import Meter, Usage
from parley.protocol.messages import Error, TurnEnd
from parley.protocol.turn_request import TurnRequest
from parley.providers import call
from parley.providers.retry import RetrySchedule
from parley.storage.history_cache import HistoryCache
from parley.storage.inbox_entries import AckEntry, ChunkEntry, EndEntry, InterruptEntry, PauseEntry
from parley.storage.table import Table
from parley.turn.context import TurnServices
from parley.turn.finish import LEAST_SPEECH_MS, Outcome
from parley.turn.start import run_turn
from tests.unit.atomic import AtomicClient
from tests.unit.fakes import (
    FakeResponder,
    FakeSynthesizer,
    FakeTranscriber,
    Wire,
    broken,
    spoken,
    until,
)
from tests.unit.memory import REF, MemoryStore

SENTENCE = "A sentence that takes some time to be spoken" + ", and more" * 8 + ". "


class Stage:
    """A session with limits, in whose table everything else works."""

    def __init__(self, table: Table, rules: LimitRules) -> None:
        table.delete(ACCOUNT)
        self.table = table
        self.store = MemoryStore()
        self.store.open_session()
        self.wire = Wire()
        self.responder = FakeResponder()
        self.synthesizer = FakeSynthesizer()
        self.logged: list[str] = []
        self.services = TurnServices(
            self.store,
            self.store,
            HistoryCache(self.store, 40),
            FakeTranscriber(),
            self.responder,
            self.synthesizer,
            Deployment(table="table", limits=rules),
            lambda event, fields: self.logged.append(event),
            meter=Meter(AtomicClient(table._client).table, rules, lambda: NOON_MS),
        )

    async def run(
        self, turn_id: str = "t", text: str | None = "Hello.", **fields: Any
    ) -> Outcome | None:
        def acknowledge(event: Any) -> None:
            if isinstance(event, TurnEnd):
                self.store.inboxes.put_ack(REF, turn_id, AckEntry(event.attempt, event.seq))

        self.wire.on_event = acknowledge
        received_at_ms = int(time.time() * 1000)
        request = TurnRequest(REF, turn_id, "c", "https://x", received_at_ms, text, **fields)
        return await run_turn(
            request, self.services, self.wire.post, turn_id, remaining_s=lambda: 60.0, cold=False
        )

    @property
    def usage(self) -> Usage:
        return Usage.from_item(self.table.get(ACCOUNT) or {})


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What failed is tried again soon."""
    monkeypatch.setattr(call, "RetrySchedule", lambda _: RetrySchedule((0.01, 0.02)))


NOON_MS = 20_000 * DAY_MS + DAY_MS // 2
ACCOUNT = {"pk": {"S": "LIMIT#default"}, "sk": {"S": "USAGE"}}


def tenant(share: Share, **rules: int) -> LimitRules:
    return LimitRules(Share(), share, **rules)


async def test_a_turn_too_many_fails_with_what_the_limit_is_and_when_to_try_again(
    table: Table,
) -> None:
    stage = Stage(table, tenant(Share(turns_per_minute=3)))
    assert (await stage.run("t1")) is not None
    stage.wire = Wire()
    outcome = await stage.run("t2")
    assert outcome is not None
    assert outcome.reason == "failed"
    (error,) = stage.wire.of(Error)
    assert (error.code, error.retryable, error.turn_id) == ("rate_limited", True, "t2")
    assert error.limit == Limit("turns_per_minute", 3, "tenant")
    assert error.retry_after_ms == 20_000
    end = stage.wire.end
    assert (end.reason, end.code, end.retryable) == ("failed", "rate_limited", True)
    assert len(stage.responder.prompts) == 1, "nobody was asked in vain"
    assert stage.store.turns[REF, "t2"].state == "failed", "so that it can be tried again"


async def test_a_turn_is_charged_for_what_was_heard_and_spoken(table: Table) -> None:
    stage = Stage(table, tenant(Share(0, 0, 3600, 3600)))
    said = spoken("Good morning to you. " * 6)
    stage.store.inboxes.put_chunk(REF, "t", ChunkEntry(1, said))
    stage.store.inboxes.put_end(REF, "t", EndEntry(1, 0))
    outcome = await stage.run(text=None, format="pcm_8000")
    assert outcome is not None
    assert outcome.reason == "completed"
    assert stage.usage.audio_ms == round(len(said) / 16)
    assert stage.usage.speech_ms == outcome.metrics.audio_ms


async def test_a_turn_that_asked_the_model_in_vain_is_charged_a_second(table: Table) -> None:
    stage = Stage(table, tenant(Share(0, 0, 3600, 3600)))
    stage.responder.replies = [[broken()]]
    outcome = await stage.run()
    assert outcome is not None
    assert outcome.reason == "failed"
    assert (stage.usage.audio_ms, stage.usage.speech_ms) == (0, LEAST_SPEECH_MS)


async def test_a_turn_that_is_stopped_while_a_reply_is_held_back_is_charged_a_second(
    table: Table,
) -> None:
    stage = Stage(table, tenant(Share(0, 0, 3600, 3600)))
    said = spoken("Good morning to you.")
    stage.store.inboxes.put_chunk(REF, "t", ChunkEntry(1, said))
    stage.store.inboxes.put_pause(REF, "t", PauseEntry(1, 1))
    running = asyncio.create_task(stage.run(text=None, pauses=True))
    await until(lambda: stage.responder.prompts)
    stage.store.inboxes.put_interrupt(REF, "t", InterruptEntry(0, now_ms()))
    outcome = await running
    assert outcome is not None
    assert (outcome.reason, outcome.metrics.preemptive_tries) == ("interrupted", 1)
    assert stage.usage.speech_ms == LEAST_SPEECH_MS


async def test_a_turn_in_which_nothing_was_said_is_charged_nothing(table: Table) -> None:
    stage = Stage(table, tenant(Share(0, 0, 3600, 3600)))
    stage.store.inboxes.put_end(REF, "t", EndEntry(0, 0))
    outcome = await stage.run(text=None)
    assert outcome is not None
    assert outcome.error is not None
    assert outcome.error.code == "no_speech"
    assert stage.usage == Usage()


async def test_a_turn_that_failed_is_charged_what_it_used_and_its_next_attempt_what_that_used(
    table: Table,
) -> None:
    stage = Stage(table, tenant(Share(0, 0, 3600, 3600)))
    stage.responder.replies = [[SENTENCE, broken()]]
    first = await stage.run()
    assert first is not None
    assert first.reason == "failed"
    spoken_first = stage.usage.speech_ms
    assert spoken_first > 0
    stage.wire = Wire()
    second = await stage.run(text="Hello. " * 20, attempt=2)
    assert second is not None
    assert second.reason == "completed"
    assert stage.usage.speech_ms == spoken_first + (second.metrics.audio_ms or 0)


async def test_a_turn_that_is_delivered_twice_is_counted_once(table: Table) -> None:
    stage = Stage(table, tenant(Share(turns_per_minute=6)))
    first, second = await asyncio.gather(stage.run(), stage.run())
    assert [first, second].count(None) == 1
    stage.wire = Wire()
    third = await stage.run("t3")
    assert third is not None
    assert third.reason == "completed"
    stage.wire = Wire()
    fourth = await stage.run("t4")
    assert fourth is not None
    assert fourth.reason == "failed"


async def test_speech_that_was_made_and_interrupted_is_charged(table: Table) -> None:
    stage = Stage(table, tenant(Share(0, 0, 3600, 3600)))
    hold = asyncio.Event()
    stage.responder.replies = [[SENTENCE, hold, "And one that is not."]]
    running = asyncio.create_task(stage.run())
    async with asyncio.timeout(5):
        while not any(stream.clauses for stream in stage.synthesizer.streams):
            await asyncio.sleep(0.002)
        while not stage.wire.events:
            await asyncio.sleep(0.002)
    stage.store.inboxes.put_interrupt(REF, "t", InterruptEntry(0.0))
    outcome = await running
    assert outcome is not None
    assert outcome.reason == "interrupted"
    assert stage.usage.speech_ms == 10 * len(SENTENCE)


async def test_an_utterance_that_is_too_long_is_answered_until_there(table: Table) -> None:
    stage = Stage(table, tenant(Share(audio_s_per_day=60), utterance_s=1))
    second = spoken("Hello.".ljust(8_000))
    for seq in (1, 2, 3):
        stage.store.inboxes.put_chunk(REF, "t", ChunkEntry(seq, second))
    outcome = await stage.run(text=None, format="pcm_8000")
    assert outcome is not None
    assert outcome.reason == "completed"
    (error,) = stage.wire.of(Error)
    assert (error.code, error.retryable) == ("too_large", False)
    assert error.limit == Limit("utterance_seconds", 1, "connection")
    assert stage.responder.prompts[0].text == "Hello."
    assert stage.usage.audio_ms == 1000


async def test_a_reply_that_is_too_long_ends_there(table: Table) -> None:
    stage = Stage(table, tenant(Share(), reply_chars=20))
    stage.responder.replies = [["One two three four ", "five six seven."]]
    outcome = await stage.run()
    assert outcome is not None
    assert stage.wire.end.text == "One two three four f"


async def test_a_reply_that_fills_its_room_with_nothing_has_failed(table: Table) -> None:
    stage = Stage(table, tenant(Share(), reply_chars=20))
    stage.responder.replies = [["\n" * 30, "Hello."]]
    outcome = await stage.run()
    assert outcome is not None
    assert outcome.reason == "failed"
    (error,) = stage.wire.of(Error)
    assert error.code == "reply_failed"


async def test_the_limits_are_looked_at_beside_the_claim_and_the_history(table: Table) -> None:
    rules = tenant(Share(0, 30, 3600, 3600))
    stage, together = Stage(table, rules), threading.Barrier(3)

    class Waiting(AtomicClient):
        def update_item(self, **request: Any) -> Any:
            if "full_at" in request["UpdateExpression"]:
                together.wait(5)
            return super().update_item(**request)

    class Store(MemoryStore):
        def acquire_lease(self, *args: Any, **fields: Any) -> Any:
            together.wait(5)
            return super().acquire_lease(*args, **fields)

        def read_conversation(self, *args: Any, **fields: Any) -> Any:
            together.wait(5)
            return super().read_conversation(*args, **fields)

    store = Store()
    store.open_session()
    stage.services = replace(
        stage.services,
        sessions=store,
        turns=store,
        history=HistoryCache(store, 40),
        meter=Meter(Waiting(table._client).table, rules),
    )
    outcome = await stage.run()
    assert outcome is not None
    assert outcome.reason == "completed", "each waited for the two others to begin"


class Unwritable:
    """A DynamoDB client that reads and cannot write."""

    def __init__(self, table: Table) -> None:
        self.get_item = table._client.get_item

    def update_item(self, **request: Any) -> Any:
        raise OSError("the table cannot be reached")


async def test_a_charge_that_cannot_be_written_costs_the_record_not_the_turn(table: Table) -> None:
    rules = tenant(Share(0, 0, 3600, 3600))
    stage = Stage(table, rules)
    meter = Meter(Table(Unwritable(table), "table"), rules)  # type: ignore[arg-type]  # no whole client
    stage.services = replace(stage.services, meter=meter)
    outcome = await stage.run()
    assert outcome is not None
    assert outcome.reason == "completed"
    assert "not_kept" in stage.logged


async def test_a_turn_that_cannot_be_claimed_costs_none_of_the_minute_s(table: Table) -> None:
    stage = Stage(table, tenant(Share(turns_per_minute=3)))
    stage.store.failing.add("acquire_lease")
    failed = await stage.run("t1")
    assert failed is not None
    assert failed.error is not None
    assert failed.error.code == "internal"
    stage.store.failing.clear()
    begun = await stage.run("t2")
    assert begun is not None
    assert begun.reason == "completed"
