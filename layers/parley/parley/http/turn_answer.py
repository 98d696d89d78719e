"""Builds one answer from a turn's events, which a WebSocket would have carried."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from parley.audio.pcm import duration_ms, sample_rate_hz
from parley.errors import ErrorCode
from parley.limit import Limit
from parley.protocol.messages import (
    Audio,
    AudioFormat,
    Custom,
    Error,
    Metrics,
    ToolState,
    ToolUpdate,
    Transcript,
    TurnEnd,
    TurnEndReason,
    Word,
    encode,
)
from parley.sessions.recovery import DIED
from parley.turn.output.outbox import Numbered


class AnsweredAudio(Struct):
    """The whole speech of the reply: 16-bit little-endian mono PCM, in base64."""

    format: AudioFormat
    duration_ms: int
    base64: bytes


class AnsweredError(Struct, omit_defaults=True):
    """What went wrong in the turn."""

    code: ErrorCode
    message: str
    retryable: bool
    retry_after_ms: int | None = None
    limit: Limit | None = None
    """The limit that was met, if there was one."""


class AnsweredTool(Struct, omit_defaults=True):
    """A tool that was called, and what became of the call."""

    call_id: str
    name: str
    title: str
    state: ToolState
    ms: int | None = None
    arguments: dict[str, Any] | UnsetType = UNSET
    """Where the deployment shows them."""
    result: str | UnsetType = UNSET
    """Where the deployment shows it."""


class AnsweredCustom(Struct):
    """An event of the deployment's own, from a tool or from the responder."""

    name: str
    data: Any


class TurnAnswer(Struct, omit_defaults=True):
    """A turn that has ended.

    `heard` is set when less was heard than said, `transcript` for a spoken turn, `audio` if
    there was any. `truncated`: the reply was cut where an answer has no more room.
    `words_estimated`, `heard_estimated`: the synthesizer gave no times.
    """

    session_id: str
    turn_id: str
    reason: TurnEndReason
    text: str
    metrics: Metrics
    resume_token: str | None = None
    """For the next request; if it is absent, the token that was shown stays the latest."""
    attempt: int = 1
    transcript: str | None = None
    heard: str | None = None
    audio: AnsweredAudio | None = None
    words: list[Word] = msgspec.field(default_factory=list)
    truncated: bool = False
    error: AnsweredError | None = None
    language: str | None = None
    """ISO 639 code of the reply's language, where the deployment detects languages."""
    words_estimated: bool = False
    heard_estimated: bool = False
    tools: list[AnsweredTool] = msgspec.field(default_factory=list)
    """What was called, in order."""
    custom: list[AnsweredCustom] = msgspec.field(default_factory=list)
    """The deployment's own events, in order."""
    ends_session: bool = False
    """Whether the agent has ended the session with this turn."""


class EventsAnswer(Struct, omit_defaults=True):
    """A turn that has ended, as the events that a WebSocket would have carried, in order."""

    session_id: str
    turn_id: str
    events: list[msgspec.Raw]
    resume_token: str | None = None


_events: msgspec.json.Decoder[Numbered] = msgspec.json.Decoder(Numbered)


def encode_events(events: Sequence[Numbered]) -> list[bytes]:
    """Return the events as JSON."""
    return [encode(event) for event in events]


def is_complete(frames: Sequence[bytes]) -> bool:
    """Return whether these are all events of a turn, up to its end."""
    return is_remainder(frames) and _events.decode(frames[0]).seq == 1


def is_remainder(frames: Sequence[bytes]) -> bool:
    """Return whether these are all remaining events of a turn, up to its end.

    The events are not written at once: some may be stored while others are on their way.
    """
    if not frames:
        return False
    first, last = _events.decode(frames[0]), _events.decode(frames[-1])
    if first.seq == 0:  # the end of a turn whose function died: the missing events never come
        return True
    numbered = (first.seq or 0) + len(frames) - 1 == last.seq
    return numbered and isinstance(last, TurnEnd)


def encode_broken_turn(turn_id: str, attempt: int) -> list[bytes]:
    """Return the events of an attempt whose function died before it could answer, as JSON."""
    error = Error.from_error(DIED, turn_id=turn_id, seq=1, attempt=attempt)
    end = TurnEnd(turn_id, 2, "failed", "", Metrics(), code=DIED.code, attempt=attempt)
    end.retryable = DIED.retryable
    return [encode(error), encode(end)]


def build_turn_answer(session_id: str, frames: Sequence[bytes], token: str | None) -> TurnAnswer:
    """Build the answer from all events of a turn.

    Args:
        frames: the events, as JSON.
        token: the session's next resume token; None if it stays.
    """
    answer: TurnAnswer | None = None
    transcript: str | None = None
    pcm, words, estimated = bytearray(), list[Word](), False
    audio_format: AudioFormat | None = None
    error: AnsweredError | None = None
    tools: dict[str, AnsweredTool] = {}
    custom: list[AnsweredCustom] = []
    for event in map(_events.decode, frames):
        if isinstance(event, Transcript):
            transcript = event.text if event.final else transcript
        elif isinstance(event, Audio):
            pcm += event.audio
            audio_format = event.format
            words += event.words
            estimated = estimated or event.estimated
        elif isinstance(event, Error):
            error = AnsweredError(
                event.code, event.message, event.retryable, event.retry_after_ms, event.limit
            )
        elif isinstance(event, ToolUpdate):
            tools[event.call_id] = _build_tool(event)
        elif isinstance(event, Custom):
            custom.append(AnsweredCustom(event.name, event.data))
        elif isinstance(event, TurnEnd):
            answer = TurnAnswer(session_id, event.turn_id, event.reason, event.text, event.metrics)
            answer.attempt, answer.heard = event.attempt, event.heard
            answer.language = event.language
            answer.heard_estimated = event.heard_estimated
            answer.ends_session = event.ends_session
    assert answer is not None, "the last event ends the turn"
    answer.resume_token, answer.transcript, answer.error = token, transcript, error
    answer.words, answer.words_estimated = words, estimated
    answer.tools, answer.custom = [*tools.values()], custom
    if pcm and audio_format is not None:
        answer.audio = _build_audio(bytes(pcm), audio_format)
        answer.truncated = answer.reason == "interrupted"  # what is interrupted loses its audio
    return answer


def _build_tool(event: ToolUpdate) -> AnsweredTool:
    return AnsweredTool(
        event.call_id,
        event.name,
        event.title,
        event.state,
        event.ms,
        event.arguments,
        event.result,
    )


def _build_audio(pcm: bytes, audio_format: AudioFormat) -> AnsweredAudio:
    return AnsweredAudio(
        audio_format, round(duration_ms(len(pcm), sample_rate_hz(audio_format))), pcm
    )
