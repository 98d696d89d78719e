"""Pure decisions about connections at once: where a lease is stored, and which leases are void.

An account's leases are spread over shards. A shard is an item that is small enough for one write
unit (1 KB): in one item, 3,000 leases would make every handshake pay for 85 KB. The rooms of the
shards add up to the limit, so it is never exceeded. A connection tries some of the shards, its own
first. Of more than `SHARD_LEASES * TRIES` slots the last few in a hundred may stay free.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from hashlib import blake2b

CONNECTION_S = 2 * 3600
"""The longest life of a connection ("Amazon API Gateway quotas")."""
LEASE_S = CONNECTION_S + 60
"""How long a connection counts if API Gateway never reports its end."""
INIT_WITHIN_S = 60
"""How long after its handshake a connection may be without a session. After that it is closed at
its next message."""
LOST_AFTER_S = INIT_WITHIN_S + 30
"""After this time a connection without a session will have none: its `init` would have been
answered. API Gateway waits 29 s for that."""
LOOK_AGAIN_S = 30
"""The shortest time between two searches of a full shard for lost connections."""
SHARD_LEASES = 30
"""Leases of one shard. Each takes 11 + 16 characters and a byte; the item takes about 100 more."""
TRIES = 12
"""How many shards a connection tries. Each full one costs a write unit."""


def lease_name(connection_id: str, connected_at_ms: int) -> str:
    """Return a connection's lease: a name that contains its end."""
    return f"{connected_at_ms // 1000 + LEASE_S}#{connection_id}"


@dataclass(frozen=True, slots=True)
class Shards:
    """The items that an account's leases are spread over.

    Attributes:
        limit: how many leases there may be, at least 1.
    """

    limit: int

    @property
    def count(self) -> int:
        """The number of items."""
        return -(-self.limit // SHARD_LEASES)

    def capacity(self, shard: int) -> int:
        """Return how many leases a shard may have."""
        return self.limit // self.count + (shard < self.limit % self.count)

    def list_candidates(self, connection_id: str) -> list[int]:
        """Return the shards that a connection tries, in order (rendezvous hashing)."""

        def weight(shard: int) -> bytes:
            return blake2b(f"{shard}#{connection_id}".encode(), digest_size=8).digest()

        return sorted(range(self.count), key=weight)[:TRIES]


@dataclass(frozen=True, slots=True)
class Held:
    """The leases of a shard.

    Attributes:
        leases: leases, as `lease_name` names them.
        looked_at_s: when it was last searched for lost connections, in s since the epoch.
    """

    leases: Collection[str]
    looked_at_s: int = 0

    def list_ended(self, now_s: int) -> frozenset[str]:
        """Return the leases of connections whose two hours are over."""
        return frozenset(lease for lease in self.leases if _end_s(lease) <= now_s)

    def find_doubtful(self, now_s: int) -> dict[str, str]:
        """Return the leases, by connection, that are void unless the connection has had a session.

        Empty while it is too early to search again.
        """
        if now_s < self.looked_at_s + LOOK_AGAIN_S:
            return {}
        return {
            lease.partition("#")[2]: lease
            for lease in self.leases
            if _end_s(lease) - LEASE_S + LOST_AFTER_S <= now_s
        }


def _end_s(lease: str) -> int:
    return int(lease.partition("#")[0])
