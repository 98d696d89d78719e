"""The wire protocol as the client sees it: typed events, and the messages it sends.

Parsing and building only: no socket, no clock. A server newer than this client
may send fields and types it doesn't know: unknown fields are ignored and
unknown types become `UnknownEvent`, so that their numbers are still counted.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias

from parley_client.errors import ProtocolViolation

PROTOCOL_VERSION = 1

AudioFormat: TypeAlias = Literal[
    "pcm_8000", "pcm_16000", "pcm_22050", "pcm_24000", "pcm_44100", "pcm_48000"
]
"""Signed 16-bit little-endian mono PCM; the number is the sample rate in Hz."""
Endpointing: TypeAlias = Literal["manual", "server_vad"]
Reason: TypeAlias = Literal["completed", "interrupted", "failed"]
Message: TypeAlias = dict[str, object]
"""A client message before it becomes JSON."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a session may choose; None keeps what is in force."""

    voice: str | None = None
    """An ElevenLabs voice id."""
    language: str | None = None
    """ISO 639 code of the language spoken, e.g. `en`."""
    speed: float | None = None
    """0.7 to 1.2."""
    stability: float | None = None
    """0 to 1."""
    style: str | None = None
    """How to reply, in words."""

    def as_json(self) -> Message:
        """The settings that are set."""
        return {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if getattr(self, field.name) is not None
        }


@dataclass(frozen=True, slots=True)
class Limits:
    """What the server accepts."""

    max_message_bytes: int = 32_768
    max_chunk_bytes: int = 20_480
    max_chunks: int = 9_000
    max_text_chars: int = 8_000


@dataclass(frozen=True, slots=True)
class PastMessage:
    """One message of a resumed session's history."""

    role: str
    text: str
    turn_id: str
    heard: str | None = None


@dataclass(frozen=True, slots=True)
class Ready:
    """The session is open."""

    session_id: str
    resume_token: str
    resumed: bool
    settings: Settings
    limits: Limits
    protocol: int
    history: tuple[PastMessage, ...] = ()


@dataclass(frozen=True, slots=True)
class Transcript:
    """What the user is understood to have said so far; a final one stands."""

    turn_id: str
    seq: int
    text: str
    final: bool


@dataclass(frozen=True, slots=True)
class ReplyText:
    """More of the reply's text."""

    turn_id: str
    seq: int
    delta: str


@dataclass(frozen=True, slots=True)
class Word:
    """A spoken word and when it sounds, in ms of the reply's audio."""

    text: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Audio:
    """More of the reply's audio, from `start_ms` for `duration_ms`."""

    turn_id: str
    seq: int
    audio: bytes
    format: AudioFormat
    start_ms: int
    duration_ms: int
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class Metrics:
    """Where the server says a turn's time went, in ms since `user_message` or
    `audio_end` reached it. The parts from `dispatch_ms` to `delivery_ms` add up
    to `first_audio_ms`. None: not measured."""

    dispatch_ms: float | None = None
    transcript_ms: float | None = None
    prepare_ms: float | None = None
    responder_ms: float | None = None
    clause_ms: float | None = None
    synthesizer_ms: float | None = None
    delivery_ms: float | None = None
    first_text_ms: float | None = None
    first_audio_ms: float | None = None
    total_ms: float | None = None
    audio_ms: int | None = None
    reply_chars: int | None = None
    posts: int | None = None
    retries: int | None = None
    cold: bool | None = None
    connection_reused: bool | None = None


@dataclass(frozen=True, slots=True)
class TurnEnd:
    """The last event of a turn. `heard` is set when less was heard than said."""

    turn_id: str
    seq: int
    reason: Reason
    text: str
    metrics: Metrics
    heard: str | None = None


@dataclass(frozen=True, slots=True)
class Error:
    """Something went wrong. `seq` numbers it when it is an event of a turn; it
    is None when it answers a message."""

    code: str
    message: str
    retryable: bool
    turn_id: str | None = None
    seq: int | None = None
    field: str | None = None
    retry_after_ms: int | None = None
    missing: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class UnknownEvent:
    """An event of a turn that this client is too old to know."""

    turn_id: str
    seq: int
    type: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ConfigUpdated:
    """New settings are in force."""

    settings: Settings


@dataclass(frozen=True, slots=True)
class Pong:
    """Answers a ping."""

    sent_at: float


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """The session is over."""

    session_id: str


TurnEvent: TypeAlias = Transcript | ReplyText | Audio | TurnEnd | Error | UnknownEvent
"""What iterating over a turn gives."""
Answer: TypeAlias = Ready | ConfigUpdated | Pong | SessionEnded
"""What answers one message of the client."""
ServerEvent: TypeAlias = TurnEvent | Answer


