"""What each message of a client does, over an in-memory table."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from parley import interrupting
from parley.errors import ConnectionGone
from parley.ids import token_hash
from parley.inbox import AckEntry, ChunkEntry, EndEntry, InterruptEntry, ResumeEntry
from parley.invocation import TurnRequest
from parley.items import Session, StoredFrame
from parley.limits.rates import CHUNKS_PER_S
from parley.limits.rules import NO_LIMITS, LimitRules
from parley.messages import HISTORY_BYTES, MAX_BINDINGS, Envelope, Messages
from parley.principal import ANONYMOUS, Principal, SessionRef, session_id_of
from parley.protocol import (
    AnyServerEvent,
    ConfigUpdated,
    Error,
    Limit,
    Message,
    Pong,
    Ready,
    ReplyText,
    ServerEvent,
    SessionEnded,
    Settings,
    TurnEnd,
    Word,
    encode,
)
from parley.recovery import Recovery
from parley.settings import DEFAULT_SETTINGS
from tests.unit.fakes import MemoryStore, own


class Door:
    """The message function's insides, and one client on connection `c`."""

    def __init__(self, store: MemoryStore | None = None, limits: LimitRules = NO_LIMITS) -> None:
        self.store = store or MemoryStore()
        self.posts: list[tuple[str, str, ServerEvent]] = []
        self.closed: list[tuple[str, str]] = []
        self.turns: list[TurnRequest] = []
        self.gone = False
        self.connected: set[str] = set()
        self.messages = Messages(
            self.store,
            self.store,
            self,
            self.turns.append,
            defaults=DEFAULT_SETTINGS,
            history_messages=40,
            limits=limits,
        )

    def post(self, endpoint: str, connection_id: str, frame: bytes) -> None:
        if self.gone or (endpoint, connection_id) in self.closed:
            raise ConnectionGone
        assert len(frame) < 128 * 1024
        event = msgspec.json.decode(frame, type=AnyServerEvent)
        self.posts.append((endpoint, connection_id, event))

    def close(self, endpoint: str, connection_id: str) -> None:
        self.closed.append((endpoint, connection_id))

    def connect(self, connection: str, principal: Principal = ANONYMOUS) -> None:
        """Open a connection."""
        self.connected.add(connection)
        self.store.add_connection(connection, principal)

    def to(self, connection: str) -> list[ServerEvent]:
        """Everything that was posted to a connection."""
        return [event for _, to, event in self.posts if to == connection]

    def send(self, kind: str, connection: str = "c", **fields: Any) -> Any:
        """Send a message; the answer, if there is one."""
        if connection not in self.connected:  # as the connect function has done
            self.connect(connection)
        before = len(self.posts)
        envelope = Envelope(connection, "https://x/dev", 1_700_000_000_000)
        error = self.messages.handle(envelope, json.dumps({"type": kind, **fields}))
        answers = [event for _, to, event in self.posts[before:] if to == connection]
        answer = answers[0] if answers else None
        assert error is None or self.gone or any(isinstance(a, Error) for a in answers)
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
    session = door.store.sessions[own(ready.session_id)]
    assert session.token_hash == token_hash(ready.resume_token)
    assert session.settings == Settings(speed=0.8), "only what was chosen, so defaults may change"
    assert (ready.settings.speed, ready.settings.voice) == (0.8, DEFAULT_SETTINGS.voice)
    assert ready.resumed is False
    assert door.store.connections["c"].ref == own(ready.session_id)


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
    door.store.put_message(own(old.session_id), 1, Message("user", "Hello.", "t1"), None)
    new = door.ready("c2", session_id=old.session_id, resume_token=old.resume_token)
    assert (new.session_id, new.resumed) == (old.session_id, True)
    assert new.resume_token != old.resume_token
    assert new.history == [Message("user", "Hello.", "t1", started_ms=1)]
    assert door.store.sessions[own(old.session_id)].connection_id == "c2"


