"""Erasure beside everything that may write at the same time, on moto's DynamoDB.

The schedules are random and seeded: a step of whoever writes may come before, between or after
any step of whoever erases. Whatever the order, nothing is left.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from parley.config import DEFAULT_SETTINGS, Deployment
from parley.ids import new_ulid, token_hash
from parley.principal import Principal, parse_session_id
from parley.protocol.messages import Message, Settings
from parley.protocol.turn_request import TurnRequest
from parley.sessions.erasure import SETTLE_S, Erasure
from parley.sessions.settings_policy import SettingsPolicy
from parley.storage.history_cache import HistoryCache
from parley.storage.inbox_entries import InterruptEntry
from parley.storage.item_codec import Session, StoredFrame
from parley.storage.rounds import RoundStore
from parley.storage.sessions import KNOWN_THERE_S, SessionStore
from parley.storage.table import Table
from parley.storage.turns import TurnStore
from parley.tools.tool import Answer, CustomEvent, Invocation
from parley.tools.toolbox import NO_TOOLS
from parley.turn.context import TurnServices
from parley.turn.start import run_turn
from parley.websocket.arrival import Envelope
from parley.websocket.message_handler import MessageHandler
from tests.unit.fakes import FakeResponder, FakeSynthesizer, FakeTranscriber, Wire
from tests.unit.turn.tools import calls, spec, toolbox

OWNER = Principal("acme", "ada")
WORD = "ultramarine"


class _Gate:
    """Nobody is connected; what is posted is lost."""

    def post(self, endpoint: str, connection_id: str, frame: bytes) -> None:
        pass

    def close(self, endpoint: str, connection_id: str) -> None:
        pass


class Place:
    """A table with one session, the functions that write to it, and who erases it."""

    def __init__(self, client: Any, table: Table) -> None:
        self.client, self.table = client, table
        self.store, self.turns = SessionStore(table), TurnStore(table)
        self.ref = OWNER.session(new_ulid())
        self.connection = new_ulid()
        self.started: list[TurnRequest] = []
        self.messages = self.environment()
        self.store.connections.add(self.connection, OWNER)
        self.store.put_session(
            Session(
                self.ref,
                token_hash("token"),
                self.connection,
                Settings(),
                "active",
                None,
                "https://x",
            )
        )
        self.store.connections.bind(self.connection, self.ref, "m")

    @property
    def call_id(self) -> str:
        """A call of the turn `t`."""
        return f"{parse_session_id(self.ref)}.t.0.0"

    def environment(self) -> MessageHandler:
        """The message function, in an environment of its own."""
        return MessageHandler(
            self.store,
            self.turns,
            _Gate(),
            self.started.append,
            policy=replace(SettingsPolicy(DEFAULT_SETTINGS), takes_context=True),
            history_messages=40,
        )

    def send(self, kind: str, connection: str = "", **fields: Any) -> str | None:
        """Send a message; the code of the error that it was refused with."""
        return self._handled(self.messages, kind, connection or self.connection, fields)

    def sender(self, kind: str, connection: str = "", **fields: Any) -> Callable[[], str | None]:
        """Sends a message to an environment of its own, which has just seen the session."""
        messages = self.environment()
        self._handled(messages, "ack", self.connection, {"turn_id": "seen", "seq": 1})
        return lambda: self._handled(messages, kind, connection or self.connection, fields)

    def _handled(
        self, messages: MessageHandler, kind: str, connection: str, fields: dict[str, Any]
    ) -> str | None:
        envelope = Envelope(connection, "https://x", _now_ms(), "")
        error = messages.handle(envelope, json.dumps({"type": kind, **fields}))
        return error.code if error is not None else None

    async def turn(self, turn_id: str, **fakes: Any) -> None:
        """Run a turn, as the turn function does."""
        services = TurnServices(
            self.store,
            self.turns,
            HistoryCache(self.store, 40),
            FakeTranscriber(),
            fakes.get("responder") or FakeResponder(),
            FakeSynthesizer(),
            Deployment(table="table"),
            lambda event, fields: None,
            toolbox=fakes.get("toolbox") or NO_TOOLS,
            rounds=RoundStore(self.table),
        )
        request = TurnRequest(self.ref, turn_id, self.connection, "https://x", _now_ms(), text=WORD)
        await run_turn(request, services, Wire().post, "me", remaining_s=lambda: 60.0, cold=False)

    def left(self) -> list[Any]:
        """Every item that names the session or says what was said in it."""
        pages = self.client.get_paginator("scan").paginate(TableName="table")
        found = [item for page in pages for item in page["Items"]]
        session_id = parse_session_id(self.ref)
        return [item for item in found if session_id in (text := str(item)) or WORD in text]


@pytest.fixture
def place(client: Any, table: Table) -> Place:
    return Place(client, table)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits a tenth of what is waited for otherwise, but for what clocks may differ by.

    That is what a write may take which was decided on just before the mark: where the tests have
    threads, on a busy machine, a good part of it.
    """
    margin_s = SETTLE_S - KNOWN_THERE_S
    monkeypatch.setattr("parley.sessions.erasure.SETTLE_S", KNOWN_THERE_S / 10 + margin_s)
    monkeypatch.setattr("parley.websocket.session_binding.KNOWN_THERE_S", KNOWN_THERE_S / 10)