def encode(message: Mapping[str, object]) -> str:
    """A client message as one JSON text frame."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


def to_base64(pcm: bytes) -> str:
    """Audio as it goes into a message."""
    return base64.b64encode(pcm).decode("ascii")


def decode(frame: str | bytes) -> ServerEvent | None:
    """Parse one frame; None for an unnumbered event of an unknown type.

    Raises:
        ProtocolViolation: it isn't an event of this protocol.
    """
    try:
        data = json.loads(frame)
    except (ValueError, RecursionError):
        raise ProtocolViolation(
            "The server sent something that is not JSON. Is this the URL of a Parley API?"
        ) from None
    if not isinstance(data, dict):
        raise ProtocolViolation("The server sent a JSON value that is not an event.")
    kind = data.get("type")
    if kind is None and isinstance(data.get("message"), str):
        return _gateway_error(data)
    if not isinstance(kind, str):
        raise ProtocolViolation(
            "The server sent an event without a type. Is this the URL of a Parley API?"
        )
    return _parse(kind, _Fields(kind, data))


def _gateway_error(data: dict[str, Any]) -> Error:
    """What API Gateway itself sends when a route or its function fails:
    `{"message": "Internal server error", "connectionId": …, "requestId": …}`."""
    said = data["message"]
    request = f" (request {data['requestId']})" if isinstance(data.get("requestId"), str) else ""
    return Error(
        code="gateway_error",
        message=f"The API gateway answered “{said}”{request}; the function's log says why.",
        retryable=said != "Forbidden",  # no such route: it won't appear by asking again
    )


class _Fields:
    """A JSON object's fields, by type, with an error that names the field."""

    def __init__(self, kind: str, data: Mapping[str, Any]) -> None:
        self.kind = kind
        self.data = data

    def bad(self, name: str) -> ProtocolViolation:
        return ProtocolViolation(f"The server sent `{self.kind}` without a valid `{name}`.")

    def text(self, name: str) -> str:
        value = self.data.get(name)
        if not isinstance(value, str):
            raise self.bad(name)
        return value

    def optional_text(self, name: str) -> str | None:
        return None if self.data.get(name) is None else self.text(name)

    def number(self, name: str) -> float:
        value = self.data.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.bad(name)
        return value

    def integer(self, name: str) -> int:
        value = self.number(name)
        if isinstance(value, float) and not value.is_integer():
            raise self.bad(name)
        return int(value)

    def optional_integer(self, name: str) -> int | None:
        return None if self.data.get(name) is None else self.integer(name)

    def flag(self, name: str) -> bool:
        value = self.data.get(name)
        if not isinstance(value, bool):
            raise self.bad(name)
        return value

    def items(self, name: str) -> list[Any]:
        value = self.data.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.bad(name)
        return value

    def inner(self, name: str) -> _Fields:
        value = self.data.get(name)
        if not isinstance(value, dict):
            raise self.bad(name)
        return _Fields(f"{self.kind}.{name}", value)

    def known(self, cls: type) -> dict[str, Any]:
        """The fields that the dataclass `cls` has too."""
        return {f.name: self.data[f.name] for f in fields(cls) if f.name in self.data}


def _parse(kind: str, at: _Fields) -> ServerEvent | None:
    match kind:
        case "ready":
            return _ready(at)
        case "config_updated":
            return ConfigUpdated(Settings(**at.inner("settings").known(Settings)))
        case "pong":
            return Pong(at.number("sent_at"))
        case "session_ended":
            return SessionEnded(at.text("session_id"))
        case "error":
            return _error(at)
    if at.data.get("seq") is None:
        return None
    turn_id, seq = at.text("turn_id"), at.integer("seq")
    match kind:
        case "transcript":
            return Transcript(turn_id, seq, at.text("text"), at.flag("final"))
        case "reply_text":
            return ReplyText(turn_id, seq, at.text("delta"))
        case "audio":
            return _audio(at, turn_id, seq)
        case "turn_end":
            return _turn_end(at, turn_id, seq)
    return UnknownEvent(turn_id, seq, kind, at.data)


def _ready(at: _Fields) -> Ready:
    return Ready(
        session_id=at.text("session_id"),
        resume_token=at.text("resume_token"),
        resumed=at.flag("resumed"),
        settings=Settings(**at.inner("settings").known(Settings)),
        limits=Limits(**at.inner("limits").known(Limits)),
        protocol=at.integer("protocol"),
        history=tuple(_past_message(entry, at) for entry in at.items("history")),
    )


def _past_message(entry: object, at: _Fields) -> PastMessage:
    if not isinstance(entry, dict):
        raise at.bad("history")
    said = _Fields("ready.history", entry)
    return PastMessage(
        said.text("role"), said.text("text"), said.text("turn_id"), said.optional_text("heard")
    )


def _audio(at: _Fields, turn_id: str, seq: int) -> Audio:
    try:
        pcm = base64.b64decode(at.text("audio"), validate=True)
    except binascii.Error:
        raise at.bad("audio") from None
    kind = at.text("format")
    if len(pcm) % 2:
        raise at.bad("audio")
    if kind not in AudioFormat.__args__:
        raise at.bad("format")
    return Audio(
        turn_id=turn_id,
        seq=seq,
        audio=pcm,
        format=kind,  # type: ignore[arg-type]  # mypy doesn't narrow by `in` above
        start_ms=at.integer("start_ms"),
        duration_ms=at.integer("duration_ms"),
        words=tuple(_word(entry, at) for entry in at.items("words")),
    )


def _word(entry: object, at: _Fields) -> Word:
    match entry:
        case [str(text), int(start_ms), int(end_ms)]:
            return Word(text, start_ms, end_ms)
    raise at.bad("words")


def _turn_end(at: _Fields, turn_id: str, seq: int) -> TurnEnd:
    reason = at.text("reason")
    if reason not in Reason.__args__:
        raise at.bad("reason")
    return TurnEnd(
        turn_id=turn_id,
        seq=seq,
        reason=reason,  # type: ignore[arg-type]  # mypy doesn't narrow by `in` above
        text=at.text("text"),
        metrics=Metrics(**at.inner("metrics").known(Metrics)),
        heard=at.optional_text("heard"),
    )


def _error(at: _Fields) -> Error:
    return Error(
        code=at.text("code"),
        message=at.text("message"),
        retryable=at.flag("retryable"),
        turn_id=at.optional_text("turn_id"),
        seq=at.optional_integer("seq"),
        field=at.optional_text("field"),
        retry_after_ms=at.optional_integer("retry_after_ms"),
        missing=tuple(seq for seq in at.items("missing") if isinstance(seq, int)),
    )