@pytest.mark.parametrize("token", [None, "", "wrong", "ÿ"])
def test_a_session_is_not_resumed_without_its_token(door: Door, token: str | None) -> None:
    old = door.ready()
    error = door.refused("init", "c2", protocol=1, session_id=old.session_id, resume_token=token)
    assert (error.code, error.field) == ("resume_denied", "init.resume_token")
    assert door.store.connections["c2"].ref is None
    assert door.refused("end", "c2").code == "not_initialised"


def test_a_token_is_good_until_the_next_one_is_shown(door: Door) -> None:
    first = door.ready()
    asked = {"session_id": first.session_id, "resume_token": first.resume_token}
    door.ready("c2", **asked)
    third = door.ready("c3", **asked)  # the answer to the one before never arrived
    door.ready("c4", session_id=first.session_id, resume_token=third.resume_token)
    assert door.refused("init", "c5", protocol=1, **asked).code == "resume_denied"


def test_who_loses_the_race_for_a_token_is_denied(door: Door) -> None:
    old = door.ready()
    resume = door.store.resume_session

    def overtaken(*arguments: Any, **options: Any) -> Session | None:
        door.store.sessions[own(old.session_id)] = replace(
            door.store.sessions[own(old.session_id)], token_hash="theirs", previous_hash="theirs"
        )
        return resume(*arguments, **options)

    door.store.resume_session = overtaken  # type: ignore[method-assign]  # a rival is quicker
    asked = {"session_id": old.session_id, "resume_token": old.resume_token}
    assert door.refused("init", "c2", protocol=1, **asked).code == "resume_denied"
    assert door.store.connections["c2"].ref is None


def test_one_message_that_comes_twice_at_once_rotates_the_token_once(door: Door) -> None:
    old = door.ready()
    asked = {"session_id": old.session_id, "resume_token": old.resume_token}
    bind = door.store.bind_connection

    def meanwhile(connection_id: str, ref: SessionRef, message_id: str) -> bool:
        door.store.bind_connection = bind  # type: ignore[method-assign]  # once
        door.ready(connection_id, **asked)
        return bind(connection_id, ref, message_id)

    door.store.bind_connection = meanwhile  # type: ignore[method-assign]  # a race
    door.send("init", "c2", protocol=1, **asked)
    ready, refused = [e for e in door.to("c2") if isinstance(e, Ready | Error)]
    assert isinstance(ready, Ready)
    assert isinstance(refused, Error)
    assert refused.code == "bad_request"
    door.ready("c3", session_id=old.session_id, resume_token=ready.resume_token)


@pytest.mark.parametrize("resuming", [True, False])
def test_an_init_that_is_delivered_twice_is_answered_once(door: Door, resuming: bool) -> None:
    old = door.ready()
    body: dict[str, Any] = {"type": "init", "protocol": 1}
    if resuming:
        body |= {"session_id": old.session_id, "resume_token": old.resume_token}
    door.connect("c2")
    envelope = Envelope("c2", "https://x/dev", 0, "the-message")
    for _ in range(2):
        assert door.messages.handle(envelope, json.dumps(body)) is None
    (ready,) = door.to("c2")
    assert isinstance(ready, Ready)
    assert door.store.sessions[own(ready.session_id)].token_hash == token_hash(ready.resume_token)


def test_a_session_that_nobody_came_back_to_is_not_found(door: Door) -> None:
    old = door.ready()
    session = door.store.sessions[own(old.session_id)]
    door.store.sessions[own(old.session_id)] = replace(session, expires_at=int(time.time()) - 1)
    asked = {"session_id": old.session_id, "resume_token": old.resume_token}
    error = door.refused("init", "c2", protocol=1, **asked)
    assert error.code == "session_not_found"
    assert "in time" in error.message


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
    assert door.turns[0].session == own(first.session_id)


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
        door.store.put_message(own(old.session_id), turn, Message("user", text, f"t{turn}"), None)
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
    other.connected = door.connected
    other.send("user_message", turn_id="t1", text="x")
    door.store.failing.add("connection")
    other.send("user_message", turn_id="t2", text="y")
    assert [turn.turn_id for turn in other.turns] == ["t1", "t2"]


