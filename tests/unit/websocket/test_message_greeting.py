"""The agent speaks first: once in a session, whatever becomes of it."""

from __future__ import annotations

import pytest

from parley.agents.catalog import AgentCatalog
from parley.clock import now_ms
from parley.config import DEFAULT_SETTINGS
from parley.ids import token_hash
from parley.principal import SessionRef
from parley.protocol.agent_overrides import AgentOverrides
from parley.protocol.messages import Error, Ready
from parley.sessions.agent_turns import GREETING_TURN
from parley.sessions.settings_policy import SettingsPolicy
from tests.unit.door import Door
from tests.unit.memory import own

LATER_MS = 31_000
"""Longer than a lease holds."""
POLICY = SettingsPolicy(DEFAULT_SETTINGS)


@pytest.fixture
def door() -> Door:
    catalog = AgentCatalog("", POLICY, greeting="Hello {{name}}!")
    return Door(policy=POLICY, agents=catalog)


def come_back(door: Door, ready: Ready, connection: str = "d") -> Ready:
    door.now_ms += 1_000
    return door.ready(connection, session_id=ready.session_id, resume_token=ready.resume_token)


def acquire(door: Door, ref: SessionRef, attempt: int | None = None) -> None:
    """Begin the greeting, as the turn function does."""
    assert door.store.acquire_lease(
        ref, GREETING_TURN, "me", attempt=attempt, received_at_ms=door.now_ms
    )


def test_an_agent_greets_whoever_opens_a_session(door: Door) -> None:
    door.connect("c", agent=AgentOverrides(variables={"name": "Ada"}))
    ready = door.ready()
    (turn,) = door.turns
    assert (turn.say, turn.cause, turn.turn_id) == ("Hello Ada!", "greeting", "agent-greeting")
    assert (turn.session, turn.connection_id) == (own(ready.session_id), "c")
    assert turn.received_at_ms == door.now_ms


def test_without_a_greeting_the_user_speaks_first() -> None:
    silent = Door()
    silent.ready()
    assert silent.turns == []


def test_a_token_may_leave_the_greeting_out(door: Door) -> None:
    door.connect("c", agent=AgentOverrides(greeting=""))
    door.ready()
    assert door.turns == []


def test_who_first_connects_to_a_session_of_the_backend_is_greeted(door: Door) -> None:
    backend = AgentOverrides(greeting="Hello from the backend.")
    door.store.open_session(
        "s", connection_id="", backend_agent=backend, token_hash=token_hash("t")
    )
    door.ready(session_id="s", resume_token="t")
    assert [turn.say for turn in door.turns] == ["Hello from the backend."]


def test_a_greeting_that_was_never_begun_is_said_to_who_returns(door: Door) -> None:
    ready = door.ready()
    come_back(door, ready)
    assert [(turn.connection_id, turn.attempt) for turn in door.turns] == [("c", None), ("d", None)]


@pytest.mark.parametrize("reason", ["completed", "interrupted"])
def test_a_greeting_that_was_said_is_not_said_again(door: Door, reason: str) -> None:
    ready = door.ready()
    ref = own(ready.session_id)
    acquire(door, ref)
    door.store.set_active_turn(ref, GREETING_TURN, door.now_ms)
    door.store.finish_turn(ref, GREETING_TURN, "me", reason=reason)  # type: ignore[arg-type]
    come_back(door, ready)
    assert len(door.turns) == 1


def test_nobody_is_greeted_who_has_spoken(door: Door) -> None:
    ready = door.ready()
    door.store.set_active_turn(own(ready.session_id), "t1", door.now_ms)
    come_back(door, ready)
    assert len(door.turns) == 1


def test_a_greeting_that_failed_is_tried_again_for_who_returns(door: Door) -> None:
    ready = door.ready()
    ref = own(ready.session_id)
    tried = []
    for attempt, connection in enumerate("def", 1):
        acquire(door, ref, attempt)
        door.store.set_active_turn(ref, GREETING_TURN, door.now_ms)
        door.store.fail_turn(ref, GREETING_TURN, "me", attempt)
        ready = come_back(door, ready, connection)
        tried.append(door.turns[-1].attempt)
    assert tried == [2, 3, 3]
    assert len(door.turns) == 3, "it is tried three times"


def test_a_client_that_asks_after_a_dead_greeting_gets_another_attempt(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = door.ready()
    ref = own(ready.session_id)
    acquire(door, ref)
    monkeypatch.setattr("parley.storage.turns.now_ms", lambda: now_ms() + LATER_MS)
    door.send("ping", sent_at=1, turn_id=GREETING_TURN)
    assert [turn.attempt for turn in door.turns] == [None, 2]
    acquire(door, ref, 2)
    door.send("ping", sent_at=1, turn_id=GREETING_TURN, attempt=2)
    assert len(door.turns) == 2, "it runs"


@pytest.mark.parametrize("kind", ["user_message", "audio_start"])
def test_a_client_cannot_name_a_turn_like_the_agents(door: Door, kind: str) -> None:
    door.ready()
    error = door.refused(kind, turn_id="agent-greeting", text="x")
    assert isinstance(error, Error)
    assert (error.field, error.turn_id) == (f"{kind}.turn_id", "agent-greeting")
    assert len(door.turns) == 1
