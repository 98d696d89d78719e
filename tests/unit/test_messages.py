"""What each message of a client does, over an in-memory table."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from parley import messages as messages_module
from parley.errors import ConnectionGone
from parley.ids import token_hash
from parley.inbox import ChunkEntry, EndEntry, InterruptEntry
from parley.invocation import TurnRequest
from parley.items import Session
from parley.messages import HISTORY_BYTES, MAX_BINDINGS, Envelope, Messages
from parley.protocol import (
    AnyServerEvent,
    ConfigUpdated,
    Error,
    Message,
    Pong,
    Ready,
    ServerEvent,
    SessionEnded,
    Settings,
    Word,
)
from parley.settings import DEFAULT_SETTINGS
from tests.unit.fakes import MemoryStore


class Door:
    """The message function's insides, and one client on connection `c`."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        self.store = store or MemoryStore()
        self.posts: list[tuple[str, str, ServerEvent]] = []
        self.turns: list[TurnRequest] = []
        self.gone = False
        self.messages = Messages(
            self.store,
            self._post,
            self.turns.append,
            defaults=DEFAULT_SETTINGS,
            history_messages=40,
        )

    def _post(self, endpoint: str, connection_id: str, frame: bytes) -> None:
        if self.gone:
            raise ConnectionGone
        assert len(frame) < 128 * 1024
        event = msgspec.json.decode(frame, type=AnyServerEvent)
        self.posts.append((endpoint, connection_id, event))

    def send(self, kind: str, connection: str = "c", **fields: Any) -> Any:
        """Send a message; the answer, if there is one."""
        before = len(self.posts)
        envelope = Envelope(connection, "https://x/dev", 1_700_000_000_000)
        error = self.messages.handle(envelope, json.dumps({"type": kind, **fields}))
        answers = [event for _, to, event in self.posts[before:] if to == connection]
        assert len(answers) <= 1
        answer = answers[0] if answers else None
        assert (error is not None) == isinstance(answer, Error) or self.gone
        return answer

    def ready(self, connection: str = "c", **fields: Any) -> Ready:
        """Send `init`; what it is answered with."""
        answer = self.send("init", connection, protocol=1, **fields)
        assert isinstance(answer, Ready)
        return answer

    def refused(self, kind: str, connection: str = "c", **fields: Any) -> Error:
        """Send a message that is refused; the error."""
        answer = self.send(kind, connection, **fields)
        assert isinstance(answer, Error)
        return answer


@pytest.fixture
def door() -> Door:
    return Door()


# --- sessions ---------------------------------------------------------------------------


def test_init_opens_a_session_and_keeps_only_the_token_s_hash(door: Door) -> None:
    ready = door.ready(settings={"speed": 0.8})
    session = door.store.sessions[ready.session_id]
    assert session.token_hash == token_hash(ready.resume_token)
    assert session.settings == Settings(speed=0.8), "only what was chosen, so defaults may change"
    assert (ready.settings.speed, ready.settings.voice) == (0.8, DEFAULT_SETTINGS.voice)
    assert ready.resumed is False
    assert door.store.connections["c"] == ready.session_id


def test_another_protocol_version_is_refused(door: Door) -> None:
    error = door.refused("init", protocol=2)
    assert (error.code, error.field, error.retryable) == (
        "unsupported_protocol",
        "init.protocol",
        False,
    )
    assert door.store.sessions == {}


def test_a_session_is_resumed_with_its_history_and_a_new_token(door: Door) -> None:
    old = door.ready()
    door.store.put_message(old.session_id, 1, Message("user", "Hello.", "t1"), None)
    new = door.ready("c2", session_id=old.session_id, resume_token=old.resume_token)
    assert (new.session_id, new.resumed) == (old.session_id, True)
    assert new.resume_token != old.resume_token
    assert new.history == [Message("user", "Hello.", "t1", started_ms=1)]
    assert door.store.sessions[old.session_id].connection_id == "c2"


@pytest.mark.parametrize("token", [None, "", "wrong", "ÿ"])
def test_a_session_is_not_resumed_without_its_token(door: Door, token: str | None) -> None:
    old = door.ready()
    error = door.refused("init", "c2", protocol=1, session_id=old.session_id, resume_token=token)
    assert (error.code, error.field) == ("resume_denied", "init.resume_token")
    assert door.store.connections.get("c2") is None
    assert door.refused("end", "c2").code == "not_initialised"


def test_a_token_works_once(door: Door) -> None:
    old = door.ready()
    asked = {"session_id": old.session_id, "resume_token": old.resume_token}
    door.ready("c2", **asked)
    assert door.refused("init", "c3", protocol=1, **asked).code == "resume_denied"