def _now_ms() -> int:
    return round(time.time() * 1000)


async def test_nothing_of_a_whole_session_is_left(place: Place, quick: None) -> None:
    await place.turn("t1")
    place.send("audio_chunk", turn_id="t2", seq=1, audio="AAA=")
    place.send("interrupt", turn_id="t1", played_ms=5)
    frame = StoredFrame("t1", 1, 1, 1, WORD.encode())
    place.turns.put_undelivered(place.ref, [frame])
    place.turns.put_answer(place.ref, "t1", 1, [WORD.encode()])
    kept = {item["pk"]["S"] for item in place.left()}
    connection, owner = f"CONNECTION#{place.connection}", f"OWNER#{OWNER.key}"
    assert kept == {connection, owner, f"SESSION#{place.ref}"}
    assert Erasure(place.store, place.turns, None).erase(place.ref)
    assert place.left() == []
    assert place.store.connections.get_connection(place.connection) is not None, (
        "it may have another session"
    )


def test_the_wait_is_longer_than_a_session_is_taken_to_be_there() -> None:
    assert SETTLE_S >= KNOWN_THERE_S + 1


def test_an_erased_session_takes_nothing_more(place: Place, quick: None) -> None:
    assert Erasure(place.store, place.turns, None).erase(place.ref)
    place.store.connections.add("again", OWNER)
    token = {"session_id": parse_session_id(place.ref), "resume_token": "token"}
    assert place.send("init", "again", protocol=1, **token) == "session_not_found"
    assert place.send("ack", turn_id="t", seq=1) == "not_initialised"
    assert place.store.end_session(place.ref, 0) is None
    assert place.store.change_settings(place.ref, Settings(speed=1.1)) is None
    assert place.store.set_active_turn(place.ref, "t", 1) is None


@pytest.mark.parametrize("kind", ["tool_result", "context"])
def test_words_of_a_connection_that_is_known_by_heart_leave_nothing(
    place: Place, quick: None, kind: str
) -> None:
    fields = {
        "tool_result": {"turn_id": "t", "call_id": place.call_id, "result": WORD},
        "context": {"text": WORD},
    }[kind]
    assert place.send(kind, **fields) is None
    assert Erasure(place.store, place.turns, None).erase(place.ref)
    assert place.left() == []
    assert place.send(kind, **fields) == "session_not_found"
    assert place.left() == []


def test_a_chunk_of_a_connection_that_is_known_by_heart_leaves_nothing(
    place: Place, quick: None
) -> None:
    assert place.send("audio_chunk", turn_id="t", seq=1, audio="AAA=") is None
    assert Erasure(place.store, place.turns, None).erase(place.ref)
    refused = place.send("audio_chunk", turn_id="t", seq=2, audio="AAA=")
    assert refused == "session_not_found"
    assert place.left() == []


def test_a_turn_that_does_not_stop_makes_it_wait_and_another_time_finishes(
    place: Place, quick: None
) -> None:
    place.turns.acquire_lease(place.ref, "t", "me", attempt=1, received_at_ms=1)
    erasure = Erasure(place.store, place.turns, None)
    assert not erasure.erase(place.ref, wait_s=0)
    (entry,) = place.turns.inboxes.read_inbox(place.ref, "t", 1)
    assert isinstance(entry, InterruptEntry)
    assert not place.store.has_session(place.ref)
    place.turns.finish_turn(place.ref, "t", "me", reason="interrupted")
    assert erasure.erase(place.ref)
    assert place.left() == []


async def test_a_turn_that_starts_late_leaves_nothing(place: Place, quick: None) -> None:
    assert Erasure(place.store, place.turns, None).erase(place.ref)
    await place.turn("late")
    assert place.left() == []


async def test_a_turn_that_runs_while_all_is_removed_removes_what_it_writes(place: Place) -> None:
    """As if it had not heard that it should stop, and everybody else had given up."""

    class Slow(FakeResponder):
        async def reply(self, *arguments: Any) -> Any:
            place.store.mark_erased(place.ref)
            place.store.sweep_session(place.ref)
            place.store.forget_session(place.ref)
            async for delta in super().reply(*arguments):
                yield delta

    await place.turn("t", responder=Slow())
    assert place.left() == []


