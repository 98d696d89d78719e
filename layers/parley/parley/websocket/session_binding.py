"""Whose message it is: the session that a connection is bound to, remembered between invocations.

The binding never changes, so it is read from the table once for each connection and environment.
What may change is whether the session is still there.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass

from parley.errors import BadMessage, ParleyError
from parley.principal import SessionRef
from parley.storage.item_codec import Connection
from parley.storage.sessions import KNOWN_THERE_S, SessionStore

MAX_BINDINGS = 1_000


class CameTwice(Exception):
    """The same `init` was delivered twice; the other delivery answers it."""


class CameLate(Exception):
    """The connection of an `init` is over, or the client has left it for a newer one; there is
    nobody to answer."""


@dataclass(slots=True)
class _Binding:
    """The session of a connection.

    Attributes:
        seen_s: when it was last asked for, and was there; in s since the epoch, because
            other clocks may stand still while Lambda freezes the function.
    """

    ref: SessionRef
    seen_s: float = 0.0


class SessionBinding:
    """Binds connections to sessions, and knows which is bound to which."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store
        self._bindings: OrderedDict[str, _Binding] = OrderedDict()

    def unbound(self, connection_id: str, message_id: str) -> Connection:
        """A connection that has no session yet.

        Args:
            message_id: API Gateway's, of the `init` that asks for one.

        Raises:
            BadMessage: it has one already.
            CameTwice: by this very message.
            CameLate: the connection is over.
        """
        connection = self._store.bindings.connection(connection_id)
        if connection is None:
            raise CameLate
        if connection.ref is None:
            return connection
        if message_id and connection.message_id == message_id:
            raise CameTwice
        raise BadMessage(
            "bad_request",
            "init: this connection already has a session. Open a new connection for another.",
            field="init",
        )

    def claim(self, connection_id: str, ref: SessionRef, message_id: str) -> None:
        """Bind a connection to its session; raises as `unbound` does if it has one."""
        if not self._store.bindings.bind(connection_id, ref, message_id):
            self.unbound(connection_id, message_id)
            raise ParleyError(
                "internal", "Something went wrong on our side. Send init again.", retryable=True
            )

    def remember(self, connection_id: str, ref: SessionRef) -> None:
        """A connection has been bound, for good."""
        self._bindings[connection_id] = _Binding(ref)
        if len(self._bindings) > MAX_BINDINGS:
            self._bindings.popitem(last=False)

    def of(self, connection_id: str) -> SessionRef:
        """The session that a connection is bound to; raises `BadMessage` if to none."""
        if (known := self._bindings.get(connection_id)) is not None:
            return known.ref
        connection = self._store.bindings.connection(connection_id)
        if connection is None or connection.ref is None:
            raise BadMessage(
                "not_initialised",
                "Send init first and wait for ready; then send anything else.",
            )
        self.remember(connection_id, connection.ref)
        return connection.ref

    def never_began(self, connection_id: str) -> bool:
        """Whether a connection is open that has never had a session."""
        if connection_id in self._bindings:
            return False
        connection = self._store.bindings.connection(connection_id)
        if connection is not None and connection.ref is not None:
            self.remember(connection_id, connection.ref)
        return connection is not None and not connection.initialised

    def look_for(self, connection_id: str) -> None:
        """Should the session have been erased meanwhile, nothing may be left of what has just
        been written for it: swept, and raised as `session_not_found`."""
        binding = self._bindings.get(connection_id)
        if binding is None or time.time() < binding.seen_s + KNOWN_THERE_S:
            return
        now_s = time.time()
        if self._store.is_there(binding.ref):
            binding.seen_s = now_s
            return
        self._store.sweep(binding.ref)
        del self._bindings[connection_id]
        raise ParleyError(
            "session_not_found",
            "This session has been erased. Send init without session_id for a new one.",
        )
