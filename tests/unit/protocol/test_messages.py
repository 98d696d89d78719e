"""The messages on the wire: what they look like, and that they stay within their limits."""

from __future__ import annotations

import json
import string
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.audio.pcm import MAX_PACKET_BYTES
from parley.errors import BadMessage, ErrorCode, ParleyError
from parley.protocol import messages
from parley.protocol.decoder import Decoder
from parley.protocol.messages import (
    CLIENT_MESSAGES,
    MAX_MESSAGE_BYTES,
    AnyServerEvent,
    Audio,
    AudioFormat,
    Error,
    Metrics,
    ReplyText,
    Settings,
    TurnEnd,
    Word,
    encode,
)
from parley.turn.output.outbox import Outbox

names = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=64)
words = st.lists(
    st.builds(Word, st.text(max_size=9), st.integers(0, 10**6), st.integers(0, 10**6)), max_size=4
)
formats = st.sampled_from(AudioFormat.__args__)  # type: ignore[attr-defined]  # a Literal has them
events = st.one_of(
    st.builds(messages.Transcript, names, st.integers(1), st.text(max_size=50), st.booleans()),
    st.builds(ReplyText, names, st.integers(1), st.text(max_size=50)),
    st.builds(
        Audio,
        names,
        st.integers(1),
        st.binary(max_size=100),
        formats,
        st.integers(0),
        st.integers(0),
        words,
    ),
    st.builds(
        TurnEnd,
        names,
        st.integers(1),
        st.sampled_from(["completed", "interrupted", "failed"]),
        st.text(max_size=50),
        st.just(Metrics(total_ms=1.5, cold=False)),
        st.none() | st.text(max_size=20),
    ),
    st.builds(messages.Pong, st.floats(allow_nan=False, allow_infinity=False)),
)


@given(events)
def test_an_event_comes_out_as_it_went_in(event: messages.ServerEvent) -> None:
    frame = encode(event)
    assert msgspec.json.decode(frame, type=AnyServerEvent) == event
    assert json.loads(frame)["type"] == event.__struct_config__.tag


def test_an_audio_event_looks_like_this() -> None:
    event = Audio("t", 3, b"\0\1\2\3", "pcm_24000", 50, 100, [Word("Hi", 60, 90)])
    assert json.loads(encode(event)) == {
        "type": "audio",
        "turn_id": "t",
        "seq": 3,
        "audio": "AAECAw==",
        "format": "pcm_24000",
        "start_ms": 50,
        "duration_ms": 100,
        "words": [["Hi", 60, 90]],
    }


def test_what_is_not_known_is_left_out() -> None:
    found = json.loads(encode(TurnEnd("t", 1, "completed", "Hi", Metrics(total_ms=2.5))))
    assert found["metrics"] == {"total_ms": 2.5}
    assert "heard" not in found


def test_nothing_heard_is_not_the_same_as_not_known() -> None:
    found = json.loads(encode(TurnEnd("t", 1, "interrupted", "Hi", Metrics(), heard="")))
    assert found["heard"] == ""


@pytest.mark.parametrize("code", ErrorCode.__args__)  # type: ignore[attr-defined]  # a Literal has them
def test_every_error_reaches_the_client_whole(code: ErrorCode) -> None:
    error = ParleyError(
        code, "No.", retryable=True, field="f", retry_after_ms=5, missing=[1, 2], turn_id="t"
    )
    assert json.loads(encode(Error.from_error(error, seq=7))) == {
        "type": "error",
        "code": code,
        "message": "No.",
        "retryable": True,
        "turn_id": "t",
        "seq": 7,
        "field": "f",
        "retry_after_ms": 5,
        "missing": [1, 2],
    }


@pytest.mark.parametrize("audio_format", AudioFormat.__args__)  # type: ignore[attr-defined]  # a Literal has them
def test_the_largest_audio_event_stays_within_one_unit_of_metering(
    audio_format: AudioFormat,
) -> None:
    outbox = Outbox("t" * 64, audio_format)
    seconds = 8
    rate = int(audio_format.removeprefix("pcm_"))
    # quick speech of long words: 5 a second, 25 characters each
    spoken = [Word("ß" * 25, n * 200, n * 200 + 180) for n in range(seconds * 5)]
    outbox.add_audio(bytes(rate * 2 * seconds), spoken, 0)
    outbox.close_audio()
    sizes: list[int] = []
    while (event := outbox.take_next(0, everything=True)) is not None:
        assert isinstance(event, Audio)
        assert len(event.audio) <= MAX_PACKET_BYTES
        sizes.append(len(encode(event)))
    assert max(sizes) < MAX_MESSAGE_BYTES


