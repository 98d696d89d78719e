"""When to try again, and when to stop trying. Plain objects: the caller brings clock and chance.

Exponential with full jitter: each delay is drawn between nothing and a ceiling
that doubles, so that many clients that lost one server do not come back at once.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from parley_client.options import Reconnect


class Backoff:
    """The delays before a row of attempts.

    Args:
        policy: how many and how long.
        uniform: draws a number between two; the default is `random.uniform`.
    """

    def __init__(
        self, policy: Reconnect, uniform: Callable[[float, float], float] = random.uniform
    ) -> None:
        self._policy = policy
        self._uniform = uniform
        self.attempt = 0
        """Attempts made since the last stable connection."""

    def lost(self, lasted_s: float) -> None:
        """A connection that had been ready for so long is gone."""
        if lasted_s >= self._policy.stable_s:
            self.attempt = 0

    def next_delay_s(self) -> float | None:
        """How long to wait before the next attempt; None when there have been enough."""
        if self.attempt >= self._policy.attempts:
            return None
        # 2 ** 64 times any base exceeds any cap: the exponent needs no more
        ceiling_s = min(self._policy.cap_s, self._policy.base_s * 2 ** min(self.attempt, 64))
        self.attempt += 1
        return self._uniform(0.0, ceiling_s)
