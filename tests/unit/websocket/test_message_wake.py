"""The turn function is woken at `init`, for whoever will need it, and not more often."""

from __future__ import annotations

import pytest

from parley.agents.catalog import AgentCatalog
from parley.config import DEFAULT_SETTINGS
from parley.ids import token_hash
from parley.protocol.messages import Ready
from parley.protocol.turn_request import WakeRequest
from parley.sessions.settings_policy import SettingsPolicy
from parley.sessions.wake import WARM_MS
from tests.unit.door import Door
from tests.unit.memory import own

POLICY = SettingsPolicy(DEFAULT_SETTINGS)


def door_with(woken: list[WakeRequest], greeting: str = "") -> Door:
    agents = AgentCatalog("", POLICY, greeting=greeting)
    return Door(policy=POLICY, agents=agents, wake=woken.append)


@pytest.fixture
def woken() -> list[WakeRequest]:
    return []


@pytest.fixture
def door(woken: list[WakeRequest]) -> Door:
    return door_with(woken)


def come_back(door: Door, ready: Ready, connection: str, after_ms: int = 1_000) -> Ready:
    door.now_ms += after_ms
    return door.ready(connection, session_id=ready.session_id, resume_token=ready.resume_token)


def test_a_new_session_wakes_the_turn_function_for_itself(
    door: Door, woken: list[WakeRequest]
) -> None:
    ready = door.ready()
    assert woken == [WakeRequest(own(ready.session_id), "c", "https://x/dev")]


def test_ready_is_sent_before_anything_is_woken(woken: list[WakeRequest]) -> None:
    watched = Door(wake=woken.append)
    post = watched.post

    def post_and_look(endpoint: str, connection_id: str, frame: bytes) -> None:
        assert woken == []
        post(endpoint, connection_id, frame)

    watched.post = post_and_look  # type: ignore[method-assign]
    watched.ready()
    assert len(woken) == 1


def test_each_of_several_users_wakes_an_environment(door: Door, woken: list[WakeRequest]) -> None:
    sessions = [own(door.ready(connection).session_id) for connection in "abc"]
    assert [request.session for request in woken] == sessions


def test_a_session_that_is_resumed_ten_times_in_a_minute_wakes_once(
    door: Door, woken: list[WakeRequest]
) -> None:
    ready = door.ready()
    for number in range(10):
        ready = come_back(door, ready, f"c{number}", 6_000)
    assert len(woken) == 1


def test_a_session_wakes_again_when_its_environment_may_be_gone(
    door: Door, woken: list[WakeRequest]
) -> None:
    ready = come_back(door, door.ready(), "d", WARM_MS - 1)
    ready = come_back(door, ready, "e", 1)
    come_back(door, ready, "f", WARM_MS - 1)
    assert [request.connection_id for request in woken] == ["c", "e"]


def test_a_session_that_was_opened_over_http_wakes_at_its_first_connection(
    door: Door, woken: list[WakeRequest]
) -> None:
    door.store.open_session("s", connection_id="", token_hash=token_hash("t"))
    door.ready(session_id="s", resume_token="t")
    assert [request.session for request in woken] == [own("s")]


def test_an_agent_that_greets_is_awake(woken: list[WakeRequest]) -> None:
    door = door_with(woken, greeting="Hello!")
    door.ready()
    assert [turn.cause for turn in door.turns] == ["greeting"]
    assert woken == []


def test_what_waits_to_be_said_is_a_wake_too(door: Door, woken: list[WakeRequest]) -> None:
    ready = door.ready()
    ref = own(ready.session_id)
    woken.clear()
    door.store.words.put_say(ref, "note", "Your taxi is here.", door.now_ms)
    door.store.note_say(ref, "note", door.now_ms)
    come_back(door, ready, "d", WARM_MS)
    assert [turn.cause for turn in door.turns] == ["say"]
    assert woken == []


def test_an_init_that_is_refused_wakes_nobody(door: Door, woken: list[WakeRequest]) -> None:
    door.refused("init", protocol=1, session_id="unknown", resume_token="t")
    door.refused("init", "d", protocol=2)
    assert woken == []
