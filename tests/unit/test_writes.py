"""What a healthy turn costs in the table, counted in calls that DynamoDB bills."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest

from parley.history import History
from parley.invocation import TurnRequest
from parley.items import Session
from parley.messages import Envelope, Messages
from parley.opening import run_turn
from parley.principal import ANONYMOUS
from parley.protocol import Settings, TurnEnd
from parley.settings import DEFAULT_SETTINGS, Deployment
from parley.store import Store
from parley.table import Table
from parley.turn import Services
from parley.turns import Turns
from tests.unit.fakes import REF, FakeResponder, FakeSynthesizer, FakeTranscriber, Wire

WRITES = ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems")
WRITES_BEFORE_REPLAY = 5
"""The claim, the newest turn, the user's message, the reply, the turn's end."""


@pytest.fixture
def calls(client: Any) -> Counter[str]:
    """How often each operation is called."""
    found: Counter[str] = Counter()
    client.meta.events.register(
        "before-call.dynamodb", lambda model, **_: found.update([model.name])
    )
    return found


async def test_a_healthy_turn_costs_one_write_more_than_without_replay(
    table: Table, calls: Counter[str]
) -> None:
    store, turns, wire = Store(table), Turns(table), Wire()
    store.put_session(Session(REF, "", "c", Settings(), "active", None, "https://x"))
    messages = Messages(
        store,
        turns,
        _NoGate(),
        lambda request: None,
        defaults=DEFAULT_SETTINGS,
        history_messages=40,
    )
    store.add_connection("c", ANONYMOUS)
    store.bind_connection("c", REF, "m")

    def acknowledge(event: Any) -> None:
        if isinstance(event, TurnEnd):
            ack = f'{{"type": "ack", "turn_id": "t", "seq": {event.seq}}}'
            assert messages.handle(Envelope("c", "https://x", 0), ack) is None

    wire.on_event = acknowledge
    services = Services(
        store,
        turns,
        History(store, 40),
        FakeTranscriber(),
        FakeResponder(),
        FakeSynthesizer(),
        Deployment(table="table"),
        lambda event, fields: None,
    )
    request = TurnRequest(REF, "t", "c", "https://x", int(time.time() * 1000), text="Hello.")
    calls.clear()
    outcome = await run_turn(
        request, services, wire.post, "me", remaining_s=lambda: 60.0, cold=False
    )
    assert outcome is not None
    assert (outcome.reason, outcome.delivered) == ("completed", True)
    assert sum(calls[name] for name in WRITES) == WRITES_BEFORE_REPLAY + 1, calls


class _NoGate:
    def post(self, endpoint: str, connection_id: str, frame: bytes) -> None:
        raise AssertionError(f"nothing is posted to {endpoint} {connection_id}: {frame!r}")

    def close(self, endpoint: str, connection_id: str) -> None:
        raise AssertionError(f"{connection_id} at {endpoint} stays open")
