"""Removes what was written for a session that has been erased meanwhile.

Every writer calls it after its write; see `parley.sessions.erasure`.
"""

from __future__ import annotations

from parley.principal import SessionRef
from parley.storage.sessions import SessionStore


def sweep_if_erased(sessions: SessionStore, ref: SessionRef) -> bool:
    """Return whether the session has been erased; if so, remove what is left of it."""
    if sessions.has_session(ref):
        return False
    sessions.sweep_session(ref)
    return True
