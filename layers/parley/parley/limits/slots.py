"""Who has how many connections: a lease for each in the table, taken and given back by one write.

The leases of an account are one set of strings, `<when it ends>#<connection id>`, so that taking
and giving back can be repeated and need nothing to be read. A lease that is never given back,
because API Gateway did not tell of the connection's end, ends with the connection's two hours.
"""

from __future__ import annotations

from typing import Any

from parley.items import now_s, number
from parley.limits.buckets import LEASE_S, Slots, lease_of
from parley.limits.refusals import too_many_connections
from parley.limits.rules import Account, LimitRules, accounts_of
from parley.principal import Principal
from parley.table import Table


class ConnectionSlots:
    """Takes and gives back the slots of connections."""

    def __init__(self, table: Table, rules: LimitRules) -> None:
        self._table = table
        self._rules = rules

    def take(self, principal: Principal, connection_id: str, connected_at_ms: int) -> None:
        """Take a slot of the subject and one of its tenant for a new connection.

        Args:
            connected_at_ms: API Gateway's `connectedAt`: the connection's end has the same.

        Raises:
            ParleyError: `rate_limited`; the handshake is to be answered with 429.
        """
        lease = lease_of(connection_id, connected_at_ms)
        taken: list[Account] = []
        for account in self._accounts(principal):
            if not self._take(account, lease):
                for other in taken:
                    self._give_back(other, {lease})
                raise too_many_connections(account.scope, account.share.connections)
            taken.append(account)

    def give_back(self, principal: Principal, connection_id: str, connected_at_ms: int) -> None:
        """A connection has ended."""
        for account in self._accounts(principal):
            self._give_back(account, {lease_of(connection_id, connected_at_ms)})

    def _accounts(self, principal: Principal) -> list[Account]:
        return [a for a in accounts_of(principal, self._rules) if a.share.connections]

    def _take(self, account: Account, lease: str) -> bool:
        slots = Slots(account.share.connections)
        taken, item = self._add(account, lease)
        if taken:
            return True
        held = item.get("leases", {}).get("SS", [])
        decision = slots.take(held, lease, now_s())
        if decision is None:
            return False
        self._give_back(account, decision[1])
        return self._add(account, lease)[0]

    def _add(self, account: Account, lease: str) -> tuple[bool, dict[str, Any]]:
        return self._table.try_update(
            _key(account),
            "SET expires_at = :expires ADD leases :leases",
            "attribute_not_exists(leases) OR size(leases) < :limit OR contains(leases, :lease)",
            {
                ":expires": number(now_s() + LEASE_S),
                ":leases": {"SS": [lease]},
                ":lease": {"S": lease},
                ":limit": number(account.share.connections),
            },
        )

    def _give_back(self, account: Account, leases: set[str] | frozenset[str]) -> None:
        if leases:
            self._table.update(
                _key(account),
                "DELETE leases :leases",
                "attribute_exists(leases)",
                {},
                {":leases": {"SS": sorted(leases)}},
            )


def _key(account: Account) -> dict[str, Any]:
    return {"pk": {"S": account.pk}, "sk": {"S": "CONNECTIONS"}}
