"""How soon a running turn reads its inbox again, and how exactly.

A plain object over what has come and the time. A read that finds nothing costs money and a
processor's time too. It costs half the money if it is eventually consistent: it may then miss what
was written just before, which the next read finds. So reads are few and such wherever nothing is
due, and frequent and consistent where the first sound waits, or an absence decides something.
"""

from __future__ import annotations

from dataclasses import dataclass

from parley.audio.pcm import duration_ms
from parley.turn.input.audio_gap import AWAY_AFTER_S

DUE_S = 0.025
"""Between reads while something is due that the first sound waits for."""
BETWEEN_S = 0.05
"""Between two chunks of speech, where little comes: who stops talking pauses first, and a pause is
due. Only somebody who ends the utterance in the middle of a word is known of later for it, by half
of the difference."""
AWAY_S = 0.05
"""While the client is away."""
REPLY_S = 0.04
"""While the agent replies. An interruption is silence at the client before it is sent; until the
turn knows, more is synthesised than is heard."""
ACK_S = 0.03
"""While nothing but the client's acknowledgement is missing, and the function waits for that. What
the reads cost for one wait of 0.1 s, and what Lambda costs until the next read, are least together
at about this."""
EARLY_S = 0.02
"""How much before its time a chunk is due."""


@dataclass(frozen=True, slots=True)
class NextRead:
    """The next read of an inbox.

    Attributes:
        after_s: how long to wait for it.
        consistent: whether it finds all that was written before.
    """

    after_s: float
    consistent: bool


class PollRhythm:
    """Decide when the inbox of one turn is read again.

    Times are seconds of one monotonic clock.

    Args:
        now_s: when the turn began.
        listening: whether an utterance comes through the inbox.
        rate_hz: of its audio.
    """

    def __init__(self, now_s: float, *, listening: bool, rate_hz: int = 16_000) -> None:
        self._rate_hz = rate_hz
        self._listening = listening
        self._ended = False
        self._ack_due = False
        self._is_paused = False
        self._newest_seq = 0
        self._newest_s = now_s
        self._length_s = self._usual_s = 0.0
        """Of the newest chunk, and of the longest so far."""

    def note_chunk(self, seq: int, pcm_bytes: int, now_s: float) -> None:
        """Note a chunk. One that has been read before changes nothing."""
        if seq <= self._newest_seq:
            return
        self._newest_seq, self._newest_s = seq, now_s
        self._length_s = duration_ms(pcm_bytes, self._rate_hz) / 1000
        self._usual_s = max(self._usual_s, self._length_s)

    def note_pause(self, *, is_over: bool) -> None:
        """Note that the client has told of a pause, or of its end."""
        self._is_paused = not is_over

    def note_end(self) -> None:
        """Note that `audio_end` has come: what is missing before it is due."""
        self._ended = True

    def note_over(self) -> None:
        """Note that the utterance is over: no more audio is waited for."""
        self._listening = False

    def expect_ack(self) -> None:
        """Note that all has been posted, and the client is to acknowledge it."""
        self._ack_due = True

    def next_read(self, now_s: float) -> NextRead:
        """Return when to read again."""
        if not self._listening:
            return NextRead(ACK_S if self._ack_due else REPLY_S, consistent=False)
        if self._ended:
            return NextRead(DUE_S, consistent=True)
        since_s = now_s - self._newest_s
        if since_s >= AWAY_AFTER_S + self._usual_s:
            return NextRead(AWAY_S, consistent=False)
        # A chunk that is shorter than others was sent because the user pauses: the end may follow.
        # Of a pause that lasts, a whole chunk of silence comes just before the end.
        is_short = self._length_s < self._usual_s or self._newest_seq == 0
        pauses = self._is_paused or is_short
        if pauses or since_s >= self._usual_s - EARLY_S:
            return NextRead(DUE_S, consistent=True)
        return NextRead(BETWEEN_S, consistent=False)