def test_many_connections_are_not_mixed_up(door: Door) -> None:
    names = [f"c{n}" for n in range(MAX_BINDINGS + 50)]
    sessions = {name: door.ready(name).session_id for name in names}
    for name in (*names[:60], *names[-60:]):
        door.send("user_message", name, turn_id="t", text="x")
        assert door.turns[-1].session == own(sessions[name])


# --- coming back -----------------------------------------------------------------------------


def frame(turn_id: str, seq: int, started_ms: int = 1_000, attempt: int = 1) -> StoredFrame:
    event = ReplyText(turn_id, seq, f"{turn_id} {seq}", attempt=attempt)
    return StoredFrame(turn_id, started_ms, attempt, seq, encode(event))


def back(door: Door, old: Ready, connection: str = "c2", **received: Any) -> list[ServerEvent]:
    """Come back over another connection; what is posted to it after `ready`."""
    asked: dict[str, Any] = {"session_id": old.session_id, "resume_token": old.resume_token}
    if received:
        asked["received"] = received
    door.ready(connection, **asked)
    ready, *rest = door.to(connection)
    assert isinstance(ready, Ready)
    return rest


def test_a_running_turn_is_told_where_its_client_is_and_what_it_has(door: Door) -> None:
    old = door.ready()
    door.store.claim_turn(own(old.session_id), "t", "me")
    door.store.set_active_turn(own(old.session_id), "t")
    back(door, old, turn_id="t", seq=3, attempt=2)
    (entry,) = door.store.read_inbox(own(old.session_id), "t", 1)
    assert isinstance(entry, ResumeEntry)
    assert (entry.connection_id, entry.endpoint) == ("c2", "https://x/dev")
    assert (entry.attempt, entry.seq) == (2, 3)


def test_of_a_turn_that_the_client_has_not_seen_it_has_nothing(door: Door) -> None:
    old = door.ready()
    door.store.set_active_turn(own(old.session_id), "newer")
    back(door, old, turn_id="older", seq=3)
    entries = [
        door.store.read_inbox(own(old.session_id), turn, 1)[0] for turn in ("newer", "older")
    ]
    assert [getattr(entry, "seq", None) for entry in entries] == [0, 3]


def test_what_was_stored_is_sent_in_order_and_only_what_is_missing(door: Door) -> None:
    old = door.ready()
    stored = [frame("t", 2), frame("t", 3), frame("t", 10), frame("u", 1, started_ms=2_000)]
    door.store.put_undelivered(own(old.session_id), stored)
    sent = back(door, old, turn_id="t", seq=2)
    assert [(e.turn_id, e.seq) for e in sent if isinstance(e, ReplyText)] == [
        ("t", 3),
        ("t", 10),
        ("u", 1),
    ]


def test_what_has_arrived_is_forgotten_and_what_may_not_have_is_kept(door: Door) -> None:
    old = door.ready()
    door.store.claim_turn(own(old.session_id), "u", "me")
    earlier = door.store.turns[own(old.session_id), "u"].claim.started_ms - 5_000
    later = earlier + 10_000
    stored = [frame("t", 9, earlier), frame("u", 2, earlier + 5_000), frame("v", 1, later)]
    door.store.put_undelivered(own(old.session_id), stored)
    back(door, old, turn_id="u", seq=2)
    assert [f.turn_id for f in door.store.undelivered(own(old.session_id))] == ["v"]


def test_another_attempt_s_numbers_say_nothing(door: Door) -> None:
    old = door.ready()
    stored = [frame("t", 1, attempt=1), frame("t", 1, attempt=2), frame("t", 2, attempt=2)]
    door.store.put_undelivered(own(old.session_id), stored)
    sent = back(door, old, turn_id="t", seq=5, attempt=2)
    assert sent == []
    door.store.put_undelivered(own(old.session_id), stored)
    sent = back(door, door.to("c2")[0], "c3", turn_id="t", seq=5, attempt=1)  # type: ignore[arg-type]  # it is `ready`
    assert [e.attempt for e in sent if isinstance(e, ReplyText)] == [2, 2]


