"""The end of a session: what its client is told, and what the log says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import asdict

from parley.principal import SessionRef, parse_session_id
from parley.protocol.messages import SessionEnded, SessionEndReason
from parley.storage.item_codec import Session
from parley.storage.sessions import SessionStore

Log = Callable[[str, dict[str, Any]], None]
"""Takes an event name and fields."""


def log_nothing(_event: str, _fields: dict[str, Any]) -> None:
    """Take note of nothing."""


class SessionEnd:
    """Ends sessions.

    Args:
        log: told what an ended session has used, and of trouble.
    """

    def __init__(self, sessions: SessionStore, log: Log) -> None:
        self._sessions = sessions
        self._log = log

    def end(
        self, ref: SessionRef, received_at_ms: int, reason: SessionEndReason = "ended"
    ) -> tuple[Session | None, SessionEnded]:
        """End a session. Return it, and the event that says so, with what its turns have used.

        The message that has ended it is told the sum. One that finds it ended is not: a long
        history costs much to read.

        Args:
            received_at_ms: when API Gateway received the message that ends it, in ms since the
                epoch.
        """
        session = self._sessions.end_session(ref, received_at_ms)
        event = SessionEnded(parse_session_id(ref), reason)
        if session is None or session.ended_at_ms != received_at_ms:
            return session, event
        try:
            event.usage = self._sessions.usage.read(ref)
        except Exception as error:  # costs the sum, and nothing else
            self._log("usage_not_read", {"error": type(error).__name__})
        if event.usage is not None:
            used = {"session_id": event.session_id, "reason": reason, **asdict(event.usage)}
            self._log("session_ended", used)
        return session, event
