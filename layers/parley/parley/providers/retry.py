"""How often and how soon a provider call is tried again before its first byte."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator

from parley.errors import ProviderError
from parley.providers.rules import RETRY_DELAYS_S

EARLY_DELAYS_S = (*RETRY_DELAYS_S, 4.0, 8.0, 16.0)
"""The delays while nothing is owed, e.g. because the user still talks: nobody waits. The last delay
repeats."""
MAX_RETRY_AFTER_S = 3.0
"""The longest wait that a provider may ask for while an answer is owed. Beyond it the user is told
at once."""


class RetrySchedule:
    """Decides whether, and after how long, a failed call is tried again.

    Args:
        delays_s: the waits while the answer is owed.
    """

    def __init__(self, delays_s: Iterable[float] = RETRY_DELAYS_S) -> None:
        self._delays: Iterator[float] = iter(delays_s)
        self._early_delays: Iterator[float] = itertools.chain(
            EARLY_DELAYS_S, itertools.repeat(EARLY_DELAYS_S[-1])
        )
        self.retries = 0

    def delay_after(self, error: ProviderError, *, owed: bool = True) -> float | None:
        """Return the seconds to wait before the next try; None if there is to be none.

        Bad keys and bad requests stay bad. A call that timed out has used up the user's patience.

        Args:
            owed: whether anybody waits for the answer yet.
        """
        if error.kind not in ("rate_limited", "unavailable"):
            return None
        delay = next(self._delays if owed else self._early_delays, None)
        if delay is None:
            return None
        if error.retry_after_ms is not None:
            delay = max(delay, error.retry_after_ms / 1000)
            if owed and delay > MAX_RETRY_AFTER_S:
                return None
        self.retries += 1
        # Jitter spreads load. It guards nothing, so it needs no secure randomness.
        return delay * random.uniform(0.9, 1.1)  # noqa: S311  # nosec B311