def test_who_loses_the_race_for_a_token_is_denied(door: Door) -> None:
    old = door.ready()
    resume = door.store.resume_session

    def overtaken(old: Session, connection_id: str, new_token_hash: str) -> bool:
        assert resume(old, "rival", "hash")
        return resume(old, connection_id, new_token_hash)

    door.store.resume_session = overtaken  # type: ignore[method-assign]  # a rival is quicker
    asked = {"session_id": old.session_id, "resume_token": old.resume_token}
    assert door.refused("init", "c2", protocol=1, **asked).code == "resume_denied"
    assert door.store.connections.get("c2") is None


@pytest.mark.parametrize("over", [True, False])
def test_a_session_that_is_over_or_never_was_is_not_found(door: Door, over: bool) -> None:
    old = door.ready()
    name = old.session_id if over else "nosuch"
    door.send("end")
    error = door.refused("init", "c2", protocol=1, session_id=name, resume_token=old.resume_token)
    assert (error.code, error.field) == ("session_not_found", "init.session_id")


def test_a_connection_has_one_session(door: Door) -> None:
    first = door.ready()
    error = door.refused("init", protocol=1)
    assert (error.code, error.field) == ("bad_request", "init")
    door.send("user_message", turn_id="t", text="x")
    assert door.turns[0].session_id == first.session_id


def test_a_second_init_does_not_cost_the_session_its_token(door: Door) -> None:
    ready = door.ready()
    asked = {"session_id": ready.session_id, "resume_token": ready.resume_token}
    assert door.refused("init", protocol=1, **asked).code == "bad_request"
    assert door.ready("c2", **asked).resumed is True


def test_a_second_init_opens_no_session(door: Door) -> None:
    door.ready()
    door.refused("init", protocol=1)
    assert len(door.store.sessions) == 1


def test_the_history_of_ready_fits_into_a_frame_newest_first(door: Door) -> None:
    old = door.ready()
    for turn in range(40):
        text = f"{turn} " + "é" * 4_000
        door.store.put_message(old.session_id, turn, Message("user", text, f"t{turn}"), None)
    new = door.ready("c2", session_id=old.session_id, resume_token=old.resume_token)
    assert isinstance(new.history, list)
    turns = [message.turn_id for message in new.history]
    assert turns == [f"t{n}" for n in range(40 - len(turns), 40)]
    assert 0 < len(msgspec.json.encode(new.history)) <= HISTORY_BYTES


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("user_message", {"turn_id": "t", "text": "x"}),
        ("audio_start", {"turn_id": "t"}),
        ("audio_chunk", {"turn_id": "t", "seq": 1, "audio": "AAA="}),
        ("audio_end", {"turn_id": "t", "chunks": 1}),
        ("interrupt", {"turn_id": "t", "played_ms": 1}),
        ("config", {"settings": {}}),
        ("ack", {"turn_id": "t", "seq": 1}),
        ("end", {}),
    ],
)
def test_nothing_is_done_before_init(door: Door, kind: str, fields: dict[str, Any]) -> None:
    assert door.refused(kind, **fields).code == "not_initialised"
    assert (door.turns, door.store.inboxes) == ([], {})


def test_a_binding_is_looked_up_once(door: Door) -> None:
    door.ready()
    other = Door(door.store)
    other.send("user_message", turn_id="t1", text="x")
    door.store.failing.add("session_of")
    other.send("user_message", turn_id="t2", text="y")
    assert [turn.turn_id for turn in other.turns] == ["t1", "t2"]


def test_many_connections_are_not_mixed_up(door: Door) -> None:
    names = [f"c{n}" for n in range(MAX_BINDINGS + 50)]
    sessions = {name: door.ready(name).session_id for name in names}
    for name in (*names[:60], *names[-60:]):
        door.send("user_message", name, turn_id="t", text="x")
        assert door.turns[-1].session_id == sessions[name]


# --- turns -----------------------------------------------------------------------------------


def test_a_typed_turn_is_started(door: Door) -> None:
    ready = door.ready()
    assert door.send("user_message", turn_id="t1", text="Hello.") is None
    assert door.turns == [
        TurnRequest(ready.session_id, "t1", "c", "https://x/dev", 1_700_000_000_000, "Hello.")
    ]


def test_a_spoken_turn_is_started_and_its_audio_kept(door: Door) -> None:
    session = door.ready().session_id
    door.send("audio_chunk", turn_id="t1", seq=2, audio="BBBBBQ==")
    door.send("audio_start", turn_id="t1", format="pcm_8000", endpointing="server_vad")
    door.send("audio_end", turn_id="t1", chunks=2)
    (request,) = door.turns
    assert (request.spoken, request.format, request.endpointing) == (True, "pcm_8000", "server_vad")
    entries = door.store.read_inbox(session, "t1", 1)
    assert entries == [ChunkEntry(2, b"\x04\x10\x41\x05"), EndEntry(2, 1_700_000_000_000)]