def test_a_client_that_has_nothing_gets_everything(door: Door) -> None:
    old = door.ready()
    door.store.put_undelivered(own(old.session_id), [frame("t", seq) for seq in (1, 2, 3)])
    assert len(back(door, old)) == 3


def test_a_client_that_goes_again_loses_nothing(door: Door) -> None:
    old = door.ready()
    door.store.put_undelivered(own(old.session_id), [frame("t", seq) for seq in (1, 2, 3)])
    post = door.post

    def gone_after_ready(endpoint: str, connection_id: str, data: bytes) -> None:
        post(endpoint, connection_id, data)
        door.gone = True

    door.post = gone_after_ready  # type: ignore[method-assign,assignment]  # the connection breaks
    assert back(door, old) == []
    assert len(list(door.store.undelivered(own(old.session_id)))) == 3


def test_the_older_connection_is_told_and_closed(door: Door) -> None:
    old = door.ready()
    back(door, old)
    assert door.to("c")[-1] == SessionEnded(old.session_id, "replaced")
    assert door.closed == [("https://x/dev", "c")]


def test_a_connection_that_is_gone_is_not_closed_again(door: Door) -> None:
    old = door.ready()
    door.closed.append(("https://x/dev", "c"))
    back(door, old)
    assert door.closed == [("https://x/dev", "c")]


def test_asking_for_a_turn_that_runs_changes_nothing(door: Door) -> None:
    session = own(door.ready().session_id)
    door.store.claim_turn(session, "t", "me")
    assert door.send("ping", sent_at=1, turn_id="t") == Pong(1)
    assert door.store.turns[session, "t"].state == "running"


@pytest.mark.parametrize("claimed", [True, False])
def test_asking_for_a_turn_that_died_or_never_began_ends_it(door: Door, claimed: bool) -> None:
    session = own(door.ready().session_id)
    if claimed:
        door.store.claim_turn(session, "t", "dead")
        door.store.turns[session, "t"].lease_until_ms = 0
    before = len(door.posts)
    door.send("ping", sent_at=1, turn_id="t")
    error, end, pong = [event for _, _, event in door.posts[before:]]
    assert isinstance(error, Error)
    assert isinstance(end, TurnEnd)
    assert pong == Pong(1)
    assert (error.turn_id, error.seq, error.retryable) == ("t", None, True)
    assert (end.turn_id, end.seq, end.attempt) == ("t", 0, 1)
    assert (end.reason, end.code, end.retryable) == ("failed", "internal", True)


def test_asking_for_a_turn_that_has_ended_gets_what_is_stored_of_it(door: Door) -> None:
    session = own(door.ready().session_id)
    door.store.claim_turn(session, "t", "me")
    door.store.finish_turn(session, "t", "me", reason="completed")
    door.store.put_undelivered(session, [frame("t", 4), frame("u", 1)])
    before = len(door.posts)
    door.send("ping", sent_at=1, turn_id="t")
    first, pong = [event for _, _, event in door.posts[before:]]
    assert isinstance(first, ReplyText)
    assert (first.turn_id, first.seq) == ("t", 4)
    assert pong == Pong(1)


def test_asking_for_a_turn_needs_a_session(door: Door) -> None:
    assert door.refused("ping", sent_at=1, turn_id="t").code == "not_initialised"


def test_a_dead_turn_s_end_waits_for_a_client_that_is_away(door: Door) -> None:
    session = own(door.ready().session_id)
    claim = door.store.claim_turn(session, "t", "dead")
    door.gone = True
    assert Recovery(door.store, door.store, door.post).end_dead_turn(session, "t", "dead")
    (stored,) = door.store.undelivered(session)
    assert claim is not None
    assert (stored.turn_id, stored.seq, stored.started_ms) == ("t", 0, claim.started_ms)


