"""The decisions behind the limits: state and time in, decision and new state out."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

DAY_MS = 86_400_000
CONNECTION_S = 2 * 3600
"""API Gateway ends every connection after two hours ("Amazon API Gateway quotas")."""
LEASE_S = CONNECTION_S + 60
"""So long a connection counts, should its end never be told."""


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


def bucket_per_minute(turns: int) -> TokenBucket:
    """A bucket of whole milliseconds; a third of a minute's tokens may be taken at once."""
    return TokenBucket(math.ceil(60_000 / turns), max(1, turns // 3))


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


def lease_of(connection_id: str, connected_at_ms: int) -> str:
    """A connection's lease: a name that says when it ends."""
    return f"{connected_at_ms // 1000 + LEASE_S}#{connection_id}"


@dataclass(frozen=True, slots=True)
class Slots:
    """So many leases at once."""

    limit: int

    def take(
        self, leases: Collection[str], lease: str, now_s: int
    ) -> tuple[frozenset[str], frozenset[str]] | None:
        """Add a lease; one that is held already changes nothing.

        Returns:
            The leases that are held then, and those that have ended meanwhile; None if there
            is no slot.
        """
        ended = frozenset(held for held in leases if int(held.partition("#")[0]) <= now_s)
        held = frozenset(leases) - ended | {lease}
        return (held, ended) if len(held) <= self.limit or lease in leases else None
