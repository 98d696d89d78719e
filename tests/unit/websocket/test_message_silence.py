"""A silent user is asked once, and a session ends in time: by the server's record of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET

from parley.agents.catalog import AgentCatalog
from parley.agents.file import AgentFiles
from parley.config import DEFAULT_SETTINGS
from parley.ids import new_ulid, token_hash
from parley.principal import SessionRef
from parley.protocol.messages import SessionEnded, SilenceRules, Usage
from parley.sessions.settings_policy import SettingsPolicy
from parley.sessions.silence import SilencePolicy
from tests.unit.door import Door
from tests.unit.memory import own

BOTH = SilencePolicy(10, 20, "Hello?")


def speak(door: Door, ref: SessionRef, turn_id: str = "t1") -> None:
    """Say something, and have it replied to."""
    door.store.acquire_lease(ref, turn_id, "me", received_at_ms=door.now_ms)
    door.store.set_active_turn(ref, turn_id, door.now_ms)
    door.store.finish_turn(ref, turn_id, "me", reason="completed")


def wait(door: Door, seconds: float) -> Any:
    """Be silent, and say so."""
    door.now_ms += round(seconds * 1000)
    return door.send("silence", silent_ms=seconds * 1000)


def asked(door: Door) -> str:
    """Say what the agent asks, as the turn function does."""
    turn = door.turns[-1]
    speak(door, turn.session, turn.turn_id)
    return str(turn.say)


def conversation(silence: SilencePolicy = BOTH, **more: Any) -> tuple[Door, SessionRef]:
    door = Door(silence=silence, **more)
    ref = own(door.ready().session_id)
    speak(door, ref)
    return door, ref


def test_a_client_is_told_when_silence_counts() -> None:
    assert Door(silence=BOTH).ready().silence == SilenceRules(10_000, 20_000)
    assert Door(silence=SilencePolicy(0, 5)).ready().silence == SilenceRules(None, 5_000)
    assert Door().ready().silence is UNSET


def test_a_silent_user_is_asked_and_then_the_session_ends() -> None:
    door, ref = conversation()
    assert wait(door, 10) is None
    (turn,) = door.turns
    assert (turn.say, turn.cause, turn.connection_id) == ("Hello?", "silence", "c")
    assert turn.turn_id.startswith("agent-silence-")
    asked(door)
    assert wait(door, 20) == SessionEnded(door.store.sessions[ref].session_id, "silence", Usage())
    assert door.store.sessions[ref].status == "ended"


@pytest.mark.parametrize(("seconds", "turns"), [(7.9, 0), (8.1, 1)])
def test_a_client_cannot_have_it_asked_early(seconds: float, turns: int) -> None:
    door, _ = conversation()
    assert wait(door, seconds) is None
    assert len(door.turns) == turns


def test_a_silence_is_asked_about_once() -> None:
    door, _ = conversation()
    for _ in range(3):
        wait(door, 10)
    assert {turn.turn_id for turn in door.turns} == {door.turns[0].turn_id}, "one lease"
    asked(door)
    begun = len(door.turns)
    assert wait(door, 10) is None
    assert len(door.turns) == begun


def test_the_next_silence_is_asked_about_again() -> None:
    door, ref = conversation()
    wait(door, 10)
    asked(door)
    speak(door, ref, "t2")
    wait(door, 10)
    assert len({turn.turn_id for turn in door.turns}) == 2


def test_a_session_does_not_end_early() -> None:
    door, ref = conversation()
    wait(door, 10)
    asked(door)
    assert wait(door, 17) is None
    assert door.store.sessions[ref].status == "active"


def test_a_session_may_end_without_a_question() -> None:
    door, _ = conversation(SilencePolicy(0, 5))
    assert isinstance(wait(door, 5), SessionEnded)
    assert door.turns == []


def test_whoever_waits_for_a_reply_is_not_silent() -> None:
    door, ref = conversation()
    door.store.acquire_lease(ref, "t2", "me", received_at_ms=door.now_ms)
    door.store.set_active_turn(ref, "t2", door.now_ms)
    assert wait(door, 60) is None
    assert door.turns == []


def test_where_silence_changes_nothing_it_is_refused() -> None:
    door = Door()
    door.ready()
    assert door.refused("silence", silent_ms=60_000).field == "silence"


@pytest.mark.parametrize(("language", "question"), [("de", "Noch da?"), ("fr", "Hello?")])
def test_an_agent_asks_in_the_sessions_language(
    tmp_path: Path, language: str, question: str
) -> None:
    (tmp_path / "agents").mkdir()
    text = 'public = true\nsilence_prompt = {de = "Noch da?"}'
    (tmp_path / "agents" / "host.toml").write_text(text)
    policy = SettingsPolicy(DEFAULT_SETTINGS)
    catalog = AgentCatalog("", policy, files=AgentFiles([str(tmp_path)]))
    door = Door(policy=policy, agents=catalog, silence=BOTH)
    ref = own(door.ready(agent="host", settings={"language": language}).session_id)
    speak(door, ref)
    wait(door, 10)
    assert asked(door) == question


# --- length ---------------------------------------------------------------------------------------


def long_session(door: Door, minutes: float) -> SessionRef:
    """Connect to a session that was opened so long ago."""
    session_id = new_ulid(door.now_ms - round(minutes * 60_000))
    door.store.open_session(session_id, token_hash=token_hash("t"))
    door.ready(session_id=session_id, resume_token="t")
    return own(session_id)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("user_message", {"turn_id": "t2", "text": "And?"}),
        ("audio_start", {"turn_id": "t2"}),
        ("config", {"settings": {"speed": 0.9}}),
    ],
)
def test_a_session_that_lasts_too_long_ends(kind: str, fields: dict[str, Any]) -> None:
    door = Door(max_session_s=600)
    ref = long_session(door, 10)
    session_id = door.store.sessions[ref].session_id
    assert door.send(kind, **fields) == SessionEnded(session_id, "too_long", Usage())
    assert door.turns == []
    door.connect("d")
    refused = door.refused(
        "init", "d", protocol=1, session_id=door.store.sessions[ref].session_id, resume_token="t"
    )
    assert refused.code == "session_not_found"


def test_a_session_may_last_as_long_as_it_may() -> None:
    door = Door(max_session_s=600)
    long_session(door, 9.9)
    door.send("user_message", turn_id="t2", text="And?")
    assert len(door.turns) == 1


def test_a_reply_that_is_being_spoken_is_not_cut() -> None:
    door = Door(max_session_s=600)
    ref = long_session(door, 10)
    door.store.acquire_lease(ref, "t1", "me")
    messages: dict[str, dict[str, Any]] = {
        "ack": {"seq": 1},
        "audio_end": {"chunks": 0},
        "interrupt": {"played_ms": 7},
    }
    for kind, fields in messages.items():
        assert door.send(kind, turn_id="t1", **fields) is None
    assert door.store.sessions[ref].status == "active"
    assert len(door.store.inboxes.read_inbox(ref, "t1", 1)) == 3
