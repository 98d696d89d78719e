"""A turn as one answer: what its events, which a WebSocket would have carried, say together."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from parley.audio.pcm import duration_ms, sample_rate_hz
from parley.errors import ErrorCode
from parley.limit import Limit
from parley.protocol.messages import (
    Audio,
    AudioFormat,
    Error,
    Metrics,
    Transcript,
    TurnEnd,
    TurnEndReason,
    Word,
    encode,
)
from parley.sessions.recovery import DIED
from parley.turn.output.outbox import Numbered


class AnsweredAudio(Struct):
    """The reply's speech, whole: 16-bit little-endian mono PCM, in base64."""

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
    """The limit that was met, if one was."""


class TurnAnswer(Struct, omit_defaults=True):
    """A turn that has ended.

    `heard` is set when less was heard than said, `transcript` for a spoken turn, `audio` if
    there was any. `truncated`: the reply was cut where an answer has no more room.
    """

    session_id: str
    turn_id: str
    reason: TurnEndReason
    text: str
    metrics: Metrics
    resume_token: str | None = None
    """For the next request; if there is none, the token that was shown stays the latest."""
    attempt: int = 1
    transcript: str | None = None
    heard: str | None = None
    audio: AnsweredAudio | None = None
    words: list[Word] = msgspec.field(default_factory=list)
    truncated: bool = False
    error: AnsweredError | None = None


class EventsAnswer(Struct, omit_defaults=True):
    """A turn that has ended, as the events that a WebSocket would have carried, in order."""

    session_id: str
    turn_id: str
    events: list[msgspec.Raw]
    resume_token: str | None = None


_events: msgspec.json.Decoder[Numbered] = msgspec.json.Decoder(Numbered)


def frames_of(events: Sequence[Numbered]) -> list[bytes]:
    """The events as JSON."""
    return [encode(event) for event in events]


def is_whole(frames: Sequence[bytes]) -> bool:
    """Whether these are all of a turn's events, the last one included."""
    return is_rest(frames) and _events.decode(frames[0]).seq == 1


def is_rest(frames: Sequence[bytes]) -> bool:
    """Whether these are all that is left of a turn's events, the last one included. They are not
    written as one: while some are there already, others may be on their way."""
    if not frames:
        return False
    first, last = _events.decode(frames[0]), _events.decode(frames[-1])
    if first.seq == 0:  # the end of a turn whose function died: what is missing never comes
        return True
    numbered = (first.seq or 0) + len(frames) - 1 == last.seq
    return numbered and isinstance(last, TurnEnd)


def broken_off(turn_id: str, attempt: int) -> list[bytes]:
    """All events of an attempt whose function died before it could answer."""
    error = Error.of(DIED, turn_id=turn_id, seq=1, attempt=attempt)
    end = TurnEnd(turn_id, 2, "failed", "", Metrics(), code=DIED.code, attempt=attempt)
    end.retryable = DIED.retryable
    return [encode(error), encode(end)]


def turn_answer(session_id: str, frames: Sequence[bytes], token: str | None) -> TurnAnswer:
    """What all of a turn's events say.

    Args:
        token: the session's next one, if it has one.
    """
    answer: TurnAnswer | None = None
    transcript: str | None = None
    pcm, words = bytearray(), list[Word]()
    audio_format: AudioFormat | None = None
    error: AnsweredError | None = None
    for event in map(_events.decode, frames):
        if isinstance(event, Transcript):
            transcript = event.text if event.final else transcript
        elif isinstance(event, Audio):
            pcm += event.audio
            audio_format = event.format
            words += event.words
        elif isinstance(event, Error):
            error = AnsweredError(
                event.code, event.message, event.retryable, event.retry_after_ms, event.limit
            )
        elif isinstance(event, TurnEnd):
            answer = TurnAnswer(session_id, event.turn_id, event.reason, event.text, event.metrics)
            answer.attempt, answer.heard = event.attempt, event.heard
    assert answer is not None, "the last event ends the turn"
    answer.resume_token, answer.transcript, answer.error = token, transcript, error
    answer.words = words
    if pcm and audio_format is not None:
        answer.audio = _audio(bytes(pcm), audio_format)
        answer.truncated = answer.reason == "interrupted"  # what is interrupted loses its audio
    return answer


def _audio(pcm: bytes, audio_format: AudioFormat) -> AnsweredAudio:
    return AnsweredAudio(
        audio_format, round(duration_ms(len(pcm), sample_rate_hz(audio_format))), pcm
    )
