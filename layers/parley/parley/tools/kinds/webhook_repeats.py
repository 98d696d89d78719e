"""Whether a request to a webhook is sent again."""

from __future__ import annotations

from collections.abc import Iterator

CONNECT_PAUSES_S = (0.1, 0.3)
"""Before each further attempt to connect."""
REPEAT_PAUSE_S = 0.2
_PASSING = (502, 503, 504)
"""Statuses of a server, or of a proxy before it, that may be there again in a moment."""


class Repeats:
    """Decides for one call.

    Args:
        harmless: whether the call may run twice, because it only reads or is idempotent.
    """

    def __init__(self, *, harmless: bool) -> None:
        self._left = 1 if harmless else 0
        self._pauses: Iterator[float] = iter(CONNECT_PAUSES_S)

    def pause_after_failure(self, *, sent: bool) -> float | None:
        """Return how long to wait before the next request, in s; None if there is none.

        Args:
            sent: whether the request may have arrived.
        """
        return self._repeat() if sent else next(self._pauses, None)

    def pause_after_status(self, status: int) -> float | None:
        """Return the same, for an answer with a status."""
        return self._repeat() if status in _PASSING else None

    def _repeat(self) -> float | None:
        if not self._left:
            return None
        self._left -= 1
        return REPEAT_PAUSE_S
