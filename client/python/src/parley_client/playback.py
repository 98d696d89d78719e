"""When a reply is heard. A plain object: the caller brings the clock."""

from __future__ import annotations

from parley_client.pcm import duration_ms, first_audible_sample


class Playback:
    """When a reply would be heard, were every piece played as soon as it came.

    A plain model of a player without a buffer: a piece starts when it arrives or
    when the one before has ended, whichever is later. Times in s of any one clock.
    """

    def __init__(self) -> None:
        self.first_sound_at_s: float | None = None
        """When the first audible sample sounds (leading silence doesn't count)."""
        self._ends_at_s = 0.0
        self._total_ms = 0.0
        self._cut = False

    @property
    def ends_at_s(self) -> float:
        """When what has come will have been heard; 0 if nothing has."""
        return self._ends_at_s

    def cut(self, now_s: float) -> None:
        """Nothing is heard from now on."""
        self._total_ms = self.played_ms(now_s)
        self._ends_at_s = min(self._ends_at_s, now_s)
        self._cut = True

    def add(self, pcm: bytes, rate_hz: int, arrived_at_s: float) -> None:
        """One more piece of the reply has arrived."""
        starts_at_s = max(arrived_at_s, self._ends_at_s)
        length_ms = duration_ms(len(pcm), rate_hz)
        if self.first_sound_at_s is None and (sample := first_audible_sample(pcm)) is not None:
            self.first_sound_at_s = starts_at_s + sample / rate_hz
        if self._cut:
            return
        self._ends_at_s = starts_at_s + length_ms / 1000
        self._total_ms += length_ms

    def played_ms(self, now_s: float) -> float:
        """How much has been heard by `now_s`."""
        return max(0.0, self._total_ms - max(0.0, self._ends_at_s - now_s) * 1000)
