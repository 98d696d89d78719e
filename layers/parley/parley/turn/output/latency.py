"""Where a turn's time went: marks on one clock, and the parts between them that add up."""

from __future__ import annotations

import time
from typing import Literal

from parley.protocol.messages import Metrics

Mark = Literal[
    "received",  # API Gateway took user_message or audio_end: zero
    "started",  # the turn function began (typed), or saw the end of the utterance (spoken)
    "transcribed",  # the final transcript is known (spoken)
    "requested",  # the responder was asked
    "first_token",
    "first_clause",
    "first_audio",
    "first_text_posted",
    "first_audio_posted",
    "ended",
]


def monotonic_at(epoch_ms: int) -> float:
    """Return when something was, on the monotonic clock, that another clock dated in epoch ms."""
    return time.monotonic() - max(0.0, time.time() - epoch_ms / 1000)


class TurnLatency:
    """Marks of one turn, in seconds of one clock. The first mark of a name counts."""

    def __init__(self) -> None:
        self._marks: dict[Mark, float] = {}
        self._tools_s = 0.0

    def add_tools(self, duration_s: float) -> None:
        """Note how long tools have taken. What follows the first token delays no first sound."""
        if "first_token" not in self._marks:
            self._tools_s += duration_s

    def mark(self, name: Mark, at_s: float) -> None:
        """Note when something happened first."""
        self._marks.setdefault(name, at_s)

    def take_over(self, draft: TurnLatency, at_s: float) -> None:
        """Take the marks of a reply that had begun before it was sure to be wanted.

        What it had done by then has taken none of the turn's time.

        Args:
            at_s: when it was sure.
        """
        for name, marked_s in draft._marks.items():
            self.mark(name, max(marked_s, at_s))

    def metrics(self) -> Metrics:
        """Return the parts and the sums, in ms; what did not happen is None."""
        thinking_from: Mark = "transcribed" if "transcribed" in self._marks else "started"
        return Metrics(
            dispatch_ms=self._between("received", "started"),
            transcript_ms=self._between("started", "transcribed"),
            prepare_ms=self._between(thinking_from, "requested"),
            responder_ms=self._responder_ms(),
            tools_ms=round(self._tools_s * 1000, 1) if self._tools_s else None,
            clause_ms=self._between("first_token", "first_clause"),
            synthesizer_ms=self._between("first_clause", "first_audio"),
            delivery_ms=self._between("first_audio", "first_audio_posted"),
            first_text_ms=self._between("received", "first_text_posted"),
            first_audio_ms=self._between("received", "first_audio_posted"),
            total_ms=self._between("received", "ended"),
        )

    def _responder_ms(self) -> float | None:
        """Return how long the model took, without the tools that it had called."""
        asked_ms = self._between("requested", "first_token")
        if asked_ms is None:
            return None
        return round(max(0.0, asked_ms - self._tools_s * 1000), 1)

    def _between(self, start: Mark, end: Mark) -> float | None:
        if start not in self._marks or end not in self._marks:
            return None
        return round(max(0.0, self._marks[end] - self._marks[start]) * 1000, 1)
