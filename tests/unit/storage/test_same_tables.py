"""Nobody can tell the table in memory from moto's: the same steps of all stores, over both.

Unit tests run the stores over the table in memory. So it has to refuse what DynamoDB refuses.
"""

from __future__ import annotations

import inspect
import random
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest

from parley.audio.captions import Sound
from parley.audio.heard import Heard
from parley.aws.failures import ServiceError
from parley.principal import Principal, SessionRef
from parley.protocol.messages import Message, Metrics, Settings
from parley.protocol.tool_rounds import CallResult, ToolCall, ToolCalls, ToolRound
from parley.storage.connections import ConnectionStore
from parley.storage.inbox_entries import (
    AckEntry,
    BegunEntry,
    ChunkEntry,
    EndEntry,
    InterruptEntry,
    PauseEntry,
    ResumeEntry,
    ToolResultEntry,
)
from parley.storage.inboxes import InboxStore
from parley.storage.item_codec import Session, StoredFrame, message_key
from parley.storage.rounds import RoundStore
from parley.storage.sessions import SessionStore
from parley.storage.table import Item, Table
from parley.storage.turns import TurnStore
from parley.storage.words import WordStore
from tests import moto_table
from tests.moto_table import mock_aws
from tests.unit.memory import own
from tests.unit.memory_dynamodb import MemoryDynamoDB

SEED = 40
STEPS, MOST_STEPS = 300, 3_000
"""After the first, the test ends once each condition has met both cases."""
OFTEN = {
    "put_session": 3,
    "rotate_token": 3,
    "set_active_turn": 3,
    "acquire_lease": 4,
    "record_round": 12,
    "set_result": 9,
    "put_message": 4,
    "set_heard": 4,
    "note_say": 4,
    "put_interrupt": 3,
    "put_resume": 4,
    "mark_erased": 0.3,
    "sweep_session": 0.3,
    "forget_session": 0.3,
    "end_session": 0.5,
}
"""How much more often than others a method is called, so that its conditions meet both cases."""
START_S = 1_700_000_000
SESSIONS = (own("s"), Principal("acme", "ada").session("s"))
ADA = Principal("acme", "ada")


ONE_SIDED = {"settings = :before"}
"""It fails only where two write at the same time, which `test_session_store` has."""


class Pick(random.Random):
    """Chooses arguments, of each kind from a few, so that steps meet."""

    def ref(self) -> SessionRef:
        return self.choice(SESSIONS)

    def turn(self) -> tuple[SessionRef, str]:
        return self.ref(), self.choice(("t", "u"))

    def owner(self) -> str:
        return self.choice(("me", "you"))

    def connection(self) -> str:
        return self.choice(("c", "d"))

    def hash(self) -> str:
        return self.choice(("one", "two"))

    def few(self) -> int:
        """A time in ms, a sequence number or an attempt."""
        return self.randint(1, 3)

    def settings(self) -> Settings:
        return Settings(language=self.choice(("de", "en")))

    def message(self) -> Message:
        return Message(
            self.choice(("user", "assistant")),
            "One two.",
            self.choice(("t", "u")),
            language=self.choice((None, "de")),
        )

    def round(self, index: int) -> ToolRound:
        calls = ToolCalls((ToolCall("look", '{"a": 1}'), ToolCall("book")))
        refused = self.choice((None, CallResult("failed", "No.")))
        return ToolRound(index, calls, "One.", (None, refused), self.few(), "Two?")

    def frame(self) -> StoredFrame:
        return StoredFrame(self.choice(("t", "u")), self.few(), self.few(), self.few(), b"frame")

    def frames(self) -> list[StoredFrame]:
        """No two of the same key."""
        found = {
            (f.turn_id, f.started_ms, f.attempt, f.seq): f for f in (self.frame(), self.frame())
        }
        return [*found.values()]


