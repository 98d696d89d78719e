"""What a turn sends to the client: numbered, in order, in few but early messages.

The outbox decides what the next message is; posting it is the caller's work. While
one post is under way, text and audio gather here and leave as one message each, so
a slow connection gets fewer, larger messages and a fast one gets small, early ones.
An event is numbered when it leaves, which keeps `seq` gapless when an interruption
drops what has not left. What has left is kept until the client is known to have it, so
that it can be sent again over another connection.
"""

from __future__ import annotations

from collections import deque

from parley.audio.heard import EstimatedWord
from parley.audio.pcm import AudioPacker, duration_ms, sample_rate_hz
from parley.errors import ParleyError
from parley.protocol.messages import (
    AgentTurn,
    Audio,
    AudioFormat,
    ClientCall,
    Custom,
    Error,
    Metrics,
    NumberedEvent,
    ReplyText,
    ToolUpdate,
    Transcript,
    TurnEnd,
    TurnEndReason,
    Word,
)

TEXT_INTERVAL_S = 0.1
"""Reply text leaves at most this often, after its first bit: faster than anyone reads."""
PARTIAL_INTERVAL_S = 0.4
"""A partial transcript leaves at most this often: a transcriber sends one with each word,
or oftener, and each costs a message. None is missed: the next one, or the final one, has all of its
words."""
AUDIO_HOLD_S = 0.03
"""How long a packet that is not full waits for more audio."""
AHEAD_S = 1.0
AHEAD_HOLD_S = 0.25
"""How long it waits where the client has so much to play already: it hears no difference, and an
interruption finds less under way."""

Numbered = NumberedEvent
"""What leaves an outbox."""