@pytest.mark.parametrize("effect", ["read", "write"])
async def test_a_tool_that_answers_after_all_was_removed_leaves_nothing(
    place: Place, effect: Any
) -> None:
    class Late:
        async def call(self, _invocation: Invocation) -> Answer:
            assert WORD in str(place.left()), "the call is recorded"
            place.store.mark_erased(place.ref)
            place.store.sweep_session(place.ref)
            place.store.forget_session(place.ref)
            return Answer(WORD, [CustomEvent("found", WORD)])

    wanted = calls("look", arguments=f'{{"order": "{WORD}"}}')
    await place.turn(
        "t",
        responder=FakeResponder([[wanted], [wanted], [f"It is {WORD}."]]),
        toolbox=toolbox(Late(), spec("look", effect, show="all")),
    )
    assert place.left() == []


def _writers(place: Place) -> list[Callable[[], object]]:
    """What may be done by others: each is one step, looks included where they belong to it."""
    ref = place.ref

    def turn_writes() -> None:
        place.turns.acquire_lease(ref, "r", "me", attempt=1, received_at_ms=1)
        place.store.put_message(ref, 1, Message("user", WORD, "r"), None)
        place.turns.finish_turn(ref, "r", "me", reason="interrupted")
        if not place.store.has_session(ref):
            place.store.sweep_session(ref)

    place.store.connections.add("another", OWNER)
    token = {"session_id": parse_session_id(ref), "resume_token": "token"}
    return [
        turn_writes,
        place.sender("init", "another", protocol=1, **token),
        place.sender("audio_chunk", turn_id="t", seq=1, audio="AAA="),
        place.sender("audio_end", turn_id="t", chunks=1),
        place.sender("interrupt", turn_id="seen", played_ms=1),
        place.sender("config", settings={"speed": 1.1}),
        place.sender("ping", sent_at=1, turn_id="t"),
        place.sender("tool_result", turn_id="t", call_id=place.call_id, result=WORD),
        place.sender("context", text=WORD),
        place.sender("end"),
        lambda: Erasure(place.store, place.turns, None).erase(ref),
    ]


class _Interleaved:
    """Lets threads make one call of the table at a time, in an order that a seed decides."""

    def __init__(self, client: Any, seed: int) -> None:
        self._random = random.Random(seed)
        self._events = client.meta.events
        self._changed = threading.Condition()
        self._alive: set[int] = set()
        self._waiting: set[int] = set()
        self._next = -1
        self._in_call = threading.Lock()
        """Whoever is chosen because nobody else has moved for a while may not be alone: moto itself
        has no lock."""

    def run(self, steps: list[Callable[[], object]]) -> None:
        """Run the steps to their ends."""
        with ThreadPoolExecutor(len(steps)) as pool:
            self._events.register("before-call.dynamodb", self._pause, unique_id="pause")
            for over in ("after-call.dynamodb", "after-call-error.dynamodb"):
                self._events.register(over, self._leave, unique_id="leave")
            try:
                self._alive = set(range(len(steps)))
                done = [pool.submit(self._one, n, step) for n, step in enumerate(steps)]
                for each in done:
                    each.result(60)
            finally:
                self._events.unregister("before-call.dynamodb", unique_id="pause")
                for over in ("after-call.dynamodb", "after-call-error.dynamodb"):
                    self._events.unregister(over, unique_id="leave")

    def _one(self, number: int, step: Callable[[], object]) -> None:
        _who.number = number
        try:
            step()
        finally:
            with self._changed:
                self._alive.discard(number)
                self._choose()

    def _pause(self, **_: Any) -> None:
        """Wait until everybody who is not between two calls waits, and one is chosen."""
        number = _who.number
        with self._changed:
            self._waiting.add(number)
            self._choose()
            # Whoever erases sleeps between its calls: nobody waits long for that.
            while self._next != number and not self._changed.wait(0.02):
                self._next = self._random.choice(sorted(self._waiting))
                self._changed.notify_all()
            self._waiting.discard(number)
            self._next = -1
        self._in_call.acquire()

    def _leave(self, **_: Any) -> None:
        self._in_call.release()

    def _choose(self) -> None:
        if self._waiting and self._waiting == self._alive:
            self._next = self._random.choice(sorted(self._waiting))
            self._changed.notify_all()


_who = threading.local()


@pytest.mark.parametrize("seed", range(8))
def test_in_whatever_order_nothing_comes_back(
    place: Place, client: Any, quick: None, seed: int
) -> None:
    chosen = random.Random(seed)
    writers = chosen.sample(_writers(place), 5)

    def erase() -> None:
        assert Erasure(place.store, place.turns, None).erase(place.ref)

    _Interleaved(client, seed).run([erase, *writers])
    assert place.left() == []
