"""What a backend tells a session, and has its agent say, whether or not its client is there."""

from __future__ import annotations

import time
from collections.abc import Callable

from parley.errors import ParleyError
from parley.principal import SessionRef
from parley.sessions.agent_turns import AgentTurns
from parley.sessions.sweep import sweep_if_erased
from parley.storage.item_codec import Session
from parley.storage.sessions import SessionStore


class BackendWords:
    """Tells sessions facts, and has their agents say something.

    Args:
        agent_turns: starts the turns.
        not_found: makes the error of a session that is over, or not there.
    """

    def __init__(
        self,
        sessions: SessionStore,
        agent_turns: AgentTurns,
        not_found: Callable[[], ParleyError],
    ) -> None:
        self._sessions = sessions
        self._agent_turns = agent_turns
        self._not_found = not_found

    def tell(self, ref: SessionRef, note_id: str, text: str, received_at_ms: int) -> None:
        """Tell a fact that the next reply knows. The same id again changes nothing.

        Raises:
            ParleyError: `session_not_found`.
        """
        self._find(ref)
        self._sessions.words.put_context(ref, note_id, text, received_at_ms)
        if sweep_if_erased(self._sessions, ref):
            raise self._not_found()

    def say(
        self, ref: SessionRef, note_id: str, text: str, received_at_ms: int
    ) -> tuple[str, bool]:
        """Have the agent say something, once for each id: now, or when the client comes.

        A newer one overtakes an older one that waits for the client.

        Returns:
            The turn's id, and whether the client has been there.

        Raises:
            ParleyError: `session_not_found`.
        """
        self._find(ref)
        words = self._sessions.words.put_say(ref, note_id, text, received_at_ms)
        session = self._sessions.note_say(ref, note_id, words.received_at_ms)
        if sweep_if_erased(self._sessions, ref):
            raise self._not_found()
        if session is None:  # a newer one has come, or the session has ended meanwhile
            session = self._find(ref)
        elif session.connection_id:
            at_ms = words.received_at_ms
            self._agent_turns.start(session, words.turn_id, "say", words.text, at_ms)
        return words.turn_id, bool(session.connection_id)

    def _find(self, ref: SessionRef) -> Session:
        session = self._sessions.get_session(ref)
        if session is None or session.is_over(time.time()):
            raise self._not_found()
        return session