class Outbox:
    """Everything one attempt at a turn has to say to the client.

    Times are seconds of any one monotonic clock.

    Args:
        attempt: which attempt, from 1.
    """

    def __init__(self, turn_id: str, audio_format: AudioFormat, attempt: int = 1) -> None:
        self._turn_id = turn_id
        self._attempt = attempt
        self._unacknowledged: deque[Numbered] = deque()
        self._format: AudioFormat = audio_format
        self._packer = AudioPacker(sample_rate_hz(audio_format))
        self._events: deque[Numbered] = deque()
        self._text = ""
        self._text_fills = False
        self._text_since = 0.0
        self._last_text_at: float | None = None
        self._partial: Transcript | None = None
        self._partial_text = ""
        self._last_partial_at: float | None = None
        self._words: deque[Word] = deque()
        self._left_words: list[Word] = []
        self._audio_since = 0.0
        self._first_audio_at = 0.0
        self._audio_closed = False
        self._end: TurnEnd | None = None
        self._seq = 0

    @property
    def seq(self) -> int:
        """The number of the last event that left."""
        return self._seq

    @property
    def format(self) -> AudioFormat:
        """The format of the reply's audio."""
        return self._format

    @property
    def words(self) -> list[Word]:
        """The words that have left or wait to: both sides tell by them what was heard."""
        return [*self._left_words, *self._words]

    @property
    def audio_bytes(self) -> int:
        """How much audio has been put in, from the start of the reply."""
        return self._packer.taken_bytes + self._packer.pending_bytes

    @property
    def audio_ms(self) -> float:
        """How long it sounds."""
        return duration_ms(self.audio_bytes, self._packer.rate_hz)

    def add_transcript(self, text: str, *, final: bool, language: str | None = None) -> None:
        """Add a transcript, in place of a partial one that has not left yet.

        A partial one that says what the last one has said is none.
        """
        transcript = Transcript(self._turn_id, 0, text, final, language)
        self._partial = None
        if final:
            self._events.append(transcript)
        elif text != self._partial_text:
            self._partial = transcript

    def add_error(self, error: ParleyError) -> None:
        """Add an error of the turn."""
        self._events.append(Error.from_error(error, turn_id=self._turn_id, seq=0))

    def add_event(self, event: AgentTurn | ToolUpdate | ClientCall | Custom) -> None:
        """Add an event, after the text that has been put in before it."""
        self._flush_text()
        self._events.append(event)

    def add_text(self, delta: str, now_s: float, *, filler: bool = False) -> None:
        """Add more of the reply's text.

        Args:
            filler: whether it only fills a silence.
        """
        if filler != self._text_fills:
            self._flush_text()
        self._text_fills = filler
        if not self._text:
            self._text_since = now_s
        self._text += delta

    def add_audio(self, pcm: bytes, words: list[Word], now_s: float) -> None:
        """Add more of the reply's audio, and the words that have become known."""
        if not self._packer.pending_bytes:
            self._audio_since = now_s
        self._packer.add(pcm)
        self._words.extend(words)

    def take_over(self, draft: Outbox, now_s: float) -> None:
        """Take everything that a reply has put into an outbox that nobody posts."""
        self._events.extend(draft._events)
        draft._events.clear()
        if draft._text:
            self.add_text(draft._text, now_s, filler=draft._text_fills)
            draft._text = ""
        self.add_audio(draft._packer.take_all(), list(draft._words), now_s)
        draft._words.clear()
        self._audio_closed = self._audio_closed or draft._audio_closed

    def close_audio(self) -> None:
        """Note that no more audio will come: nothing needs to wait for more."""
        self._audio_closed = True

    def acknowledge(self, seq: int) -> None:
        """Forget what the client has: everything up to `seq`."""
        while self._unacknowledged and (self._unacknowledged[0].seq or 0) <= seq:
            self._unacknowledged.popleft()

    def unacknowledged(self, seq: int) -> list[Numbered]:
        """Return what has left after `seq` and is not known to have arrived."""
        return [event for event in self._unacknowledged if (event.seq or 0) > seq]

    def drop_unsent(self) -> None:
        """Drop what has not left, since the user interrupted.

        What has left may have to be sent again: its numbers stay, and its audio goes.
        """
        for event in self._unacknowledged:
            if isinstance(event, Audio):  # kept with its number: the client counts without a gap
                event.audio, event.duration_ms = b"", 0
        self._events.clear()
        self._partial = None
        self._text = ""
        self._packer.drop()
        # Words may become known after their sound has left, where their times are estimated.
        self._left_words += [word for word in self._words if word.start_ms < self._left_ms]
        self._words.clear()

    def is_empty(self) -> bool:
        """Return whether everything has left."""
        waiting = self._events or self._text or self._partial or self._end is not None
        return not waiting and not self._audio_waits()

    def take_next(self, now_s: float, *, everything: bool = False) -> Numbered | None:
        """Take the next event to post, numbered; None when nothing is due yet.

        Args:
            now_s: the time.
            everything: nothing more will come, so nothing needs to be held back.
        """
        event = self._choose_next(now_s, everything=everything)
        return None if event is None else self._number(event)

    def _choose_next(self, now_s: float, *, everything: bool) -> Numbered | None:
        if self._events:
            return self._events.popleft()
        if self._end is not None:
            everything = True
        if self._partial is not None and (everything or now_s >= self._partial_due_s(now_s)):
            return self._take_partial(now_s)
        text_due = bool(self._text) and (everything or now_s >= self._text_due_s())
        audio_due = self._audio_waits() and (everything or now_s >= self._audio_due_s())
        if text_due and (not audio_due or self._text_since <= self._audio_since):
            return self._take_text(now_s)
        if audio_due:
            return self._take_audio(now_s)
        end, self._end = self._end, None
        return end

    def number_all(self, now_s: float) -> None:
        """Number everything that waits, to be kept instead of posted.

        `unacknowledged` returns it then.
        """
        while self.take_next(now_s, everything=True) is not None:
            pass

    def due_in_s(self, now_s: float) -> float | None:
        """Return the seconds until `take_next` will have something; None when nothing waits."""
        if self._events or self._end is not None:
            return 0.0
        due: list[float] = []
        if self._partial is not None:
            due.append(self._partial_due_s(now_s))
        if self._text:
            due.append(self._text_due_s())
        if self._audio_waits():
            due.append(self._audio_due_s())
        return max(0.0, min(due) - now_s) if due else None

    def add_end(
        self,
        reason: TurnEndReason,
        text: str,
        metrics: Metrics,
        heard: str | None = None,
        error: ParleyError | None = None,
        language: str | None = None,
        *,
        heard_estimated: bool = False,
        ends_session: bool = False,
    ) -> None:
        """Add the turn's end, which leaves after everything else.

        Args:
            error: why it failed, if it did.
            language: of the reply, where it is detected.
            heard_estimated: whether `heard` is an estimate.
            ends_session: whether the session ends with this turn.
        """
        self._partial = None  # nobody has use for it any more
        self._end = TurnEnd(self._turn_id, 0, reason, text, metrics, heard)
        self._end.heard_estimated, self._end.ends_session = heard_estimated, ends_session
        if error is not None:
            self._end.code, self._end.retryable = error.code, error.retryable
        self._end.language = language

    def _number(self, event: Numbered) -> Numbered:
        self._seq += 1
        event.seq = self._seq  # only now: what an interruption drops leaves no gap in the numbers
        event.attempt = self._attempt
        self._unacknowledged.append(event)
        return event

    def _audio_waits(self) -> bool:
        """Return whether there is audio, or words that came after theirs had left."""
        if self._packer.pending_bytes >= 2:
            return True
        late = self._audio_closed or (self._words and self._words[0].start_ms < self._left_ms)
        return bool(self._words) and bool(late)

    @property
    def _left_ms(self) -> float:
        """How much audio has left."""
        return duration_ms(self._packer.taken_bytes, self._packer.rate_hz)

    def _partial_due_s(self, now_s: float) -> float:
        if self._last_partial_at is None:  # the first one: it tells the user that they are heard
            return now_s
        return self._last_partial_at + PARTIAL_INTERVAL_S

    def _take_partial(self, now_s: float) -> Transcript | None:
        partial, self._partial = self._partial, None
        self._last_partial_at = now_s
        self._partial_text = partial.text if partial is not None else ""
        return partial

    def _text_due_s(self) -> float:
        if self._last_text_at is None:  # the first bit: it tells the user that an answer comes
            return self._text_since
        return max(self._text_since, self._last_text_at + TEXT_INTERVAL_S)

    def _audio_due_s(self) -> float:
        # The first sound never waits, and neither does what is complete.
        if self._packer.is_full() or self._audio_closed or not self._packer.taken_bytes:
            return self._audio_since
        hold_s = AHEAD_HOLD_S if self._is_ahead(self._audio_since) else AUDIO_HOLD_S
        return self._audio_since + hold_s

    def _is_ahead(self, now_s: float) -> bool:
        """Return whether the client has enough to play, even if it began with the first packet."""
        return self._left_ms / 1000 - (now_s - self._first_audio_at) >= AHEAD_S

    def _flush_text(self) -> None:
        """Let text that waits leave at once, before what comes now."""
        if self._text:
            self._events.append(self._take_text(self._text_since))

    def _take_text(self, now_s: float) -> ReplyText:
        delta, self._text = self._text, ""
        self._last_text_at = now_s
        return ReplyText(self._turn_id, 0, delta, self._text_fills)

    def _take_audio(self, now_s: float) -> Audio:
        rate = self._packer.rate_hz
        start_bytes = self._packer.taken_bytes
        if not start_bytes:
            self._first_audio_at = now_s
        pcm = self._packer.take_packet()
        end_ms = duration_ms(start_bytes + len(pcm), rate)
        words: list[Word] = []
        # A word may start beyond the last sample, by the synthesizer's reckoning: it goes with it.
        last_packet = self._audio_closed and self._packer.pending_bytes < 2
        while self._words and (self._words[0].start_ms < end_ms or last_packet):
            words.append(self._words.popleft())
        self._left_words += words
        if self._is_ahead(now_s):
            self._audio_since = now_s  # of the rest
        start_ms = round(duration_ms(start_bytes, rate))
        return Audio(
            self._turn_id,
            0,
            pcm,
            self._format,
            start_ms,
            round(end_ms) - start_ms,
            words,
            any(isinstance(word, EstimatedWord) for word in words),
        )
