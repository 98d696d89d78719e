"""Connections at once: a lease for each in the table, taken and returned by one write.

The leases of an account are sets of strings, so both writes can be repeated and need no read. A
lease is not returned if API Gateway does not report the connection's end, or the report fails. Then
it ends with the connection's two hours. If its place is needed, it ends 90 s after the handshake of
a connection that is gone, or was lost before its `init`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from parley.clock import now_s
from parley.limit import LimitScope
from parley.limits.connection_lease import LEASE_S, Held, Shards, lease_name
from parley.limits.errors import too_many_connections
from parley.limits.rules import Account, LimitRules, list_accounts
from parley.principal import Principal
from parley.storage.connections import ConnectionStore
from parley.storage.item_codec import Connection, number, read_number
from parley.storage.table import Item, Table


class ConnectionSlots:
    """Takes and returns the slots of connections.

    Args:
        table: the table.
        connections: the connections, to find the ones that are lost.
        rules: the limits.
    """

    def __init__(self, table: Table, connections: ConnectionStore, rules: LimitRules) -> None:
        self._table = table
        self._connections = connections
        self._rules = rules

    def take_slots(
        self, principal: Principal, connection_id: str, connected_at_ms: int
    ) -> Mapping[LimitScope, int]:
        """Take a slot of the subject and one of its tenant for a new connection.

        Args:
            principal: who connects.
            connection_id: the new connection.
            connected_at_ms: API Gateway's `connectedAt`.

        Returns:
            The shard of each slot, for `Connection.slots`.

        Raises:
            ParleyError: `rate_limited`; answer the handshake with 429.
        """
        taken: dict[LimitScope, int] = {}
        for account in list_accounts(principal, self._rules):
            if not account.share.connections:
                continue
            shard = self._take(account, connection_id, connected_at_ms)
            if shard is None:
                # The subject's slot may be taken already when the tenant has none.
                made = Connection(principal, connected_at_ms=connected_at_ms, slots=taken)
                self.return_slots(connection_id, made)
                raise too_many_connections(account.scope, account.share.connections)
            taken[account.scope] = shard
        return taken

    def return_slots(self, connection_id: str, connection: Connection) -> None:
        """Return the slots of a connection that has ended, or no longer counts."""
        lease = lease_name(connection_id, connection.connected_at_ms)
        for account in list_accounts(connection.principal, self._rules):
            shard = connection.slots.get(account.scope)
            if shard is not None:
                self._remove(_key(account, shard), {lease})

    def _take(self, account: Account, connection_id: str, connected_at_ms: int) -> int | None:
        """Return the shard where a slot was free and has been taken; None if none was."""
        shards, lease = (
            Shards(account.share.connections),
            lease_name(connection_id, connected_at_ms),
        )
        for shard in shards.list_candidates(connection_id):
            key, room = _key(account, shard), shards.capacity(shard)
            taken, item = self._add(key, lease, room)
            if taken or (self._heal(key, item) and self._add(key, lease, room)[0]):
                return shard
        return None

    def _add(self, key: Item, lease: str, room: int) -> tuple[bool, Item]:
        # A write that is repeated after a lost answer finds its own lease, even in a full shard.
        return self._table.try_update(
            key,
            "SET expires_at = :expires ADD leases :leases",
            "attribute_not_exists(leases) OR size(leases) < :room OR contains(leases, :lease)",
            {
                ":expires": number(now_s() + LEASE_S),
                ":leases": {"SS": [lease]},
                ":lease": {"S": lease},
                ":room": number(room),
            },
        )

    def _heal(self, key: Item, item: Item) -> bool:
        """Remove void leases from a full shard. Return False if there are none."""
        now = now_s()
        held = Held(item.get("leases", {}).get("SS", []), read_number(item, "looked_at"))
        ended = held.list_ended(now)
        if ended:
            self._remove(key, ended)
            return True
        doubtful = held.find_doubtful(now)
        if not doubtful:
            return False
        initialised = self._connections.find_initialised(doubtful)
        lost = {lease for connection, lease in doubtful.items() if connection not in initialised}
        self._remove(key, lost, looked_at=now)
        return bool(lost)

    def _remove(self, key: Item, leases: Collection[str], looked_at: int | None = None) -> None:
        changes: list[str] = []
        values: dict[str, Any] = {}
        if looked_at is not None:
            changes.append("SET looked_at = :looked")
            values[":looked"] = number(looked_at)
        if leases:
            changes.append("DELETE leases :leases")
            values[":leases"] = {"SS": sorted(leases)}
        self._table.update(key, " ".join(changes), "attribute_exists(leases)", {}, values)


def _key(account: Account, shard: int) -> Item:
    return {"pk": {"S": account.pk}, "sk": {"S": f"CONNECTIONS#{shard:03d}"}}
