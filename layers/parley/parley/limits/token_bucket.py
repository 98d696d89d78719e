"""The decisions behind the limits: state and time in, decision and new state out."""

from __future__ import annotations

import math
from dataclasses import dataclass

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Taken:
    """It was there and is taken.

    Attributes:
        full_at_ms: the bucket's new state.
    """

    full_at_ms: float


@dataclass(frozen=True, slots=True)
class Wait:
    """It is not there.

    Attributes:
        ms: after so long it will be.
    """

    ms: float


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """A token bucket, kept as one number: when it will be full again (GCRA, ITU-T I.371).

    Attributes:
        interval_ms: how long until the next token.
        burst: how many tokens a full bucket has, at least 1.
    """

    interval_ms: float
    burst: float

    def take(self, full_at_ms: float, now_ms: float, tokens: float = 1) -> Taken | Wait:
        """Take tokens out of a bucket.

        Args:
            full_at_ms: its state; 0 for one that has not been used.
            tokens: more than it holds count as all that it holds.
        """
        wanted = max(full_at_ms, now_ms) + min(tokens, self.burst) * self.interval_ms
        latest = now_ms + self.burst * self.interval_ms
        return Taken(wanted) if wanted <= latest else Wait(wanted - latest)


def bucket_per_minute(tokens: int, at_once: int = 1) -> TokenBucket:
    """A bucket of whole milliseconds; a third of a minute's tokens may be taken at once.

    Args:
        at_once: so many may be in any case.
    """
    return TokenBucket(math.ceil(60_000 / tokens), max(1, at_once, tokens // 3))


@dataclass(frozen=True, slots=True)
class DailyQuota:
    """So much in a day; the day begins at midnight UTC."""

    limit_ms: int

    def wait_ms(self, used_ms: int, now_ms: int) -> int | None:
        """None while something is left; otherwise how long until there is."""
        return None if used_ms < self.limit_ms else DAY_MS - now_ms % DAY_MS


def day_of(now_ms: int) -> int:
    """The UTC day, in days since the epoch."""
    return now_ms // DAY_MS