EXAMPLES: list[dict[str, Any]] = [
    {
        "type": "init",
        "protocol": 1,
        "session_id": "s",
        "resume_token": "r",
        "received": {"turn_id": "t", "seq": 4},
        "settings": {"voice": "v", "language": "de", "speed": 0.9, "stability": 1, "style": "x"},
        "agent": "support",
        "tools": ["show_map"],
    },
    {"type": "user_message", "turn_id": "t", "text": "Hé 🙂"},
    {"type": "audio_start", "turn_id": "t", "format": "pcm_8000", "endpointing": "server_vad"},
    {"type": "audio_chunk", "turn_id": "t", "seq": 1, "audio": "AAA="},
    {"type": "speech_paused", "turn_id": "t", "chunks": 0, "pause": 1},
    {"type": "speech_resumed", "turn_id": "t", "pause": 1},
    {"type": "audio_end", "turn_id": "t", "chunks": 0, "pause": 2},
    {"type": "interrupt", "turn_id": "t", "played_ms": 0},
    {"type": "config", "settings": {}},
    {"type": "ack", "turn_id": "t", "seq": 0, "played_ms": 1.5},
    {"type": "ping", "sent_at": 1},
    {"type": "end"},
    {"type": "tool_result", "turn_id": "t", "call_id": "s.t.0.0", "result": "[1]"},
    {"type": "context", "text": "The cart has two items."},
    {"type": "silence", "silent_ms": 10_000.5},
]


def test_there_is_an_example_of_every_message() -> None:
    assert [e["type"] for e in EXAMPLES] == [m.__struct_config__.tag for m in CLIENT_MESSAGES]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(example["type"]))
def test_a_message_comes_out_as_it_went_in(example: dict[str, Any]) -> None:
    message = Decoder().decode(json.dumps(example))
    again = json.loads(msgspec.json.encode(message))
    assert {name: again[name] for name in example} == example


@given(
    st.builds(Settings, voice=names, speed=st.floats(0.7, 1.2), style=st.text(max_size=10)),
    st.builds(Settings, language=st.sampled_from(["de", "fr"]), speed=st.floats(0.7, 1.2)),
)
def test_merging_settings_takes_the_newer_of_each(older: Settings, newer: Settings) -> None:
    merged = older.merged_with(newer)
    assert (merged.voice, merged.style) == (older.voice, older.style)
    assert (merged.language, merged.speed) == (newer.language, newer.speed)
    assert merged.merged_with(Settings()) == merged


DEEP = "[" * 10_000 + "]" * 10_000
WRONG = [
    "null",
    "true",
    "-1",
    "1e400",
    "1" + "0" * 400,
    "NaN",
    "-Infinity",
    '"x y"',
    '"\\ud800"',
    '"' + "x" * 9_000 + '"',
    "[]",
    "{}",
    '{"type": "end"}',
    DEEP,
    "{",
]


def refused(body: str) -> BadMessage | None:
    """How a message is refused, if it is; it fails in no other way."""
    try:
        assert isinstance(Decoder().decode(body), CLIENT_MESSAGES)
    except BadMessage as error:
        return error
    return None


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong[:20])
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(example["type"]))
def test_anything_in_any_field_is_a_message_or_a_bad_one(
    example: dict[str, Any], wrong: str
) -> None:
    for name in [*example, "from_the_future"]:
        error = refused(json.dumps({**example, name: "here"}).replace('"here"', wrong))
        if error is not None:
            kind = str(example["type"])
            assert error.field is None or error.field.startswith(("type", f"{kind}.{name}"))
            assert len(error.message) < 500


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong[:20])
@pytest.mark.parametrize("name", ["voice", "language", "speed", "stability", "style", "other"])
def test_anything_in_any_setting_is_a_message_or_a_bad_one(name: str, wrong: str) -> None:
    error = refused(f'{{"type": "config", "settings": {{"{name}": {wrong}}}}}')
    if error is not None:
        assert error.field in (None, f"config.settings.{name}")
        assert len(error.message) < 500
