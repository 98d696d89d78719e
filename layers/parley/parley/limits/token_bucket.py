"""Pure decisions of limits: state and time in, decision and new state out."""

from __future__ import annotations

import math
from dataclasses import dataclass

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Taken:
    """The token was there and has been taken.

    Attributes:
        full_at_ms: the bucket's new state.
    """

    full_at_ms: float


@dataclass(frozen=True, slots=True)
class Wait:
    """The bucket has no token.

    Attributes:
        ms: how long until it has one.
    """

    ms: float


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """A token bucket, stored as one number: when it will be full again (GCRA, ITU-T I.371).

    Attributes:
        interval_ms: how long until the next token.
        burst: how many tokens a full bucket has, at least 1.
    """

    interval_ms: float
    burst: float

    def take_tokens(self, full_at_ms: float, now_ms: float, tokens: float = 1) -> Taken | Wait:
        """Take tokens out of a bucket.

        Args:
            full_at_ms: the bucket's state; 0 for a bucket that has not been used.
            now_ms: the time, on the clock of `full_at_ms`.
            tokens: how many; more than a full bucket has count as a full bucket.
        """
        wanted = max(full_at_ms, now_ms) + min(tokens, self.burst) * self.interval_ms
        latest = now_ms + self.burst * self.interval_ms
        return Taken(wanted) if wanted <= latest else Wait(wanted - latest)


def bucket_per_minute(tokens: int, at_once: int = 1) -> TokenBucket:
    """Return a bucket of whole milliseconds. A third of a minute's tokens may be taken at once.

    Args:
        tokens: tokens for each minute.
        at_once: how many may be taken at once in any case.
    """
    return TokenBucket(math.ceil(60_000 / tokens), max(1, at_once, tokens // 3))


@dataclass(frozen=True, slots=True)
class DailyQuota:
    """A limit for a day. The day begins at midnight UTC."""

    limit_ms: int

    def wait_ms(self, used_ms: int, now_ms: int) -> int | None:
        """Return None while something is left, otherwise the time in ms until there is."""
        return None if used_ms < self.limit_ms else DAY_MS - now_ms % DAY_MS


def utc_day(now_ms: int) -> int:
    """Return the UTC day, in days since the epoch."""
    return now_ms // DAY_MS
