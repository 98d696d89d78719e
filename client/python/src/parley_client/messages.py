"""The wire protocol as the client sees it: its typed events and settings, and how
a message becomes a frame. Plain data; `parley_client.decoding` reads the frames.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias

from parley_client.errors import BadInput

PROTOCOL_VERSION = 1

AudioFormat: TypeAlias = Literal[
    "pcm_8000", "pcm_16000", "pcm_22050", "pcm_24000", "pcm_44100", "pcm_48000"
]
"""Signed 16-bit little-endian mono PCM; the number is the sample rate in Hz."""
Endpointing: TypeAlias = Literal["manual", "server_vad"]
Reason: TypeAlias = Literal["completed", "interrupted", "failed"]
SessionEndReason: TypeAlias = Literal["ended", "replaced"]
Message: TypeAlias = dict[str, object]
"""A client message before it becomes JSON."""
GATEWAY_ERROR = "gateway_error"
"""Code of an `Error` that API Gateway itself sent, not Parley."""


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
    record: bool | None = None
    """The user consents to being recorded; a deployment that does not record says False."""

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
class Choices:
    """What a client may choose here."""

    settings: tuple[str, ...]
    """Names of the settings that it may set."""
    voices: Mapping[str, str]
    """Names of the voices that it may choose, by their ids."""
    languages: tuple[str, ...]
    """ISO 639 codes."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The session is open.

    `choices` is None from a server that does not say. `stand_ins` names the stages
    (`transcriber`, `responder`, `synthesizer`) whose provider only stands in for a real one.
    """

    session_id: str
    resume_token: str
    resumed: bool
    settings: Settings
    limits: Limits
    protocol: int
    history: tuple[PastMessage, ...] = ()
    choices: Choices | None = None
    stand_ins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Transcript:
    """What the user is understood to have said so far; a final one stands."""

    turn_id: str
    seq: int
    text: str
    final: bool
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class ReplyText:
    """More of the reply's text."""

    turn_id: str
    seq: int
    delta: str
    attempt: int = 1


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
    attempt: int = 1


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
    """The last event of a turn. `heard` is set when less was heard than said.

    A turn whose function died is ended with `seq` 0, instead of all that is missing.
    """

    turn_id: str
    seq: int
    reason: Reason
    text: str
    metrics: Metrics
    heard: str | None = None
    code: str | None = None
    """Why it failed."""
    retryable: bool = False
    """Whether `Turn.retry` may help."""
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit that was met.

    Attributes:
        name: e.g. ``turns_per_minute``; docs/protocol.md has all.
        value: in the unit of its name.
        scope: whose it is: `subject` (the user), `tenant` or `connection`.
    """

    name: str
    value: int
    scope: str


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
    attempt: int = 1
    limit: Limit | None = None

    @property
    def about(self) -> str | None:
        """The type of the message that it answers, if it says so."""
        return (self.field or "").partition(".")[0] or None


@dataclass(frozen=True, slots=True)
class Restarted:
    """The turn runs again: what came of it before this event is void.

    Made by the client, for who iterates over the turn meanwhile.
    """

    turn_id: str
    attempt: int
    seq: int = 0


@dataclass(frozen=True, slots=True)
class UnknownEvent:
    """An event of a turn that this client is too old to know."""

    turn_id: str
    seq: int
    type: str
    fields: Mapping[str, Any]
    attempt: int = 1


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
    """The session is over (`ended`), or another connection has it now (`replaced`)."""

    session_id: str
    reason: SessionEndReason = "ended"


TurnEvent: TypeAlias = Transcript | ReplyText | Audio | TurnEnd | Error | UnknownEvent
"""What a server sends of a turn. Iterating over a turn gives these, and `Restarted`."""
Answer: TypeAlias = Ready | ConfigUpdated | Pong | SessionEnded
"""What answers one message of the client."""
ServerEvent: TypeAlias = TurnEvent | Answer


def encode(message: Mapping[str, object]) -> str:
    """A client message as one JSON text frame.

    Raises:
        BadInput: a number in it is none that JSON has.
    """
    try:
        return json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        raise BadInput("Numbers must be finite: nan and inf are none.") from None


def to_base64(pcm: bytes) -> str:
    """Audio as it goes into a message."""
    return base64.b64encode(pcm).decode("ascii")
