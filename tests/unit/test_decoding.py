"""Whatever a client sends, it gets a message or an error that names field and rule."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.decoding import Decoder
from parley.errors import BadMessage
from parley.protocol import MAX_CHUNK_BYTES, MAX_MESSAGE_BYTES, AudioChunk, Init, UserMessage

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


def test_the_largest_chunk_fits_into_the_largest_message() -> None:
    audio = base64.b64encode(bytes(MAX_CHUNK_BYTES)).decode()
    body = json.dumps({"type": "audio_chunk", "turn_id": "t" * 64, "seq": 9000, "audio": audio})
    message = decoder.decode(body)
    assert isinstance(message, AudioChunk)
    assert len(message.audio) == MAX_CHUNK_BYTES


def code_of(body: str) -> str:
    """The error's code, or that there was none; anything else than `BadMessage` raises."""
    try:
        decoder.decode(body)
    except BadMessage as error:
        return error.code
    return "none"


@given(st.text(max_size=200))
def test_any_text_is_a_message_or_bad(text: str) -> None:
    assert code_of(text) in ("none", "bad_request", "unknown_type")


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
