"""Binds connections to sessions, and remembers between invocations which is bound to which.

A binding never changes, so each environment reads it once for each connection. The session itself
may be erased.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass

from parley.errors import BadMessage, ParleyError
from parley.principal import SessionRef
from parley.sessions.sweep import sweep_if_erased
from parley.storage.item_codec import Connection
from parley.storage.sessions import KNOWN_THERE_S, SessionStore

MAX_BINDINGS = 1_000


class DuplicateInit(Exception):
    """The same `init` was delivered twice; the other delivery answers it."""


class StaleInit(Exception):
    """The connection of an `init` is closed, or the client has left it for a newer one."""


@dataclass(slots=True)
class _Binding:
    """The session of a connection.

    Attributes:
        seen_s: when the session was last found, in s since the epoch. Monotonic clocks may stand
            still while Lambda freezes the function.
    """

    ref: SessionRef
    seen_s: float = 0.0


class SessionBinding:
    """Binds connections to sessions."""

    def __init__(self, sessions: SessionStore) -> None:
        self._sessions = sessions
        self._bindings: OrderedDict[str, _Binding] = OrderedDict()

    def find_unbound(self, connection_id: str, message_id: str) -> Connection:
        """Find a connection that has no session yet.

        Args:
            message_id: API Gateway's id of the `init` that asks for a session.

        Raises:
            BadMessage: the connection has a session.
            DuplicateInit: this very message has bound it.
            StaleInit: the connection is closed.
        """
        connection = self._sessions.connections.get_connection(connection_id)
        if connection is None:
            raise StaleInit
        if connection.ref is None:
            return connection
        if message_id and connection.message_id == message_id:
            raise DuplicateInit
        raise BadMessage(
            "bad_request",
            "init: this connection already has a session. Open a new connection for another.",
            field="init",
        )

    def bind(self, connection_id: str, ref: SessionRef, message_id: str) -> None:
        """Bind a connection to its session; raise as `find_unbound` does if it has one."""
        if not self._sessions.connections.bind(connection_id, ref, message_id):
            self.find_unbound(connection_id, message_id)
            raise ParleyError(
                "internal", "Something went wrong on our side. Send init again.", retryable=True
            )

    def remember(self, connection_id: str, ref: SessionRef) -> None:
        """Remember that a connection is bound."""
        self._bindings[connection_id] = _Binding(ref)
        if len(self._bindings) > MAX_BINDINGS:
            self._bindings.popitem(last=False)

    def find_session(self, connection_id: str) -> SessionRef:
        """Find the session that a connection is bound to; raise `BadMessage` if there is none."""
        if (known := self._bindings.get(connection_id)) is not None:
            return known.ref
        connection = self._sessions.connections.get_connection(connection_id)
        if connection is None or connection.ref is None:
            raise BadMessage(
                "not_initialised",
                "Send init first and wait for ready; then send anything else.",
            )
        self.remember(connection_id, connection.ref)
        return connection.ref

    def is_uninitialised(self, connection_id: str) -> bool:
        """Return whether a connection is open and has never had a session."""
        if connection_id in self._bindings:
            return False
        connection = self._sessions.connections.get_connection(connection_id)
        if connection is not None and connection.ref is not None:
            self.remember(connection_id, connection.ref)
        return connection is not None and not connection.initialised

    def check_not_erased(self, connection_id: str) -> None:
        """Remove what has just been written if the session has been erased meanwhile.

        Raises:
            ParleyError: `session_not_found`: the session has been erased.
        """
        binding = self._bindings.get(connection_id)
        now_s = time.time()
        if binding is None or now_s < binding.seen_s + KNOWN_THERE_S:
            return
        if not sweep_if_erased(self._sessions, binding.ref):
            binding.seen_s = now_s
            return
        del self._bindings[connection_id]
        raise ParleyError(
            "session_not_found",
            "This session has been erased. Send init without session_id for a new one.",
        )
