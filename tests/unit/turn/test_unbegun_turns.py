"""Turns that are stopped before they begin: their function is cold, or somebody was quick.

Nobody is told of an error, nothing is bought, and what was typed stays.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from parley.limits.errors import too_many_turns
from parley.limits.turn_quota import Admission, Meter
from parley.principal import SessionRef
from parley.protocol.messages import AnyServerEvent, Error, TurnEnd
from parley.protocol.turn_request import TurnRequest
from parley.storage.inbox_entries import AckEntry, InterruptEntry
from parley.turn.start import run_turn
from tests.unit.door import Door
from tests.unit.fakes import Wire
from tests.unit.stage import Stage


class Cold(Stage):
    """A stage whose turn function has not started: what is asked for runs when it is told to."""

    def __init__(self, **services: Any) -> None:
        super().__init__(**services)
        self.door = Door(self.store)
        ready = self.door.ready()
        (self.session,) = (ref for ref in self.store.sessions if ref.endswith(ready.session_id))
        self.door.now_ms = int(time.time() * 1000) - 5_000
        self.meter: Meter | None = None

    def send(self, kind: str, **fields: Any) -> None:
        """Send a message, 100 ms after the one before; it is answered by no error."""
        self.door.now_ms += 100
        answer = self.door.send(kind, **fields)
        assert not isinstance(answer, Error), answer

    def ask(self, turn_id: str, *, spoken: bool = False, **fields: Any) -> None:
        """Ask for a turn."""
        if not spoken:
            self.send("user_message", turn_id=turn_id, text=f"Hello {turn_id}.", **fields)
            return
        self.send("audio_start", turn_id=turn_id, format="pcm_8000", **fields)
        self.send("audio_chunk", turn_id=turn_id, seq=1, audio="SABlAHkA")

    async def begin(self, turn_id: str) -> TurnEnd:
        """Start the function of a turn; how it ended. The user is shown nothing but its end."""
        request = next(r for r in reversed(self.door.turns) if r.turn_id == turn_id)
        wire = self.wire = Wire()

        def acknowledge(event: Any) -> None:
            if isinstance(event, TurnEnd):
                entry = AckEntry(event.attempt, event.seq)
                self.store.inboxes.put_ack(self.session, turn_id, entry)

        wire.on_event = acknowledge
        services = replace(self.services, meter=self.meter)
        await run_turn(
            request, services, wire.post, f"{turn_id}-owner", remaining_s=lambda: 60.0, cold=True
        )
        assert self.errors == []
        return wire.end

    @property
    def bought(self) -> list[Any]:
        """What providers have been asked for."""
        return [*self.responder.prompts, *self.synthesizer.opened, *self.transcriber.opened]

    @property
    def kept(self) -> list[tuple[str, str, str | None]]:
        """The history."""
        return [(m.role, m.text, m.heard) for m in self.store.messages(self.session)]


def stop_by_interrupt(cold: Cold) -> None:
    cold.send("interrupt", turn_id="a", played_ms=0)


def stop_by_interrupts(cold: Cold) -> None:
    for played_ms in (0, 1.5, 0):
        cold.send("interrupt", turn_id="a", played_ms=played_ms)


def stop_by_end(cold: Cold) -> None:
    cold.send("end")


def stop_by_interrupt_and_end(cold: Cold) -> None:
    cold.send("interrupt", turn_id="a", played_ms=0)
    cold.send("end")


STOPS = [stop_by_interrupt, stop_by_interrupts, stop_by_end, stop_by_interrupt_and_end]


@pytest.mark.parametrize("spoken", [False, True], ids=["typed", "spoken"])
@pytest.mark.parametrize("stop", STOPS)
async def test_a_turn_that_is_stopped_before_it_begins_ends_interrupted_when_it_comes(
    stop: Any, spoken: bool
) -> None:
    cold = Cold()
    cold.ask("a", spoken=spoken)
    stop(cold)
    end = await cold.begin("a")
    assert (end.reason, end.text, end.heard, end.code) == ("interrupted", "", "", None)
    assert cold.bought == []
    assert cold.kept == ([] if spoken else [("user", "Hello a.", None)])
    assert cold.store.turns[cold.session, "a"].state == "interrupted"


@pytest.mark.parametrize("spoken", [False, True], ids=["typed", "spoken"])
async def test_a_turn_that_a_newer_one_has_overtaken_ends_interrupted_when_it_comes(
    spoken: bool,
) -> None:
    cold = Cold()
    cold.ask("a", spoken=spoken)
    cold.ask("b")
    assert (await cold.begin("b")).reason == "completed"
    bought = cold.bought
    end = await cold.begin("a")
    assert (end.reason, end.text, end.heard) == ("interrupted", "", "")
    assert cold.bought == bought, "for the newer one alone"
    assert ("user", "Hello b.", None) in cold.kept
    assert (("user", "Hello a.", None) in cold.kept) is not spoken


@pytest.mark.parametrize("order", list(itertools.permutations("abc")), ids="".join)
@pytest.mark.parametrize("tells", [False, True], ids=["by asking", "by interrupting too"])
async def test_in_whatever_order_the_functions_start_only_the_newest_turn_is_answered(
    order: tuple[str, ...], tells: bool
) -> None:
    cold = Cold()
    for turn_id, older in zip("abc", (None, "a", "b"), strict=True):
        if older is not None and tells:  # as the clients do
            cold.send("interrupt", turn_id=older, played_ms=0)
        cold.ask(turn_id)
    ends = {turn_id: await cold.begin(turn_id) for turn_id in order}
    assert ends["c"].reason == "completed"
    if tells:
        assert [ends["a"].reason, ends["b"].reason] == ["interrupted"] * 2
        assert len(cold.responder.prompts) == 1
    assert {text for role, text, _ in cold.kept if role == "user"} == {
        f"Hello {turn_id}." for turn_id in "abc"
    }


@pytest.mark.parametrize("order", ["ab", "ba"])
@pytest.mark.parametrize("stops", [False, True], ids=["by asking", "by interrupting too"])
async def test_of_two_turns_of_one_millisecond_the_newer_is_answered(
    order: str, stops: bool
) -> None:
    cold = Cold()
    cold.ask("a")
    if stops:
        cold.send("interrupt", turn_id="a", played_ms=0)
    cold.ask("b")
    first, second = cold.door.turns
    cold.door.turns[1] = replace_time(second, first.received_at_ms)
    ends = {turn_id: (await cold.begin(turn_id)).reason for turn_id in order}
    if order == "ba" or stops:
        assert ends == {"a": "interrupted", "b": "completed"}
    else:
        assert ends["b"] == "completed"


async def test_what_the_next_turn_is_told_has_the_message_and_no_reply() -> None:
    cold = Cold()
    cold.ask("a")
    cold.send("interrupt", turn_id="a", played_ms=0)
    await cold.begin("a")
    cold.ask("b")
    await cold.begin("b")
    (prompt,) = cold.responder.prompts
    assert [(m.role, m.text) for m in prompt.history] == [("user", "Hello a.")]


async def test_an_interruption_that_overtakes_its_turn_is_kept_for_it() -> None:
    cold = Cold()
    cold.send("interrupt", turn_id="a", played_ms=0)
    cold.ask("a")
    assert (await cold.begin("a")).reason == "interrupted"
    assert cold.bought == []


async def test_a_turn_that_is_asked_for_after_the_end_is_told_so() -> None:
    cold = Cold()
    cold.send("end")
    cold.ask("a")
    with pytest.raises(AssertionError, match="session_not_found"):
        await cold.begin("a")
    assert cold.wire.end.reason == "failed"


async def test_the_next_attempt_is_interrupted_before_it_begins() -> None:
    cold = Cold()
    cold.ask("a", attempt=1)
    cold.send("interrupt", turn_id="a", played_ms=0)  # too late: it is failing
    cold.store.acquire_lease(cold.session, "a", "dead", attempt=1)
    cold.store.fail_turn(cold.session, "a", "dead")
    cold.door.now_ms = int(time.time() * 1000) + 3_000  # the user has read what went wrong
    cold.ask("a", attempt=2)
    cold.send("interrupt", turn_id="a", played_ms=0)
    cold.door.turns[-1] = replace_time(cold.door.turns[-1], int(time.time() * 1000) - 100)
    end = await cold.begin("a")
    assert (end.reason, end.attempt) == ("interrupted", 2)
    assert cold.bought == []


def replace_time(request: TurnRequest, received_at_ms: int) -> TurnRequest:
    """The same request, taken at another time."""
    return msgspec.structs.replace(request, received_at_ms=received_at_ms)


@pytest.mark.parametrize("limited", [False, True])
@pytest.mark.parametrize("pause_ms", [100, 300, 1_000, 1_900, 2_100, 3_000])
@pytest.mark.parametrize("begins", ["after it", "before it"])
async def test_an_attempt_is_stopped_however_soon_after_the_one_before_it(
    begins: str, pause_ms: int, limited: bool
) -> None:
    cold = Cold()
    cold.meter = Refusing() if limited and begins == "after it" else None
    cold.ask("a", attempt=1)
    cold.store.acquire_lease(cold.session, "a", "dead", attempt=1)
    cold.store.fail_turn(cold.session, "a", "dead")
    cold.send("interrupt", turn_id="a", played_ms=300)  # what still plays
    cold.door.now_ms = int(time.time() * 1000) - 400
    cold.send("interrupt", turn_id="a", played_ms=300)
    cold.ask("a", attempt=2)
    cold.responder.replies = [[asyncio.Event()]]  # a model that never answers
    if begins == "after it":
        cold.door.now_ms += pause_ms
        cold.send("interrupt", turn_id="a", played_ms=0)
        end = await cold.begin("a")
    else:
        beginning = asyncio.create_task(cold.begin("a"))
        async with asyncio.timeout(5):
            while not cold.responder.prompts:
                await asyncio.sleep(0.01)
        assert not beginning.done(), "what came before it does not stop it"
        cold.door.now_ms += pause_ms
        cold.send("interrupt", turn_id="a", played_ms=0)
        end = await beginning
    assert (end.reason, end.attempt) == ("interrupted", 2)


async def test_what_stopped_an_attempt_does_not_stop_the_next() -> None:
    cold = Cold()
    cold.send("interrupt", turn_id="a", played_ms=0)
    cold.store.acquire_lease(cold.session, "a", "dead", attempt=1)
    cold.store.fail_turn(cold.session, "a", "dead")
    await asyncio.sleep(0.005)  # the table tells them apart by the time, in ms
    cold.door.now_ms = int(time.time() * 1000)
    cold.ask("a", attempt=2)
    assert (await cold.begin("a")).reason == "completed"


async def test_an_inbox_that_cannot_be_read_at_first_is_read_again() -> None:
    cold = Cold()
    cold.ask("a")
    cold.send("interrupt", turn_id="a", played_ms=0)
    cold.store.failing.add("list_interruptions")
    cold.responder.replies = [[asyncio.Event()]]  # a model that never answers
    assert (await cold.begin("a")).reason == "interrupted"
    assert cold.kept == [("user", "Hello a.", None)]


class Refusing(Meter):
    """Lets no turn begin."""

    def __init__(self) -> None:
        """It has no table."""

    async def admit_turn(self, ref: SessionRef, *, spoken: bool) -> Admission:
        return Admission(too_many_turns("tenant", 3, 20_000))


@pytest.mark.parametrize("stop", STOPS)
async def test_who_has_stopped_a_turn_is_not_told_that_it_was_one_too_many(stop: Any) -> None:
    cold = Cold()
    cold.meter = Refusing()
    cold.ask("a")
    stop(cold)
    end = await cold.begin("a")
    assert (end.reason, end.text, end.heard) == ("interrupted", "", "")
    assert cold.store.turns[cold.session, "a"].state == "interrupted"
    assert cold.kept == [], "a turn that is one too many is not kept"


@pytest.mark.parametrize("limited", [False, True])
async def test_the_end_of_a_stopped_turn_waits_for_a_client_that_is_away(limited: bool) -> None:
    cold = Cold()
    cold.meter = Refusing() if limited else None
    cold.ask("a")
    cold.send("interrupt", turn_id="a", played_ms=0)
    wire = Wire()
    wire.gone_after = 0
    services = replace(cold.services, meter=cold.meter)
    (request,) = cold.door.turns
    await run_turn(request, services, wire.post, "me", remaining_s=lambda: 4.0, cold=True)
    (frame,) = cold.store.list_undelivered(cold.session)
    end = msgspec.json.decode(frame.frame, type=AnyServerEvent)
    assert isinstance(end, TurnEnd)
    assert (end.reason, end.heard) == ("interrupted", "")


def test_an_interruption_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(seconds: float) -> None:
        raise AssertionError(f"slept {seconds} s")

    monkeypatch.setattr("time.sleep", never)
    door = Door()
    door.ready()
    before = list(door.posts)
    assert door.send("interrupt", turn_id="never", played_ms=0) is None
    assert door.posts == before, "a success without a word"


@pytest.mark.parametrize(("waited_ms", "looks"), [(0, 0), (1_000, 1)])
async def test_a_turn_that_begins_at_once_pays_no_read_for_it(waited_ms: int, looks: int) -> None:
    stage = Stage()
    looked: list[str] = []
    interruptions = stage.store.inboxes.list_interruptions

    def look(ref: SessionRef, turn_id: str) -> list[InterruptEntry]:
        looked.append(turn_id)
        return interruptions(ref, turn_id)

    stage.store.inboxes.list_interruptions = look  # type: ignore[method-assign]
    await stage.run("Hello.", received_at_ms=int(time.time() * 1000) - waited_ms)
    assert (stage.wire.end.reason, len(looked)) == ("completed", looks)
