"""Starts the turns that an agent begins by itself, each once, and again if its function died.

The id of such a turn says what it is for, so that whoever starts it once more meets its lease. Ids
that begin so are no client's to give.
"""

from __future__ import annotations

from collections.abc import Callable

from parley.protocol.messages import AgentTurnCause
from parley.protocol.turn_request import AGENT_TURN, TurnRequest
from parley.storage.item_codec import Session
from parley.storage.sessions import SessionStore
from parley.storage.turns import TurnStore

GREETING_TURN = f"{AGENT_TURN}greeting"
MAX_TRIES = 3
"""How often a turn is started that fails."""


class AgentTurns:
    """Starts an agent's own turns.

    Args:
        start: invokes the turn function, asynchronously.
    """

    def __init__(
        self, sessions: SessionStore, turns: TurnStore, start: Callable[[TurnRequest], None]
    ) -> None:
        self._sessions = sessions
        self._turns = turns
        self._start = start

    def greet(
        self, session: Session, greeting: str, received_at_ms: int, *, is_new: bool = False
    ) -> bool:
        """Have the agent say its greeting, unless it has, or something has been said since.

        Args:
            session: on the connection that the greeting goes to.
            greeting: empty for none.
            received_at_ms: when API Gateway received the message that asks for the session.
            is_new: whether the session has just been opened, so that no turn can be there.

        Returns:
            Whether it may still have to be said, by a turn that was started.
        """
        if not greeting or session.active_turn not in (None, GREETING_TURN):
            return False
        return self.start(
            session, GREETING_TURN, "greeting", greeting, received_at_ms, is_new=is_new
        )

    def say_pending(self, session: Session, received_at_ms: int) -> bool:
        """Have the agent say what the backend wants said, if it waits for the client.

        Args:
            received_at_ms: when API Gateway received the message of the client that has come.

        Returns:
            Whether there is something to say.
        """
        if not session.pending_say:
            return False
        words = self._sessions.words.get_say(session.ref, session.pending_say)
        if words is not None and self.start(
            session, words.turn_id, "say", words.text, received_at_ms
        ):
            return True
        self._sessions.forget_say(session.ref, session.pending_say)
        return False

    def start(
        self,
        session: Session,
        turn_id: str,
        cause: AgentTurnCause,
        text: str,
        received_at_ms: int,
        *,
        is_new: bool = False,
    ) -> bool:
        """Start a turn on a session's connection, unless it has ended well or failed too often.

        One that still runs goes on: the second invocation finds its lease.

        Args:
            is_new: whether the session has just been opened, so that no turn can be there.

        Returns:
            Whether it may still have to be said.
        """
        turn = None if is_new else self._turns.get_turn(session.ref, turn_id)
        attempt: int | None = None
        if turn is not None:
            if turn.state not in ("running", "failed") or turn.attempt.number >= MAX_TRIES:
                return False
            # Without a number, only the attempt after a failure that was known before would run.
            attempt = None if turn.running else turn.attempt.number + 1
        self._start(
            TurnRequest(
                session=session.ref,
                turn_id=turn_id,
                connection_id=session.connection_id,
                endpoint=session.endpoint,
                received_at_ms=received_at_ms,
                attempt=attempt,
                say=text,
                cause=cause,
            )
        )
        return True
