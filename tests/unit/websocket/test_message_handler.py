"""What each message of a client does, over an in-memory table."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from parley.audio.heard import Heard
from parley.config import DEFAULT_SETTINGS
from parley.limit import Limit
from parley.limits.message_rates import CHUNKS_PER_S
from parley.limits.rules import NO_LIMITS, LimitRules, Share
from parley.principal import Principal, parse_session_id
from parley.protocol.messages import (
    Choices,
    ConfigUpdated,
    Error,
    Message,
    Pong,
    ServerEvent,
    SessionEnded,
    Settings,
    Usage,
)
from parley.protocol.turn_request import TurnRequest
from parley.sessions.settings_policy import SettingsPolicy
from parley.storage.inbox_entries import (
    AckEntry,
    ChunkEntry,
    EndEntry,
    InterruptEntry,
    PauseEntry,
    ToolResultEntry,
)
from parley.websocket.arrival import Envelope
from tests.unit.door import Door
from tests.unit.memory import own

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
    entries = door.store.inboxes.read_inbox(session, "t1", 1)
    assert entries == [ChunkEntry(2, b"\x04\x10\x41\x05"), EndEntry(2, 1_700_000_000_000)]


def test_the_pauses_of_an_utterance_are_kept_for_its_turn(door: Door) -> None:
    session = own(door.ready().session_id)
    door.send("audio_start", turn_id="t1", pauses=True)
    door.send("speech_paused", turn_id="t1", chunks=3, pause=1)
    assert door.store.inboxes.read_inbox(session, "t1", 1) == [PauseEntry(1, 3)]
    door.send("speech_resumed", turn_id="t1", pause=1)
    door.send("audio_end", turn_id="t1", chunks=9, pause=2)
    (request,) = door.turns
    assert request.pauses
    assert door.store.inboxes.read_inbox(session, "t1", 1) == [
        EndEntry(9, 1_700_000_000_000, 2),
        PauseEntry(1, 0, is_over=True),
    ]


@pytest.mark.parametrize("pause", [0, -1, 9_001, 1.5, "1", None])
def test_a_pause_without_a_number_is_refused(door: Door, pause: object) -> None:
    door.ready()
    error = door.refused("speech_paused", turn_id="t1", chunks=3, pause=pause)
    assert (error.code, error.field) == ("bad_request", "speech_paused.pause")


def test_an_utterance_whose_end_nobody_would_find_is_refused_at_once() -> None:
    door = Door(policy=SettingsPolicy(DEFAULT_SETTINGS, endpointing=("manual",)))
    ready = door.ready()
    assert isinstance(ready.choices, Choices)
    assert ready.choices.endpointing == ["manual"]
    error = door.refused("audio_start", turn_id="t1", endpointing="server_vad")
    assert (error.code, error.field, error.turn_id) == (
        "bad_request",
        "audio_start.endpointing",
        "t1",
    )
    assert error.message == (
        "audio_start.endpointing: this deployment's transcriber takes manual only."
    )
    assert door.turns == []
    assert door.send("audio_start", turn_id="t1", endpointing="manual") is None
    assert len(door.turns) == 1


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
    assert [*door.store.entries] == [own(mine)]


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
    door.store.connections.remove("c")
    assert door.send("init", protocol=1) is None
    assert door.store.sessions == {}


# --- interruptions -----------------------------------------------------------------------------


def test_an_interruption_reaches_a_running_turn(door: Door) -> None:
    session = own(door.ready().session_id)
    door.store.acquire_lease(session, "t", "me")
    assert door.send("interrupt", turn_id="t", played_ms=120.5) is None
    assert door.store.inboxes.read_inbox(session, "t", 1) == [
        InterruptEntry(120.5, 1_700_000_000_000)
    ]


def test_an_interruption_after_the_turn_notes_what_was_heard(door: Door) -> None:
    session = own(door.ready().session_id)
    door.store.acquire_lease(session, "t", "me")
    key = door.store.put_message(session, 1, Message("assistant", "One two.", "t"), None)
    parts = [Heard("", 0), Heard("One", 200), Heard(" two.", 600)]
    door.store.finish_turn(session, "t", "me", reason="completed", message_key=key, parts=parts)
    assert door.send("interrupt", turn_id="t", played_ms=300) is None
    assert door.store.messages(session)[0].heard == "One"


def test_an_interruption_after_a_turn_without_times_notes_an_estimate(door: Door) -> None:
    session = own(door.ready().session_id)
    door.store.acquire_lease(session, "t", "me")
    key = door.store.put_message(session, 1, Message("assistant", "One two.", "t"), None)
    parts = [Heard("", 0), Heard("One", 200), Heard(" two.", 600, estimated=True)]
    door.store.finish_turn(session, "t", "me", reason="completed", message_key=key, parts=parts)
    assert door.send("interrupt", turn_id="t", played_ms=300) is None
    (reply,) = door.store.messages(session)
    assert (reply.heard, reply.heard_estimated) == ("One", True)


def test_an_interruption_of_a_reply_without_speech_leaves_it_whole(door: Door) -> None:
    session = own(door.ready().session_id)
    door.store.acquire_lease(session, "t", "me")
    key = door.store.put_message(session, 1, Message("assistant", "One two.", "t"), None)
    door.store.finish_turn(session, "t", "me", reason="completed", message_key=key)
    assert door.send("interrupt", turn_id="t", played_ms=300) is None
    assert door.store.messages(session)[0].heard is None


def test_an_interruption_of_a_turn_that_has_not_begun_waits_for_it(door: Door) -> None:
    session = own(door.ready().session_id)
    assert door.send("interrupt", turn_id="cold", played_ms=0) is None
    assert door.store.inboxes.list_interruptions(session, "cold") == [
        InterruptEntry(0, door.now_ms)
    ]


# --- the rest -----------------------------------------------------------------------------------


def test_config_changes_what_it_names_and_answers_with_all(door: Door) -> None:
    session = own(door.ready(settings={"speed": 0.8}).session_id)
    answer = door.send("config", settings={"language": "de"})
    assert isinstance(answer, ConfigUpdated)
    assert (answer.settings.speed, answer.settings.language) == (0.8, "de")
    assert answer.settings.voice == DEFAULT_SETTINGS.voice
    assert door.store.sessions[session].settings == Settings(speed=0.8, language="de")


def test_ping_gives_back_what_it_got_even_before_init(door: Door) -> None:
    assert door.send("ping", sent_at=1234.5) == Pong(1234.5)


def test_an_ack_reaches_the_turn_and_is_answered_with_silence(door: Door) -> None:
    session = own(door.ready().session_id)
    assert door.send("ack", turn_id="t", seq=3, played_ms=10) is None
    assert door.store.inboxes.read_inbox(session, "t", 1) == [AckEntry(1, 3)]


def test_end_ends_the_session_and_its_running_turn(door: Door) -> None:
    session = own(door.ready().session_id)
    door.store.acquire_lease(session, "t", "me")
    door.store.set_active_turn(session, "t", door.now_ms)
    assert door.send("end") == SessionEnded(parse_session_id(session), usage=Usage())
    assert door.store.sessions[session].status == "ended"
    assert door.store.inboxes.read_inbox(session, "t", 1) == [
        InterruptEntry(None, 1_700_000_000_000)
    ]


def test_a_client_that_has_left_is_no_error(door: Door) -> None:
    door.gone = True
    assert door.send("ping", sent_at=1) is None


def test_our_failure_is_told_without_its_details(door: Door) -> None:
    ping = '{"type": "ping", "sent_at": 1, "turn_id": "t"}'
    for body, field in (("{", None), (ping, "ping")):
        door.messages.report_fault(Envelope("c", "https://x/dev", 0), body)
        _, _, event = door.posts.pop()
        assert isinstance(event, Error)
        assert (event.code, event.retryable) == ("internal", True)
        assert (event.field, event.turn_id) == (field, None)


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
    ("message", "field", "turn_id"),
    [
        ({"type": "user_message", "turn_id": "t", "text": "Hi."}, "user_message", "t"),
        ({"type": "audio_start", "turn_id": "t"}, "audio_start", "t"),
        ({"type": "interrupt", "turn_id": "t", "played_ms": 1}, "interrupt", None),
        ({"type": "nosuch", "turn_id": "t"}, None, None),
    ],
)
def test_what_is_dropped_is_named_and_the_turn_that_it_begins(
    slow_door: Door, message: dict[str, Any], field: str | None, turn_id: str | None
) -> None:
    slow_door.ready()
    flood(slow_door, ROOM - 1, type="ping", sent_at=1)
    (error,) = flood(slow_door, 2, **message)
    assert isinstance(error, Error)
    assert (error.code, error.field, error.turn_id) == ("rate_limited", field, turn_id)
    assert slow_door.turns == []


def test_turns_that_are_too_many_are_not_started() -> None:
    door = Door(limits=LimitRules(Share(turns_per_minute=3)))
    door.ready()
    before = len(door.posts)
    for number in range(25):
        kind = "audio_start" if number % 2 else "user_message"
        message = {"type": kind, "turn_id": f"t{number}", "text": "Hello."}
        door.messages.handle(Envelope("c", "https://x/dev", 0), json.dumps(message))
    assert [turn.turn_id for turn in door.turns] == [f"t{number}" for number in range(20)]
    ((_, _, error),) = door.posts[before:]
    assert isinstance(error, Error)
    assert (error.code, error.retryable, error.turn_id) == ("rate_limited", True, "t20")
    assert error.field == "user_message"
    assert error.limit == Limit("turns_per_minute", 6, "connection")
    assert 9_000 < (error.retry_after_ms or 0) <= 10_000
    assert "6 turns a minute" in error.message
    assert door.send("ping", sent_at=2) == Pong(2), "the connection goes on"


@pytest.fixture
def limited_door() -> Door:
    """Six calls a minute, of which twenty may come at once."""
    return Door(limits=LimitRules(Share(turns_per_minute=3)))


class Calls:
    """The calls to the table that interruptions and questions make.

    Attributes:
        of: by name.
    """

    def __init__(self, door: Door) -> None:
        self.of: list[str] = []
        for place, name in ((door.store, "get_turn"), (door.store.inboxes, "put_interrupt")):
            setattr(place, name, self._counted(name, getattr(place, name)))

    def _counted(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any) -> Any:
            self.of.append(name)
            return call(*args)

        return counted


def test_interruptions_that_are_too_many_cost_no_call(limited_door: Door) -> None:
    limited_door.ready()
    calls = Calls(limited_door)
    before = len(limited_door.posts)
    for number in range(30):
        message = {"type": "interrupt", "turn_id": f"t{number}", "played_ms": 0}
        limited_door.messages.handle(Envelope("c", "https://x/dev", 0), json.dumps(message))
    assert len(calls.of) == 20 * 2, "each writes once and looks once"
    ((_, _, error),) = limited_door.posts[before:]
    assert isinstance(error, Error)
    assert (error.code, error.field, error.turn_id) == ("rate_limited", "interrupt", None)
    assert error.limit == Limit("interrupts_per_minute", 6, "connection")
    limited_door.send("user_message", turn_id="t", text="Hello.")
    assert [turn.turn_id for turn in limited_door.turns] == ["t"], "turns are counted apart"


def test_who_asks_after_turns_too_often_is_answered_as_if_there_were_no_turn(
    limited_door: Door,
) -> None:
    limited_door.ready()
    calls = Calls(limited_door)
    before = len(limited_door.posts)
    for number in range(30):
        message = {"type": "ping", "sent_at": number, "turn_id": "t"}
        limited_door.messages.handle(Envelope("c", "https://x/dev", 0), json.dumps(message))
    assert calls.of.count("get_turn") == 20
    answers = [event for _, _, event in limited_door.posts[before:]]
    assert [event.sent_at for event in answers if isinstance(event, Pong)] == list(range(30))


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


# --- results of the client's functions --------------------------------------------------------


def test_a_result_is_kept_for_the_call_of_its_own_session_and_turn(door: Door) -> None:
    ready = door.ready()
    call_id = f"{ready.session_id}.t1.0.0"
    assert door.send("tool_result", turn_id="t1", call_id=call_id, result="on the page") is None
    kept = door.store.inboxes.get_tool_result(own(ready.session_id), "t1", call_id)
    assert kept == ToolResultEntry(call_id, "on the page")


@pytest.mark.parametrize("call_id", ["{own}.t2.0.0", "another.t1.0.0", "t1.0.0", "{own}.t1"])
def test_a_result_for_another_session_or_turn_is_refused(door: Door, call_id: str) -> None:
    ready = door.ready()
    call_id = call_id.format(own=ready.session_id)
    error = door.refused("tool_result", turn_id="t1", call_id=call_id, result="It is paid.")
    assert (error.code, error.field) == ("bad_request", "tool_result.call_id")
    assert door.store.inboxes.get_tool_result(own(ready.session_id), "t1", call_id) is None
