"""Principals, and the references to their sessions that every key is built from.

A session belongs to the principal that opened it. The keys of its items begin with that principal.
So another principal's session id or turn id names nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType
from urllib.parse import quote, unquote

SessionRef = NewType("SessionRef", str)
"""A session and its owner: `<tenant>/<subject>/<session id>`, each part percent-encoded."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The owner of sessions: who is at the other end of a connection.

    Attributes:
        tenant: the customer of the app's owner that the user belongs to.
        subject: the user, as the token names it.
    """

    tenant: str = "default"
    subject: str = "anonymous"

    @property
    def key(self) -> str:
        """`<tenant>/<subject>`, percent-encoded: unique to each principal."""
        return f"{quote(self.tenant, safe='')}/{quote(self.subject, safe='')}"

    def session(self, session_id: str) -> SessionRef:
        """Return the reference to the principal's own session of this id."""
        return SessionRef(f"{self.key}/{quote(session_id, safe='')}")


ANONYMOUS = Principal()
"""The principal of everybody, where authentication is off."""


def parse_owner(ref: SessionRef) -> str:
    """Return the `Principal.key` of a session's owner."""
    return ref.rpartition("/")[0]


def parse_session_id(ref: SessionRef) -> str:
    """Return the session id, as the client knows it."""
    return ref.rpartition("/")[2]


def parse_principal(ref: SessionRef) -> Principal:
    """Return a session's owner."""
    tenant, subject, _session_id = ref.split("/")
    return Principal(unquote(tenant), unquote(subject))
