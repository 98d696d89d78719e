"""Whatever a client sends, it gets a message or an error that names field and rule."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.errors import BadMessage
from parley.protocol.decoder import Decoder
from parley.protocol.messages import (
    MAX_CHUNK_BYTES,
    MAX_MESSAGE_BYTES,
    AudioChunk,
    Init,
    UserMessage,
)

decoder = Decoder()


def refused(body: str) -> BadMessage:
    with pytest.raises(BadMessage) as error:
        decoder.decode(body)
    return error.value


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ("", "bad_request", None),
        ("hello", "bad_request", None),
        ("[]", "bad_request", None),
        ('"x"', "bad_request", None),
        ("null", "bad_request", None),
        ("{}", "bad_request", "type"),
        ('{"type": null}', "bad_request", "type"),
        ('{"type": ["a"]}', "unknown_type", "type"),
        ('{"type": "nosuch"}', "unknown_type", "type"),
        ('{"type": "ping"}', "bad_request", "ping.sent_at"),
        ('{"type": "ping", "sent_at": "now"}', "bad_request", "ping.sent_at"),
        ('{"type": "ping", "sent_at": NaN}', "bad_request", None),
        ('{"type": "init", "protocol": 1.5}', "bad_request", "init.protocol"),
        ('{"type": "init", "protocol": 1, "received": {"seq": 1}}', "bad_request",
         "init.received.turn_id"),
        ('{"type": "init", "protocol": 1, "settings": {"speed": 9}}', "bad_request",
         "init.settings.speed"),
        ('{"type": "audio_start", "turn_id": "a", "endpointing": "x"}', "bad_request",
         "audio_start.endpointing"),
        ('{"type": "audio_end", "turn_id": "a", "chunks": -1}', "bad_request", "audio_end.chunks"),
        ('{"type": "audio_chunk", "turn_id": "a", "seq": 1, "audio": "AAA"}', "bad_request",
         "audio_chunk.audio"),
        ('{"type": "audio_chunk", "turn_id": "a", "seq": 1, "audio": ""}', "bad_request",
         "audio_chunk.audio"),
        ('{"type": "interrupt", "turn_id": "a", "played_ms": -1}', "bad_request",
         "interrupt.played_ms"),
        ('{"type": "user_message", "turn_id": "", "text": "x"}', "bad_request",
         "user_message.turn_id"),
        ('{"type": "user_message", "turn_id": "a", "text": "\\ud800"}', "bad_request", None),
        ("[" * 10_000, "bad_request", None),
        ('{"type": "ping", "x": ' + "[" * 10_000 + "]" * 10_000 + "}", "bad_request", None),
        ('{"type": ' + "[" * 10_000 + "]" * 10_000 + "}", "bad_request", None),
        ('{"type": "audio_end", "turn_id": "a\\n", "chunks": 1}', "bad_request",
         "audio_end.turn_id"),
        ('{"type": "audio_end", "turn_id": "a\\u0000", "chunks": 1}', "bad_request",
         "audio_end.turn_id"),
        ('{"type": "config", "settings": {"voice": "v\\n"}}', "bad_request",
         "config.settings.voice"),
        ('{"type": "init", "protocol": ' + "9" * 300 + "}", "bad_request", "init.protocol"),
        ('{"type": "init", "protocol": ' + "9" * 20_000 + "}", "bad_request", "init.protocol"),
        ('{"type": "ping", "sent_at": ' + "9" * 20_000 + "}", "bad_request", "ping.sent_at"),
        ('{"type": "ping", "sent_at": 1e400}', "bad_request", "ping.sent_at"),
        ('{"type": "ping", "sent_at": -Infinity}', "bad_request", None),
        ('{"type": 7, "x": NaN}', "bad_request", None),
        ('{"type": "ack", "turn_id": "a", "seq": 1e3}', "bad_request", "ack.seq"),
        ('{"type": "ping", "sent_at": 1, "sent_at": 2}', "bad_request", None),
        ('{"type": "ping", "sent_at": 1, "sent\\u005fat": 2}', "bad_request", None),
        ('{"type": "ping", "type": "end", "sent_at": 1}', "bad_request", None),
        ('{"type": "config", "settings": {"speed": 1, "speed": 1}}', "bad_request", None),
        ('{"type": "ping", "sent_at": 1, "x": ' + "[" * 8 + "]" * 8 + "}", "bad_request", None),
        ('{"type": "ping", "sent_at": 1, "x": [' + "0," * 130 + "0]}", "bad_request", None),
        (json.dumps({f"k{n}": n for n in range(200)}), "bad_request", None),
        ('{"type": "ping", "sent_at": 1, "x": "\udc80"}', "bad_request", None),
        ('"' + '\\"' * 16_000, "bad_request", None),
        ('{"type": "end"} {"type": "end"}', "bad_request", None),
        ("\ufeff{}", "bad_request", None),
        ("x" * (MAX_MESSAGE_BYTES + 1), "too_large", None),
        ("é" * (MAX_MESSAGE_BYTES // 2 + 1), "too_large", None),
    ],
)  # fmt: skip
def test_bad_input_names_field_and_rule(body: str, code: str, field: str | None) -> None:
    error = refused(body)
    assert (error.code, error.field) == (code, field)
    if field:
        assert error.message.startswith(f"{field}: ")


def test_an_error_belongs_to_the_turn_it_names() -> None:
    assert refused('{"type": "user_message", "turn_id": "t-1"}').turn_id == "t-1"
    assert refused('{"type": "user_message", "turn_id": "no/id"}').turn_id is None


def test_an_error_says_what_is_allowed() -> None:
    assert "pcm_16000" in refused('{"type":"audio_start","turn_id":"a","format":"mp3"}').message
    assert "interrupt" in refused('{"type":"nosuch"}').message


def test_unknown_fields_are_ignored() -> None:
    message = decoder.decode('{"type": "init", "protocol": 1, "from_the_future": [1]}')
    assert isinstance(message, Init)


def test_what_a_newer_client_may_add_is_within_the_limits() -> None:
    added = {"widgets": [{"name": f"widget {n}", "args": [1, {"a": [2]}]} for n in range(12)]}
    assert isinstance(decoder.decode(json.dumps({"type": "init", "protocol": 1, **added})), Init)


def test_an_error_shows_neither_a_long_name_nor_what_surrounds_it() -> None:
    name = "n" * 5_000
    error = refused(f'{{"type": "ping", "{name}": "secret", "{name}": 1}}')
    assert len(error.message) < 100
    assert "secret" not in error.message


def test_the_largest_chunk_fits_into_the_largest_message() -> None:
    audio = base64.b64encode(bytes(MAX_CHUNK_BYTES)).decode()
    body = json.dumps({"type": "audio_chunk", "turn_id": "t" * 64, "seq": 9000, "audio": audio})
    message = decoder.decode(body)
    assert isinstance(message, AudioChunk)
    assert len(message.audio) == MAX_CHUNK_BYTES


BAD = ("none", "bad_request", "unknown_type")
GOOD: list[dict[str, object]] = [
    {"type": "init", "protocol": 1, "session_id": "s", "resume_token": "t",
     "received": {"turn_id": "a", "seq": 3}, "settings": {"voice": "v", "speed": 1.1}},
    {"type": "user_message", "turn_id": "a", "text": "Hello.", "attempt": 2},
    {"type": "audio_start", "turn_id": "a", "format": "pcm_16000", "endpointing": "server_vad"},
    {"type": "audio_chunk", "turn_id": "a", "seq": 1, "audio": "AAAAAA=="},
    {"type": "interrupt", "turn_id": "a", "played_ms": 12.5},
    {"type": "ping", "sent_at": 1.5, "turn_id": "a"},
]  # fmt: skip


@pytest.mark.parametrize("message", GOOD, ids=lambda message: str(message["type"]))
def test_a_good_message_is_taken(message: dict[str, object]) -> None:
    assert code_of(json.dumps(message)) == "none"


def code_of(body: str) -> str:
    """The error's code, or that there was none; anything else than `BadMessage` raises."""
    try:
        decoder.decode(body)
    except BadMessage as error:
        return error.code
    return "none"