# --- turns -----------------------------------------------------------------------------------


def test_a_typed_turn_is_started(door: Door) -> None:
    ready = door.ready()
    assert door.send("user_message", turn_id="t1", text="Hello.") is None
    assert door.turns == [
        TurnRequest(own(ready.session_id), "t1", "c", "https://x/dev", 1_700_000_000_000, "Hello.")
    ]


def test_the_attempt_that_was_asked_for_goes_with_the_turn(door: Door) -> None:
    door.ready()
    door.send("user_message", turn_id="t1", text="x", attempt=3)
    door.send("audio_start", turn_id="t2", attempt=1)
    assert [turn.attempt for turn in door.turns] == [3, 1]


def test_a_spoken_turn_is_started_and_its_audio_kept(door: Door) -> None:
    session = own(door.ready().session_id)
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
    mine = door.ready().session_id
    door.send("user_message", turn_id="t", text="x", session_id=victim)
    door.send("audio_chunk", turn_id="t", seq=1, audio="AAA=", session_id=victim)
    assert door.turns[0].session == own(mine)
    assert [session for session, _ in door.store.inboxes] == [own(mine)]


def test_another_principal_s_session_is_not_there(door: Door) -> None:
    old = door.ready()
    door.connect("thief", Principal("default", "thief"))
    asked = {"session_id": old.session_id, "resume_token": old.resume_token}
    error = door.refused("init", "thief", protocol=1, **asked)
    absent = door.refused("init", "thief", protocol=1, **{**asked, "session_id": "nosuch"})
    assert error == absent
    assert error.code == "session_not_found"
    door.ready("c2", **asked)


def test_an_init_on_a_connection_that_is_gone_is_left_alone(door: Door) -> None:
    door.connect("c")
    door.store.remove_connection("c")
    assert door.send("init", protocol=1) is None
    assert door.store.sessions == {}


# --- interruptions -----------------------------------------------------------------------------


def test_an_interruption_reaches_a_running_turn(door: Door) -> None:
    session = own(door.ready().session_id)
    door.store.claim_turn(session, "t", "me")
    assert door.send("interrupt", turn_id="t", played_ms=120.5) is None
    assert door.store.read_inbox(session, "t", 1) == [InterruptEntry(120.5, 1_700_000_000_000)]


def test_an_interruption_after_the_turn_notes_what_was_heard(door: Door) -> None:
    session = own(door.ready().session_id)
    door.store.claim_turn(session, "t", "me")
    key = door.store.put_message(session, 1, Message("assistant", "One two.", "t"), None)
    words = [Word("One", 0, 200), Word("two.", 250, 600)]
    door.store.finish_turn(session, "t", "me", reason="completed", message_key=key, words=words)
    assert door.send("interrupt", turn_id="t", played_ms=300) is None
    assert door.store.messages(session)[0].heard == "One"


def test_an_interruption_of_a_reply_without_speech_leaves_it_whole(door: Door) -> None:
    session = own(door.ready().session_id)
    door.store.claim_turn(session, "t", "me")
    key = door.store.put_message(session, 1, Message("assistant", "One two.", "t"), None)
    door.store.finish_turn(session, "t", "me", reason="completed", message_key=key)
    assert door.send("interrupt", turn_id="t", played_ms=300) is None
    assert door.store.messages(session)[0].heard is None


def test_an_interruption_of_no_turn_is_refused(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupting, "TURN_APPEARS_S", 0.05)
    door.ready()
    error = door.refused("interrupt", turn_id="nosuch", played_ms=0)
    assert (error.code, error.field, error.turn_id) == (
        "bad_request",
        "interrupt.turn_id",
        "nosuch",
    )


# --- the rest -----------------------------------------------------------------------------------


