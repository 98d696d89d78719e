"""The decisions behind connections at once: where a lease is kept, and whose has come to nothing.

An account's leases are spread over shards, items small enough to be written for one write unit
(1 KB): in one item, 3,000 leases would make every handshake pay for 85 KB. The shards' rooms add
up to the limit, so that it is never exceeded. A connection tries some of the shards, its own
first; of more than `SHARD_LEASES * TRIES` slots the last few in a hundred may stay free.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from hashlib import blake2b

CONNECTION_S = 2 * 3600
"""API Gateway ends every connection after two hours ("Amazon API Gateway quotas")."""
LEASE_S = CONNECTION_S + 60
"""So long a connection counts, should its end never be told."""
INIT_WITHIN_S = 60
"""How long after its handshake a connection may be without a session: then it is good for nothing
and is closed at its next message."""
LOST_AFTER_S = INIT_WITHIN_S + 30
"""After so long, a connection that has had no session has none to come: its `init` would have been
answered. API Gateway waits 29 s for that."""
LOOK_AGAIN_S = 30
"""How often a full shard is searched for connections that are lost, at most."""
SHARD_LEASES = 30
"""Leases of one shard: each is 11 + 16 characters and a byte, beside about 100 for the item."""
TRIES = 12
"""How many shards a connection tries; each that is full costs a write unit."""


def lease_of(connection_id: str, connected_at_ms: int) -> str:
    """A connection's lease: a name that says when it ends."""
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
        """How many items."""
        return -(-self.limit // SHARD_LEASES)

    def room(self, shard: int) -> int:
        """How many leases a shard may have."""
        return self.limit // self.count + (shard < self.limit % self.count)

    def order(self, connection_id: str) -> list[int]:
        """The shards that a connection tries, one after the other (rendezvous hashing)."""

        def weight(shard: int) -> bytes:
            return blake2b(f"{shard}#{connection_id}".encode(), digest_size=8).digest()

        return sorted(range(self.count), key=weight)[:TRIES]


@dataclass(frozen=True, slots=True)
class Held:
    """The leases of a shard.

    Attributes:
        leases: as `lease_of` names them.
        looked_at_s: when it was last searched for lost connections, in s since the epoch.
    """

    leases: Collection[str]
    looked_at_s: int = 0

    def ended(self, now_s: int) -> frozenset[str]:
        """Leases of connections whose two hours are over."""
        return frozenset(lease for lease in self.leases if _end_s(lease) <= now_s)

    def doubtful(self, now_s: int) -> dict[str, str]:
        """Leases by connection, of those that are lost unless they have had a session; none
        while it is too early to look again."""
        if now_s < self.looked_at_s + LOOK_AGAIN_S:
            return {}
        return {
            lease.partition("#")[2]: lease
            for lease in self.leases
            if _end_s(lease) - LEASE_S + LOST_AFTER_S <= now_s
        }


def _end_s(lease: str) -> int:
    return int(lease.partition("#")[0])