def call(*arguments: Any, **options: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return arguments, options


CALLS: dict[type, dict[str, Callable[[Pick], tuple[tuple[Any, ...], dict[str, Any]]]]] = {
    SessionStore: {
        "put_session": lambda p: call(
            Session(
                p.ref(),
                p.hash(),
                p.connection(),
                p.settings(),
                "active",
                None,
                "https://x",
                connected_at_ms=p.few(),
            )
        ),
        "resume_session": lambda p: call(
            p.ref(),
            p.connection(),
            "https://y",
            connected_at_ms=p.few(),
            shown_hash=p.hash(),
            new_hash=p.hash(),
            signed=p.settings(),
        ),
        "rotate_token": lambda p: call(*p.turn(), shown_hash=p.hash(), new_hash=p.hash()),
        "change_settings": lambda p: call(p.ref(), p.settings()),
        "note_heard_language": lambda p: call(
            p.ref(), p.choice(("de", "en")), p.choice((p.few(), START_S * 2_000))
        ),
        "end_session": lambda p: call(p.ref(), p.few()),
        "end_after_turn": lambda p: call(*p.turn(), p.few()),
        "get_session": lambda p: call(p.ref()),
        "set_active_turn": lambda p: call(*p.turn(), p.few()),
        "note_say": lambda p: call(*p.turn(), p.few()),
        "forget_say": lambda p: call(*p.turn()),
        "has_session": lambda p: call(p.ref()),
        "mark_erased": lambda p: call(p.ref()),
        "sweep_session": lambda p: call(p.ref(), turns=p.choice((True, False))),
        "forget_session": lambda p: call(p.ref()),
        "read_conversation": lambda p: call(p.ref(), p.few(), f"MESSAGE#{p.few():015d}#"),
        "put_message": lambda p: call(
            p.ref(),
            p.few(),
            p.message(),
            p.choice((None, Metrics())),
            p.choice((None, Sound(1, 2))),
            attempt=p.few(),
        ),
        "forget_reply": lambda p: call(p.ref(), p.few(), p.choice(("t", "u"))),
        "set_heard": lambda p: call(
            p.ref(), message_key(p.few(), p.message()), "One", p.few(), p.choice((None, 1.5))
        ),
    },
    TurnStore: {
        "acquire_lease": lambda p: call(
            *p.turn(),
            p.owner(),
            attempt=p.choice((None, p.few())),
            received_at_ms=START_S * 1000 + p.randint(0, 10_000_000),
        ),
        "renew_lease": lambda p: call(*p.turn(), p.owner()),
        "finish_turn": lambda p: call(
            *p.turn(),
            p.owner(),
            reason=p.choice(("completed", "interrupted", "failed")),
            message_key="MESSAGE#1",
            parts=[Heard("One", 200)],
        ),
        "fail_turn": lambda p: call(*p.turn(), p.choice((None, p.owner())), p.few()),
        "get_failed_attempt": lambda p: call(*p.turn(), p.owner()),
        "get_turn": lambda p: call(*p.turn()),
        "list_running": lambda p: call(p.ref()),
        "put_answer": lambda p: call(*p.turn(), p.few(), [b"one", b"two"]),
        "get_answer": lambda p: call(*p.turn(), p.few()),
        "put_undelivered": lambda p: call(p.ref(), p.frames()),
        "list_undelivered": lambda p: call(p.ref()),
        "list_undelivered_of_turn": lambda p: call(*p.turn(), p.few()),
        "delete_undelivered": lambda p: call(p.ref(), p.frames()),
    },
    InboxStore: {
        "put_chunk": lambda p: call(*p.turn(), ChunkEntry(p.few(), b"\0\1")),
        "put_end": lambda p: call(*p.turn(), EndEntry(p.few(), p.few())),
        "put_pause": lambda p: call(
            *p.turn(), PauseEntry(p.few(), p.few(), is_over=p.choice((True, False)))
        ),
        "put_interrupt": lambda p: call(
            *p.turn(), InterruptEntry(p.choice((None, 0.1 + 0.2)), p.few())
        ),
        "list_interruptions": lambda p: call(*p.turn()),
        "put_ack": lambda p: call(*p.turn(), AckEntry(p.few(), p.few())),
        "put_resume": lambda p: call(
            *p.turn(), ResumeEntry(p.connection(), "https://x", p.few(), p.few(), p.few())
        ),
        "put_begun": lambda p: call(*p.turn(), BegunEntry(p.few())),
        "put_tool_result": lambda p: call(
            *p.turn(), ToolResultEntry(p.choice(("a", "b")), "found", p.choice((None, "broken")))
        ),
        "get_tool_result": lambda p: call(*p.turn(), p.choice(("a", "b"))),
        "clear_controls": lambda p: call(*p.turn(), START_S * 1000 + p.randint(0, 10_000_000)),
        "read_inbox": lambda p: call(*p.turn(), p.few()),
    },
    RoundStore: {
        "record_round": lambda p: call(
            *p.turn(), p.few(), p.owner(), p.few(), p.round(p.randint(0, 2))
        ),
        "set_result": lambda p: call(
            *p.turn(), p.few(), p.randint(0, 2), p.randint(0, 1), CallResult("done", f"{p.few()}")
        ),
        "read_rounds": lambda p: call(*p.turn(), p.few()),
    },
    WordStore: {
        "put_context": lambda p: call(*p.turn(), "A fact.", p.few()),
        "put_say": lambda p: call(*p.turn(), "Hello.", p.few()),
        "get_say": lambda p: call(*p.turn()),
    },
    ConnectionStore: {
        "add": lambda p: call(p.connection(), ADA, p.few(), {"tenant": 3}, p.settings()),
        "remove": lambda p: call(p.connection()),
        "bind": lambda p: call(p.connection(), p.ref(), "m"),
        "unbind": lambda p: call(p.connection(), p.ref()),
        "get_connection": lambda p: call(p.connection()),
        "find_initialised": lambda p: call([p.connection()]),
    },
}


class Watched(MemoryDynamoDB):
    """Notes which conditions have held, and which have not."""

    def __init__(self) -> None:
        super().__init__()
        self.conditions: defaultdict[str, set[bool]] = defaultdict(set)

    def _require(self, operation: str, item: Item, request: dict[str, Any]) -> None:
        held = self.conditions[request.get("ConditionExpression", "")]
        try:
            super()._require(operation, item, request)
            held.add(True)
        except ServiceError:
            held.add(False)
            raise

    @property
    def one_sided(self) -> set[str]:
        """The conditions that have only held, or never."""
        return {text for text, held in self.conditions.items() if text and len(held) == 1}


class Side:
    """The stores over one table."""

    def __init__(self, table: Table) -> None:
        sessions, turns = SessionStore(table), TurnStore(table)
        self._stores = {
            SessionStore: sessions,
            TurnStore: turns,
            InboxStore: turns.inboxes,
            ConnectionStore: sessions.connections,
            RoundStore: RoundStore(table),
            WordStore: sessions.words,
        }

    def outcome(self, store: type, method: str, arguments: Any, options: Any) -> Any:
        """Call a method. Return its answer, or what it raised."""
        try:
            answer = getattr(self._stores[store], method)(*arguments, **options)
            return [*answer] if isinstance(answer, Iterator) else answer
        except ServiceError as error:
            return error.response["Error"]["Code"]


@pytest.mark.parametrize("store", CALLS)
def test_no_method_of_a_store_is_missing(store: type) -> None:
    methods = {name for name, _ in inspect.getmembers(store, inspect.isfunction) if name[0] != "_"}
    assert CALLS[store].keys() == methods


def test_the_same_steps_have_the_same_outcomes_over_both_tables() -> None:
    pick, watched, now_s = Pick(SEED), Watched(), float(START_S)
    steps = [(store, method) for store, methods in CALLS.items() for method in methods]
    weights = [OFTEN.get(method, 1) for _, method in steps]
    with mock_aws():
        client = moto_table.client("dynamodb")
        moto_table.create_table(client)
        memory, moto = Side(watched.table), Side(Table(client, "table"))
        for number in range(MOST_STEPS):
            if number >= STEPS and watched.one_sided == ONE_SIDED:
                break
            ((store, method),) = pick.choices(steps, weights)
            arguments, options = CALLS[store][method](pick)
            now_s += pick.choice((0.001, 1, 40))
            with (
                mock.patch("time.time", lambda now_s=now_s: now_s),
                mock.patch("uuid.uuid4", lambda number=number: uuid.UUID(int=number)),
            ):
                outcomes = [
                    side.outcome(store, method, arguments, options) for side in (memory, moto)
                ]
            assert outcomes[0] == outcomes[1], (number, method, arguments, options)
        found = client.scan(TableName="table")["Items"]
        assert watched.items() == sorted(found, key=lambda i: (i["pk"]["S"], i["sk"]["S"]))
    assert watched.one_sided == ONE_SIDED, "each condition has held and has not"
