"""What a healthy turn costs in the table, counted in calls that DynamoDB bills."""

from __future__ import annotations

import re
import time
from collections import Counter
from typing import Any

import pytest

from parley.clock import now_ms
from parley.config import DEFAULT_SETTINGS, Deployment
from parley.limits.rules import NO_LIMITS, LimitRules, Share
from parley.limits.token_bucket import utc_day
from parley.limits.turn_quota import Meter
from parley.principal import ANONYMOUS, Principal, SessionRef
from parley.protocol.messages import Settings, TurnEnd
from parley.protocol.turn_request import TurnRequest
from parley.sessions.settings_policy import SettingsPolicy
from parley.storage.history_cache import HistoryCache
from parley.storage.item_codec import Session, number
from parley.storage.sessions import SessionStore
from parley.storage.table import Table
from parley.storage.turns import TurnStore
from parley.turn.context import TurnServices
from parley.turn.start import run_turn
from parley.websocket.arrival import Envelope
from parley.websocket.message_handler import MessageHandler
from tests.unit.fakes import FakeResponder, FakeSynthesizer, FakeTranscriber, Wire

WRITES = ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems")
ANN, BEN = Principal("acme", "ann"), Principal("acme2", "ben")
WRITES_BEFORE_REPLAY = 5
"""The claim, the newest turn, the user's message, the reply, the turn's end."""


@pytest.fixture(scope="module")
def client(moto_client: Any) -> Any:
    """A table whose requests botocore tells of."""
    return moto_client


@pytest.fixture
def calls(client: Any) -> Counter[str]:
    """How often each operation is called."""
    found: Counter[str] = Counter()
    client.meta.events.register(
        "before-call.dynamodb", lambda model, **_: found.update([model.name])
    )
    return found


@pytest.fixture
def accounts(client: Any) -> list[str]:
    """The partition keys of the limits that are asked for, by any operation."""
    found: list[str] = []

    def look(params: dict[str, Any], **_: Any) -> None:
        body = params["body"]
        found.extend(re.findall(r"LIMIT#[^\"]*", body if isinstance(body, str) else body.decode()))

    client.meta.events.register("before-call.dynamodb", look)
    return found


EVERYTHING = Share(10, 30, 3600, 3600)


@pytest.mark.parametrize(
    ("rules", "ref", "keys"),
    [
        (None, ANONYMOUS.session("s1"), []),
        (NO_LIMITS, ANONYMOUS.session("s2"), []),
        (LimitRules(EVERYTHING, EVERYTHING), ANONYMOUS.session("s3"), ["LIMIT#default"]),
        (LimitRules(EVERYTHING, Share()), ANN.session("s"), ["LIMIT#acme/ann"]),
        (
            LimitRules(EVERYTHING, EVERYTHING),
            BEN.session("s"),
            ["LIMIT#acme2/ben", "LIMIT#acme2"],
        ),
    ],
)
async def test_a_healthy_turn_costs_five_writes_its_ack_and_two_for_each_account_that_is_limited(
    table: Table,
    calls: Counter[str],
    accounts: list[str],
    rules: LimitRules | None,
    ref: SessionRef,
    keys: list[str],
) -> None:
    for key in keys:  # it is not the first of its day
        account_key = {"pk": {"S": key}, "sk": {"S": "USAGE"}}
        table.put(
            {
                **account_key,
                "used_on": number(utc_day(now_ms())),
                "charged_by": {"S": ""},
                "audio_ms": number(0),
                "speech_ms": number(0),
            }
        )
    store, turns, wire = SessionStore(table), TurnStore(table), Wire()
    accounts.clear()
    store.put_session(Session(ref, "", "c", Settings(), "active", None, "https://x"))
    messages = MessageHandler(
        store,
        turns,
        _NoGate(),
        lambda request: None,
        policy=SettingsPolicy(DEFAULT_SETTINGS),
        history_messages=40,
    )
    store.connections.remove("c")
    store.connections.add("c", ANONYMOUS)
    store.connections.bind("c", ref, "m")

    def acknowledge(event: Any) -> None:
        if isinstance(event, TurnEnd):
            ack = f'{{"type": "ack", "turn_id": "t", "seq": {event.seq}}}'
            assert messages.handle(Envelope("c", "https://x", 0), ack) is None

    wire.on_event = acknowledge
    services = TurnServices(
        store,
        turns,
        HistoryCache(store, 40),
        FakeTranscriber(),
        FakeResponder(),
        FakeSynthesizer(),
        Deployment(table="table"),
        lambda event, fields: None,
        meter=None if rules is None else Meter(table, rules),
    )
    request = TurnRequest(ref, "t", "c", "https://x", int(time.time() * 1000), text="Hello.")
    calls.clear()
    outcome = await run_turn(
        request, services, wire.post, "me", remaining_s=lambda: 60.0, cold=False
    )
    assert outcome is not None
    assert (outcome.reason, outcome.delivered) == ("completed", True)
    assert sorted(accounts) == sorted(2 * keys), "one to begin, one to be charged"
    writes = sum(calls[name] for name in WRITES)
    assert writes == WRITES_BEFORE_REPLAY + 1 + len(accounts), calls


class _NoGate:
    def post(self, endpoint: str, connection_id: str, frame: bytes) -> None:
        raise AssertionError(f"nothing is posted to {endpoint} {connection_id}: {frame!r}")

    def close(self, endpoint: str, connection_id: str) -> None:
        raise AssertionError(f"{connection_id} at {endpoint} stays open")
