"""Whose a session is, and the name that every key of it is built from.

A session belongs to the principal that opened it. The keys of its items begin with that
principal, so that another one's session id or turn id names nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType
from urllib.parse import quote

SessionRef = NewType("SessionRef", str)
"""A session and its owner: `<tenant>/<subject>/<session id>`, each part percent-encoded."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is at the other end of a connection.

    Attributes:
        tenant: the customer of the app's owner that the user belongs to.
        subject: the user, as the token names it.
    """

    tenant: str = "default"
    subject: str = "anonymous"

    @property
    def key(self) -> str:
        """`<tenant>/<subject>`, percent-encoded: no two principals have the same."""
        return f"{quote(self.tenant, safe='')}/{quote(self.subject, safe='')}"

    def session(self, session_id: str) -> SessionRef:
        """The session of this name that is the principal's own."""
        return SessionRef(f"{self.key}/{quote(session_id, safe='')}")


ANONYMOUS = Principal()
"""Everybody, where authentication is off."""


def owner_of(ref: SessionRef) -> str:
    """The `key` of the principal whose session it is."""
    return ref.rpartition("/")[0]


def session_id_of(ref: SessionRef) -> str:
    """What the client calls the session."""
    return ref.rpartition("/")[2]