def test_config_changes_what_it_names_and_answers_with_all(door: Door) -> None:
    session = own(door.ready(settings={"speed": 0.8}).session_id)
    answer = door.send("config", settings={"style": "Short."})
    assert isinstance(answer, ConfigUpdated)
    assert (answer.settings.speed, answer.settings.style) == (0.8, "Short.")
    assert answer.settings.voice == DEFAULT_SETTINGS.voice
    assert door.store.sessions[session].settings == Settings(speed=0.8, style="Short.")


def test_ping_gives_back_what_it_got_even_before_init(door: Door) -> None:
    assert door.send("ping", sent_at=1234.5) == Pong(1234.5)


def test_an_ack_reaches_the_turn_and_is_answered_with_silence(door: Door) -> None:
    session = own(door.ready().session_id)
    assert door.send("ack", turn_id="t", seq=3, played_ms=10) is None
    assert door.store.read_inbox(session, "t", 1) == [AckEntry(1, 3)]


def test_end_ends_the_session_and_its_running_turn(door: Door) -> None:
    session = own(door.ready().session_id)
    door.store.claim_turn(session, "t", "me")
    door.store.set_active_turn(session, "t")
    assert door.send("end") == SessionEnded(session_id_of(session))
    assert door.store.sessions[session].status == "ended"
    assert door.store.read_inbox(session, "t", 1) == [InterruptEntry(None, 1_700_000_000_000)]


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
    assert door.store.sessions[own(session.session_id)].status == "active"


# --- limits -----------------------------------------------------------------------------

ROOM = 1 + CHUNKS_PER_S
"""Messages that may come at once at one a second and utterances of one second."""


@pytest.fixture
def slow_door() -> Door:
    return Door(limits=replace(NO_LIMITS, messages_per_second=1, utterance_s=1))


def flood(door: Door, count: int, **message: Any) -> list[ServerEvent]:
    """Send a message many times at once; what is answered."""
    before = len(door.posts)
    for _ in range(count):
        door.messages.handle(Envelope("c", "https://x/dev", 0), json.dumps(message))
    return [event for _, _, event in door.posts[before:]]


def test_messages_that_are_too_many_are_dropped_and_told_once(slow_door: Door) -> None:
    *pongs, error = flood(slow_door, ROOM + 20, type="ping", sent_at=1)
    assert pongs == [Pong(1)] * ROOM
    assert isinstance(error, Error)
    assert (error.code, error.retryable, error.turn_id) == ("rate_limited", True, None)
    assert error.limit == Limit("messages_per_second", 1, "connection")
    assert 0 < (error.retry_after_ms or 0) <= 1000
    assert slow_door.send("ping", "other", sent_at=2) == Pong(2), "others are not concerned"


@pytest.mark.parametrize(
    ("message", "turn_id"),
    [
        ({"type": "user_message", "turn_id": "t", "text": "Hi."}, "t"),
        ({"type": "audio_start", "turn_id": "t"}, "t"),
        ({"type": "interrupt", "turn_id": "t", "played_ms": 1}, None),
        ({"type": "nosuch", "turn_id": "t"}, None),
    ],
)
def test_a_turn_that_is_dropped_is_named(
    slow_door: Door, message: dict[str, Any], turn_id: str | None
) -> None:
    slow_door.ready()
    flood(slow_door, ROOM - 1, type="ping", sent_at=1)
    (error,) = flood(slow_door, 2, **message)
    assert isinstance(error, Error)
    assert (error.code, error.turn_id) == ("rate_limited", turn_id)
    assert slow_door.turns == []


def test_who_goes_on_flooding_is_closed(slow_door: Door) -> None:
    flood(slow_door, ROOM + 90, type="ping", sent_at=1)
    assert slow_door.closed == []
    flood(slow_door, 30, type="ping", sent_at=1)
    assert ("https://x/dev", "c") in slow_door.closed


def test_a_deployment_may_take_only_shorter_messages() -> None:
    door = Door(limits=replace(NO_LIMITS, message_bytes=100))
    assert door.ready().limits.max_message_bytes == 100
    error = door.refused("user_message", turn_id="t", text="x" * 100)
    assert error.code == "too_large"
    assert "at most 100" in error.message
