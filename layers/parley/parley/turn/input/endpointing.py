"""When an utterance is over, and what to say about audio that is missing or too much.

Plain decisions over `parley.turn.input.utterance.Utterance` and the time; reading the inbox and
sending the audio on is the turn's work.
"""

from __future__ import annotations

from parley.audio.pcm import duration_ms
from parley.errors import ParleyError
from parley.limits.errors import utterance_too_long
from parley.storage.inbox_entries import ChunkEntry, EndEntry
from parley.turn.input.audio_gap import AudioGap
from parley.turn.input.utterance import Utterance

GAP_REPORT_S = 0.5
"""How long after `audio_end` a missing chunk is reported: messages may overtake each other."""
GAP_WHILE_TALKING_S = 1.0
"""How long later chunks may wait for a missing one while the user still talks."""
GAP_WHILE_TALKING_GIVE_UP_S = 5.0
"""How long audio may go on behind a missing chunk until the turn goes on without it. It has been
asked for three times by then; ElevenLabs ends a transcription that gets no audio for 10 s."""
GAP_LOOK_S = 0.25
"""How often it is looked whether a chunk that was asked for has come. Each look reads again all
that has come behind it, so it is not made with every poll."""
GAP_AGAIN_S = 1.5
"""How long until what is still missing is reported again: what was sent again may be lost too."""
GAP_GIVE_UP_S = 4.0
"""How long the turn waits for missing chunks before it goes on without: after `audio_end`, after
each that came, and after the client came back, since it asks and sends again then."""
GAP_GIVE_UP_AT_LAST_S = 9.0
"""How long after `audio_end` the turn waits in all: ElevenLabs ends a transcription that gets no
audio for 10 s."""