def test_what_goes_to_the_turn_function_comes_out_as_it_was(door: Door) -> None:
    door.ready()
    door.send("user_message", turn_id="t1", text="Ünï 🙂 \u2028")
    door.send("audio_start", turn_id="t2", format="pcm_48000")
    for request in door.turns:
        assert msgspec.json.decode(msgspec.json.encode(request), type=TurnRequest) == request


def test_a_message_names_no_session_but_its_own(door: Door) -> None:
    victim = door.ready("victim").session_id
    own = door.ready().session_id
    door.send("user_message", turn_id="t", text="x", session_id=victim)
    door.send("audio_chunk", turn_id="t", seq=1, audio="AAA=", session_id=victim)
    assert door.turns[0].session_id == own
    assert [session for session, _ in door.store.inboxes] == [own]


# --- interruptions -----------------------------------------------------------------------------


def test_an_interruption_reaches_a_running_turn(door: Door) -> None:
    session = door.ready().session_id
    door.store.claim_turn(session, "t", "me")
    assert door.send("interrupt", turn_id="t", played_ms=120.5) is None
    assert door.store.read_inbox(session, "t", 1) == [InterruptEntry(120.5)]


def test_an_interruption_after_the_turn_notes_what_was_heard(door: Door) -> None:
    session = door.ready().session_id
    door.store.claim_turn(session, "t", "me")
    key = door.store.put_message(session, 1, Message("assistant", "One two.", "t"), None)
    words = [Word("One", 0, 200), Word("two.", 250, 600)]
    door.store.finish_turn(session, "t", reason="completed", message_key=key, words=words)
    assert door.send("interrupt", turn_id="t", played_ms=300) is None
    assert door.store.messages(session)[0].heard == "One"


def test_an_interruption_of_a_reply_without_speech_leaves_it_whole(door: Door) -> None:
    session = door.ready().session_id
    door.store.claim_turn(session, "t", "me")
    key = door.store.put_message(session, 1, Message("assistant", "One two.", "t"), None)
    door.store.finish_turn(session, "t", reason="completed", message_key=key)
    assert door.send("interrupt", turn_id="t", played_ms=300) is None
    assert door.store.messages(session)[0].heard is None


def test_an_interruption_of_no_turn_is_refused(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages_module, "TURN_APPEARS_S", 0.05)
    door.ready()
    error = door.refused("interrupt", turn_id="nosuch", played_ms=0)
    assert (error.code, error.field, error.turn_id) == (
        "bad_request",
        "interrupt.turn_id",
        "nosuch",
    )


# --- the rest -----------------------------------------------------------------------------------


def test_config_changes_what_it_names_and_answers_with_all(door: Door) -> None:
    session = door.ready(settings={"speed": 0.8}).session_id
    answer = door.send("config", settings={"style": "Short."})
    assert isinstance(answer, ConfigUpdated)
    assert (answer.settings.speed, answer.settings.style) == (0.8, "Short.")
    assert answer.settings.voice == DEFAULT_SETTINGS.voice
    assert door.store.sessions[session].settings == Settings(speed=0.8, style="Short.")


def test_ping_gives_back_what_it_got_even_before_init(door: Door) -> None:
    assert door.send("ping", sent_at=1234.5) == Pong(1234.5)


def test_ack_is_answered_with_silence(door: Door) -> None:
    door.ready()
    assert door.send("ack", turn_id="t", seq=3, played_ms=10) is None


def test_end_ends_the_session_and_its_running_turn(door: Door) -> None:
    session = door.ready().session_id
    door.store.claim_turn(session, "t", "me")
    door.store.set_active_turn(session, "t")
    assert door.send("end") == SessionEnded(session)
    assert door.store.sessions[session].status == "ended"
    assert door.store.read_inbox(session, "t", 1) == [InterruptEntry(None)]


def test_a_client_that_has_left_is_no_error(door: Door) -> None:
    door.gone = True
    assert door.send("ping", sent_at=1) is None


def test_our_failure_is_told_without_its_details(door: Door) -> None:
    door.messages.fail(Envelope("c", "https://x/dev", 0))
    ((_, _, event),) = door.posts
    assert isinstance(event, Error)
    assert (event.code, event.retryable) == ("internal", True)


def test_a_bad_message_changes_nothing(door: Door) -> None:
    session = door.ready()
    for body in ("", "[" * 9_000, '{"type":"nosuch"}', '{"type":"user_message"}'):
        assert door.messages.handle(Envelope("c", "https://x/dev", 0), body) is not None
    assert door.turns == []
    assert door.send("ping", sent_at=1) == Pong(1)
    assert door.store.sessions[session.session_id].status == "active"