@given(st.text(max_size=200))
def test_any_text_is_a_message_or_bad(text: str) -> None:
    assert code_of(text) in BAD


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_bad(data: bytes) -> None:
    assert code_of(data.decode("utf-8", "surrogateescape")) in BAD


fragments = st.sampled_from(
    ['{"type":"ping","sent_at":', '"x":', '"type":"end"', "{", "}", "[", "]", ",", ":", "1", "-0.0",
     "1e400", "9" * 400, "NaN", "-Infinity", "true", "null", '"a"', '"\\ud800"', '"\\u0000"',
     '"\\', '"', "\udc80", "\ufeff", "\x00", "é", " ", "\n", "/*"]
)  # fmt: skip


@given(st.lists(fragments, max_size=30))
def test_any_pieces_of_json_are_a_message_or_bad(pieces: list[str]) -> None:
    assert code_of("".join(pieces)) in BAD


@given(st.data())
def test_a_message_that_was_damaged_is_a_message_or_bad(data: st.DataObject) -> None:
    body = json.dumps(data.draw(st.sampled_from(GOOD)))
    at = data.draw(st.integers(0, len(body)))
    until = data.draw(st.integers(at, min(len(body), at + 5)))
    assert code_of(body[:at] + data.draw(st.text(max_size=4)) + body[until:]) in BAD


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
types = st.sampled_from(
    ["init", "user_message", "audio_start", "audio_chunk", "audio_end", "interrupt", "config"]
)
fields = st.sampled_from(
    ["turn_id", "text", "seq", "audio", "chunks", "played_ms", "settings", "protocol"]
)


@given(types, st.dictionaries(fields, json_values))
def test_any_fields_are_a_message_or_bad(kind: str, values: dict[str, object]) -> None:
    assert code_of(json.dumps({"type": kind, **values})) in ("none", "bad_request", "too_large")


@given(st.text(min_size=1, max_size=50).filter(str.strip))
def test_a_message_says_what_was_sent(text: str) -> None:
    body = json.dumps({"type": "user_message", "turn_id": "a", "text": text})
    try:
        message = decoder.decode(body)
    except BadMessage:
        assert any("\ud800" <= char <= "\udfff" for char in text)
        return
    assert isinstance(message, UserMessage)
    assert message.text == text
