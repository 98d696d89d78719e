"""How long audio has waited behind a chunk that is missing, while the user goes on talking.

A plain object over the numbers of chunks and times that it is given.
"""

from __future__ import annotations

AWAY_AFTER_S = 1.0
"""Without new audio for this long the client is away, and no time passes for what is missing: what
it could not send comes when it is back, and so does what it was asked for."""


class AudioGap:
    """Note which chunks are behind a gap, and since when.

    Times are seconds of one monotonic clock.
    """

    def __init__(self, now_s: float) -> None:
        self._now_s = now_s
        self._flowed_s = 0.0
        """How much time has passed while audio came."""
        self._since_s: dict[int, float] = {}
        self._filled_s = 0.0

    def add_chunk(self, seq: int, next_seq: int) -> None:
        """Note that a new chunk came, and that `next_seq` is now the first that has not."""
        if seq > next_seq:
            self._since_s[seq] = self._flowed_s
        elif next_seq == seq + 1:  # a gap that closes bit by bit is being mended
            self._filled_s = self._flowed_s

    def advance(self, now_s: float, last_audio_s: float) -> None:
        """Let time pass."""
        if now_s < last_audio_s + AWAY_AFTER_S:
            self._flowed_s += now_s - self._now_s
        self._now_s = now_s

    def waited_s(self, next_seq: int) -> float:
        """Return how long chunks have waited for this one."""
        self._since_s = {seq: since_s for seq, since_s in self._since_s.items() if seq > next_seq}
        if not self._since_s:
            return 0.0
        return self._flowed_s - max(self._filled_s, min(self._since_s.values()))