class EndpointDetector:
    """Find the end of an utterance, and what is missing of it.

    Times are seconds of one monotonic clock.

    Args:
        silence_s: without any audio for this long, the utterance counts as over.
        now_s: when the turn began to listen.
        max_s: how long an utterance may be; 0 for no limit. What is beyond it is left out.
        rate_hz: of its audio.
    """

    def __init__(
        self, silence_s: float, now_s: float, max_s: int = 0, rate_hz: int = 16_000
    ) -> None:
        self._max_s = max_s
        self._rate_hz = rate_hz
        self._bytes = 0
        self._too_long = False
        self._utterance = Utterance()
        self._silence_s = silence_s
        self._last_audio_s = now_s
        self._ended_s: float | None = None
        self._mended_s = now_s
        """When the client last sent what was missing, or came back to do so."""
        self._gap_since_s: float | None = None
        self._gap = AudioGap(now_s)
        self._looked_s = now_s
        self._reported_missing: set[int] = set()
        self._reported_at_s = 0.0
        self._reported_surplus = False
        self._over = False
        self.end: EndEntry | None = None

    def first_seq_to_read(self, now_s: float) -> int:
        """Return the number of the first chunk worth reading from the inbox now."""
        beyond = self._utterance.newest_seq + 1
        if self._over:
            return beyond
        # What waits behind a gap is read again with every look for the chunk that is missing.
        asked_for = self._utterance.next_seq in self._reported_missing
        if asked_for and now_s < self._looked_s + GAP_LOOK_S:
            return beyond
        self._looked_s = now_s
        return self._utterance.next_seq

    @property
    def over(self) -> bool:
        """Whether the utterance is over."""
        return self._over

    def has(self, chunks: int) -> bool:
        """Return whether the chunks up to this one have come."""
        return self._utterance.next_seq > chunks

    def add_chunk(self, chunk: ChunkEntry, now_s: float) -> list[bytes]:
        """Add a chunk that arrived; return the audio that is now next in order."""
        if self._over:  # only to tell the client that it sent more than it announced
            self._utterance.add(chunk)
            return []
        if not self._utterance.is_new(chunk):
            return []
        if self._is_too_long(chunk):
            self._too_long = True  # what follows is left out too, or there would be a hole
            return []
        if chunk.seq <= (self._utterance.announced or 0):  # behind what was announced nothing waits
            self._mended_s = now_s
        self._bytes += len(chunk.audio)
        self._gap.advance(now_s, self._last_audio_s)
        self._last_audio_s = now_s  # also behind a gap: the user still talks
        audio = self._utterance.add(chunk)
        self._gap.add_chunk(chunk.seq, self._utterance.next_seq)
        return audio

    def _is_too_long(self, chunk: ChunkEntry) -> bool:
        size = self._bytes + len(chunk.audio)
        return self._too_long or 0 < self._max_s * 1000 < duration_ms(size, self._rate_hz)

    def note_end(self, entry: EndEntry, now_s: float) -> None:
        """Note that `audio_end` arrived."""
        if self.end is None:
            self.end = entry
            self._ended_s = now_s
            self._utterance.end(entry)

    def note_resume(self, now_s: float) -> None:
        """Note that the client came back on another connection."""
        self._mended_s = now_s

    def end_utterance(self) -> None:
        """End the utterance where the transcriber has found its end by itself."""
        self._over = True

    def advance(self, now_s: float) -> tuple[list[bytes], list[ParleyError]]:
        """Let time pass. Look at `over` afterwards.

        Returns:
            Audio to send on although something before it is missing, and what the client should
            be told.
        """
        errors = self._surplus_error()
        if self._over:
            return [], errors
        # First of all: what is complete is neither late nor too long.
        if self._utterance.complete:
            self._over = True
        elif self._too_long:
            self._over = True
            return self._utterance.take_rest(), [*errors, utterance_too_long(self._max_s)]
        elif self._ended_s is not None:
            if now_s >= self._give_up_at_s(self._ended_s):
                self._over = True
                return self._utterance.take_rest(), errors
            if now_s >= self._ended_s + GAP_REPORT_S:
                errors += self._gap_error(now_s)
        elif now_s >= self._last_audio_s + self._silence_s:
            self._over = True  # `audio_end` is lost, or its client is
            return self._utterance.take_rest(), errors
        else:
            errors += self._gap_while_talking(now_s)
            return self._skip_gaps(now_s), errors
        return [], errors

    def _give_up_at_s(self, ended_s: float) -> float:
        """Return when what is still missing is no longer waited for."""
        mended_s = max(ended_s, self._mended_s)
        return min(mended_s + GAP_GIVE_UP_S, ended_s + GAP_GIVE_UP_AT_LAST_S)

    def _skip_gaps(self, now_s: float) -> list[bytes]:
        """Return the audio behind gaps that have been asked for and stay."""
        self._gap.advance(now_s, self._last_audio_s)
        audio: list[bytes] = []
        while self._gap.waited_s(self._utterance.next_seq) >= GAP_WHILE_TALKING_GIVE_UP_S:
            audio += self._utterance.skip_gap()
        return audio

    def _gap_while_talking(self, now_s: float) -> list[ParleyError]:
        if not self._utterance.missing():
            self._gap_since_s = None
            return []
        if self._gap_since_s is None:
            self._gap_since_s = now_s
        if now_s < self._gap_since_s + GAP_WHILE_TALKING_S:
            return []
        return self._gap_error(now_s)

    def _gap_error(self, now_s: float) -> list[ParleyError]:
        missing = self._utterance.missing()
        news = set(missing) - self._reported_missing
        if not missing or (not news and now_s < self._reported_at_s + GAP_AGAIN_S):
            return []
        self._reported_missing |= news
        self._reported_at_s = now_s
        shown = ", ".join(map(str, missing[:20])) + (", …" if len(missing) > 20 else "")
        return [
            ParleyError(
                "audio_gap",
                f"Audio chunks {shown} have not arrived. Send them again.",
                retryable=True,
                field="audio_chunk.seq",
                missing=missing[:1000],
            )
        ]

    def _surplus_error(self) -> list[ParleyError]:
        surplus = self._utterance.surplus()
        if not surplus or self._reported_surplus:
            return []
        self._reported_surplus = True
        return [
            ParleyError(
                "bad_request",
                f"audio_chunk.seq: audio_end announced {self._utterance.announced} chunks, but "
                f"chunk {surplus[0]} came too. It was left out.",
                field="audio_chunk.seq",
            )
        ]
