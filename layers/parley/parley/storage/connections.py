"""Connections in the table: who opened them, and the one session that each is bound to."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from types import MappingProxyType

from parley.clock import now_s
from parley.limit import LimitScope
from parley.principal import Principal, SessionRef
from parley.protocol.agent_overrides import NO_OVERRIDES, AgentOverrides
from parley.protocol.messages import NO_SETTINGS, Settings
from parley.storage.item_codec import (
    Connection,
    bound_key,
    connection_from,
    connection_key,
    number,
    read_text,
    signed_agent_item,
    signed_item,
)
from parley.storage.table import Table

CONNECTION_TTL_S = 3 * 3600
"""How long a connection's item stays. API Gateway ends a connection after two hours."""
NO_SLOTS: Mapping[LimitScope, int] = MappingProxyType({})


class ConnectionStore:
    """Reads and writes connections."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def add(
        self,
        connection_id: str,
        principal: Principal,
        connected_at_ms: int = 0,
        slots: Mapping[LimitScope, int] = NO_SLOTS,
        signed: Settings = NO_SETTINGS,
        signed_agent: AgentOverrides = NO_OVERRIDES,
    ) -> None:
        """Store a connection that was opened. It has no session yet.

        Args:
            connection_id: API Gateway's id.
            principal: who opened it.
            connected_at_ms: API Gateway's `connectedAt`.
            slots: the shard of each slot that it has.
            signed: the settings of the token that opened it.
            signed_agent: what that token says of the agent.
        """
        self._table.put(
            {
                **connection_key(connection_id),
                "tenant": {"S": principal.tenant},
                "subject": {"S": principal.subject},
                "connected_at": number(connected_at_ms),
                **signed_item(signed),
                **signed_agent_item(signed_agent),
                **{f"slot_of_{scope}": number(shard) for scope, shard in slots.items()},
                "expires_at": number(now_s() + CONNECTION_TTL_S),
            }
        )

    def remove(self, connection_id: str) -> Connection | None:
        """Delete a connection that was closed. Return it; None if it was deleted already."""
        item = self._table.delete(connection_key(connection_id))
        return connection_from(item) if item else None

    def bind(self, connection_id: str, ref: SessionRef, message_id: str) -> bool:
        """Bind a connection to its session, once. Return False if it has one already.

        The session's note of the connection is written first, so an erasure of the session finds
        every connection that names it.

        Args:
            connection_id: the connection.
            ref: the session.
            message_id: API Gateway's id of the `init` that asks for it.
        """
        self._table.put(
            {**bound_key(ref, connection_id), "expires_at": number(now_s() + CONNECTION_TTL_S)}
        )
        key, nonce = connection_key(connection_id), uuid.uuid4().hex
        bound = self._table.update(
            key,
            "SET #session = :session, init_message = :message, nonce = :nonce, "
            "expires_at = :expires",
            "attribute_exists(pk) AND attribute_not_exists(#session)",
            {"#session": "session"},
            {
                ":session": {"S": ref},
                ":message": {"S": message_id},
                ":nonce": {"S": nonce},
                ":expires": number(now_s() + CONNECTION_TTL_S),
            },
        )
        # If the answer to this write was lost, its repetition found it done.
        return bound is not None or read_text(self._table.get(key) or {}, "nonce") == nonce

    def unbind(self, connection_id: str, ref: SessionRef) -> None:
        """Remove a binding: the connection was refused the session, or has lost it."""
        self._table.update(
            connection_key(connection_id),
            "REMOVE #session",
            "#session = :session",
            {"#session": "session"},
            {":session": {"S": ref}},
        )
        self._table.write_batch([], [bound_key(ref, connection_id)])

    def get_connection(self, connection_id: str) -> Connection | None:
        """Return a connection; None if it is over."""
        item = self._table.get(connection_key(connection_id))
        return connection_from(item) if item else None

    def find_initialised(self, connection_ids: Collection[str]) -> frozenset[str]:
        """Return which of some connections are open and have ever been bound to a session."""
        keys = [connection_key(connection_id) for connection_id in connection_ids]
        return frozenset(
            read_text(item, "pk").removeprefix("CONNECTION#")
            for item in self._table.get_batch(keys, ("pk", "init_message"))
            if "init_message" in item
        )
