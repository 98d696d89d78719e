"""The events of a turn, for a client that may be away: posted, or stored for its return.

Store first, then look where the client is. A client that returns binds its new connection first
and reads what is stored for it afterwards, so one of the two finds the other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from parley.aws.management_api import Address
from parley.errors import ConnectionGone
from parley.principal import SessionRef
from parley.protocol.messages import NumberedEvent, encode
from parley.storage.item_codec import Session, StoredFrame, TurnAttempt
from parley.storage.sessions import ERASED, SessionStore
from parley.storage.turns import TurnStore


def stored_frames(
    turn_id: str,
    attempt: TurnAttempt,
    events: Iterable[NumberedEvent],
) -> list[StoredFrame]:
    """Return the events of an attempt in the form in which they are stored."""
    return [
        StoredFrame(turn_id, attempt.started_ms, attempt.number, event.seq or 0, encode(event))
        for event in events
    ]


def find_session(sessions: SessionStore, ref: SessionRef) -> Session | None:
    """Return a session for whose client something may be stored; None if it is missing or erased.

    One that is over counts: its client may still ask over the connection that it has.
    """
    session = sessions.get_session(ref)
    return None if session is None or session.status == ERASED else session


def next_address(
    session: Session | None, tried: Address | None, otherwise: Address | None = None
) -> Address | None:
    """Return where to post next; None if that has been tried, or nobody knows where.

    Args:
        tried: where a post failed, or brought no acknowledgement; None before the first try.
        otherwise: where the client was last, if its session does not say.
    """
    address = otherwise
    if session is not None and session.connection_id:
        address = Address(session.endpoint, session.connection_id)
    if tried is not None and session is not None and session.is_over(time.time()):
        return None  # whoever has ended it elsewhere does not wait for this turn
    return None if address == tried else address


class StoreAndForward:
    """Post the last events of a turn, or store them.

    Args:
        post: sends a frame: endpoint, connection id, frame.
    """

    def __init__(
        self,
        sessions: SessionStore,
        turns: TurnStore,
        post: Callable[[str, str, bytes], None],
    ) -> None:
        self._sessions = sessions
        self._turns = turns
        self._post = post

    def post_or_store(
        self,
        ref: SessionRef,
        frames: Sequence[bytes],
        stored: Sequence[StoredFrame],
        otherwise: Address | None = None,
    ) -> None:
        """Post frames to the client, wherever it is; store them while it is away.

        Args:
            frames: what to post.
            stored: what to store instead; empty if somebody else answers for the turn.
            otherwise: where the client was last, if its session does not say, or cannot be read.
        """
        tried: Address | None = None
        while True:
            session = self._find_session(ref, otherwise)
            address = next_address(session, tried, otherwise)
            if address is None:
                return
            try:
                for frame in frames:
                    self._post(address.endpoint, address.connection_id, frame)
                return
            except ConnectionGone:
                tried = address
            if session is None or not stored:
                return
            self._turns.put_undelivered(ref, stored)

    def _find_session(self, ref: SessionRef, otherwise: Address | None) -> Session | None:
        try:
            return find_session(self._sessions, ref)
        except Exception:
            # A table that fails may be why the turn is refused: its client is told all the same.
            if otherwise is None:
                raise
            return None
