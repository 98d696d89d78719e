"""What a turn brought: the reply, and when its parts came. Plain data."""

from __future__ import annotations

from dataclasses import dataclass

from parley_client.heard import heard_text
from parley_client.messages import (
    AudioFormat,
    Error,
    Metrics,
    Span,
    ToolUpdate,
    TurnEndReason,
    Word,
)
from parley_client.pcm import SAMPLE_RATES_HZ, duration_ms


@dataclass(frozen=True, slots=True)
class Timings:
    """What the client measured, in ms since the utterance's end was sent
    (`user_message` or `audio_end`), or since the first event of a turn that the agent began.
    None: it never came."""

    transcript_ms: float | None = None
    """The final transcript (spoken turns)."""
    first_text_ms: float | None = None
    """The first text of the reply."""
    first_audio_ms: float | None = None
    """The first audio event."""
    first_sound_ms: float | None = None
    """The first audible sample, played as soon as it could be: leading silence is waiting."""
    total_ms: float | None = None
    """The end of the turn."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole turn, as it stands at its end."""

    turn_id: str
    """Names the turn."""
    transcript: str | None
    """What the user is understood to have said; None if nothing was spoken."""
    text: str
    """What the reply says."""
    audio: bytes
    """Its sound: PCM of `audio_format`."""
    audio_format: AudioFormat | None
    """None for a reply without sound."""
    words: tuple[Word, ...]
    """When each piece of the text sounds."""
    heard: str | None
    """What was heard, when that is less than `text`: a beginning of it."""
    reason: TurnEndReason | None
    """Why the turn is over; None while it runs."""
    metrics: Metrics
    """Where the server says its time went."""
    timings: Timings
    """What the client measured."""
    errors: tuple[Error, ...]
    """Errors on the way, e.g. `speech_failed` of a reply that went on as text."""
    language: str | None = None
    """ISO 639 code of the reply's language, where it is detected."""
    heard_estimated: bool = False
    """Whether `heard` is an estimate: the voice gave no times."""
    words_estimated: bool = False
    """Whether times of `words`, and so what `heard_at` says, are estimates."""
    fillers: tuple[Span, ...] = ()
    """Where in `text` something was said only to fill a silence."""
    tools: tuple[ToolUpdate, ...] = ()
    """The newest event of every tool call, in order."""
    ends_session: bool = False
    """Whether the agent ends the session with it."""

    def heard_at(self, played_ms: float) -> str | None:
        """Return the text up to the last word that had been heard by then.

        None if no word has a time.

        Args:
            played_ms: how much of the audio had been played.
        """
        return heard_text(self.text, self.words, played_ms) if self.words else None

    @property
    def audio_ms(self) -> float:
        """How long the audio lasts."""
        if self.audio_format is None:
            return 0.0
        return duration_ms(len(self.audio), SAMPLE_RATES_HZ[self.audio_format])
