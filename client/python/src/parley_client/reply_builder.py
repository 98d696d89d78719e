"""Gathers a turn's events into its reply. A plain object: the caller brings the clock."""

from __future__ import annotations

from parley_client.errors import ProtocolViolation
from parley_client.events import TurnEvent
from parley_client.messages import (
    Audio,
    AudioFormat,
    Error,
    Metrics,
    ReplyText,
    Span,
    ToolUpdate,
    Transcript,
    TurnEnd,
    Word,
)
from parley_client.pcm import SAMPLE_RATES_HZ
from parley_client.playback import Playback
from parley_client.reply import Reply, Timings


class ReplyBuilder:
    """Gathers a turn's events, in order, into a `Reply`."""

    def __init__(self, turn_id: str) -> None:
        self.playback = Playback()
        self.transcript: str | None = None
        self.errors: list[Error] = []
        self.end: TurnEnd | None = None
        self._turn_id = turn_id
        self._deltas: list[str] = []
        self._chars = 0
        self._fillers: list[Span] = []
        self._tools: dict[str, ToolUpdate] = {}
        self._audio = bytearray()
        self._format: AudioFormat | None = None
        self._words: list[Word] = []
        self._words_estimated = False
        self._uttered_at_s: float | None = None
        self._at_s: dict[str, float] = {}

    @property
    def uttered(self) -> bool:
        """Whether the utterance's end has been sent."""
        return self._uttered_at_s is not None

    def utterance_ended(self, at_s: float) -> None:
        """The utterance's end is being sent: the zero of all timings."""
        if self._uttered_at_s is None:
            self._uttered_at_s = at_s

    def add(self, event: TurnEvent, at_s: float) -> None:
        """Take the next event.

        Raises:
            ProtocolViolation: the audio's format changes within the reply.
        """
        match event:
            case Transcript(text=text, final=final):
                self.transcript = text
                if final:
                    # the server may find the end by itself, before audio_end was sent
                    self.utterance_ended(at_s)
                    self._at_s.setdefault("transcript", at_s)
            case ReplyText():
                self._add_text(event, at_s)
            case ToolUpdate():
                self._tools[event.call_id] = event
            case Audio():
                self._add_audio(event, at_s)
            case TurnEnd():
                self.end = event
                self._at_s.setdefault("total", at_s)
            case Error():
                self.errors.append(event)

    def _add_text(self, event: ReplyText, at_s: float) -> None:
        if not event.delta:
            return
        self._at_s.setdefault("first_text", at_s)
        self._deltas.append(event.delta)
        start, end = self._chars, self._chars + len(event.delta)
        self._chars = end
        if not event.filler:
            return
        if self._fillers and self._fillers[-1].end == start:
            start = self._fillers.pop().start
        self._fillers.append(Span(start, end))

    def _add_audio(self, event: Audio, at_s: float) -> None:
        if self._format is None:
            self._format = event.format
        elif self._format != event.format:
            raise ProtocolViolation(
                f"The reply's audio changed from {self._format} to {event.format}."
            )
        if event.audio:
            self._at_s.setdefault("first_audio", at_s)
        self.playback.add(event.audio, SAMPLE_RATES_HZ[event.format], at_s)
        self._audio += event.audio
        self._words += event.words
        self._words_estimated = self._words_estimated or event.estimated

    def build(self) -> Reply:
        """The reply as far as it has come."""
        return Reply(
            turn_id=self._turn_id,
            transcript=self.transcript,
            text=self.end.text if self.end else "".join(self._deltas),
            audio=bytes(self._audio),
            audio_format=self._format,
            words=tuple(self._words),
            heard=self.end.heard if self.end else None,
            reason=self.end.reason if self.end else None,
            metrics=self.end.metrics if self.end else Metrics(),
            timings=self._timings(),
            errors=tuple(self.errors),
            language=self.end.language if self.end else None,
            heard_estimated=self.end.heard_estimated if self.end else False,
            words_estimated=self._words_estimated,
            fillers=tuple(self._fillers),
            tools=tuple(self._tools.values()),
            ends_session=self.end.ends_session if self.end else False,
        )

    def _timings(self) -> Timings:
        def since_utterance_ms(at_s: float | None) -> float | None:
            if at_s is None or self._uttered_at_s is None:
                return None
            return (at_s - self._uttered_at_s) * 1000

        return Timings(
            transcript_ms=since_utterance_ms(self._at_s.get("transcript")),
            first_text_ms=since_utterance_ms(self._at_s.get("first_text")),
            first_audio_ms=since_utterance_ms(self._at_s.get("first_audio")),
            first_sound_ms=since_utterance_ms(self.playback.first_sound_at_s),
            total_ms=since_utterance_ms(self._at_s.get("total")),
        )
