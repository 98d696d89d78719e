"""Moves a session to another connection, and sends the events that the client has missed."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Sequence

import msgspec

from parley.aws.management_api import Address
from parley.errors import ConnectionGone, ParleyError
from parley.ids import new_resume_token, token_hash
from parley.limits.connection_slots import ConnectionSlots
from parley.limits.request_rates import RequestRates
from parley.principal import SessionRef, parse_session_id
from parley.protocol.messages import Message, Received, SessionEnded, encode
from parley.sessions.token import TokenErrors, check_resume
from parley.sessions.wake import wake_time
from parley.storage.inbox_entries import ResumeEntry
from parley.storage.item_codec import Connection, Session, StoredFrame
from parley.storage.sessions import SessionStore
from parley.storage.turns import TurnStore
from parley.websocket.arrival import ConnectionsApi
from parley.websocket.session_binding import StaleInit

REPLAY_S = 20.0
"""How long one message may spend on sending missed events, because API Gateway waits for 29 s. The
next `init` sends the rest."""
REPLAY_EVENTS = 500
"""How many events one resume of a session may send; more count as another resume. 500 are at least
three minutes of speech."""
HISTORY_BYTES = 96 * 1024
"""How much history a `ready` carries. With the rest it stays below API Gateway's 128 KB."""


class SessionResume:
    """Resumes sessions.

    Args:
        history_messages: how many messages of the history a client gets.
        slots: the slots of connections; None if they are not limited.
        requests: limits how often missed events are sent; None for no limit.
    """

    def __init__(
        self,
        sessions: SessionStore,
        turns: TurnStore,
        management_api: ConnectionsApi,
        history_messages: int,
        slots: ConnectionSlots | None = None,
        requests: RequestRates | None = None,
    ) -> None:
        self._sessions = sessions
        self._turns = turns
        self._management_api = management_api
        self._history_messages = history_messages
        self._slots = slots
        self._requests = requests

    def check_token(self, ref: SessionRef, token: str | None) -> None:
        """Check by one read that the token resumes the session.

        Raises:
            ParleyError: `session_not_found` or `resume_denied`.
        """
        check_resume(self._sessions.get_session(ref), token or "", time.time(), TOKEN_ERRORS)

    def move_session(
        self,
        ref: SessionRef,
        token: str,
        address: Address,
        connected_at_ms: int,
        received_at_ms: int,
        unbound: Connection,
        bind: Callable[[], None],
        client_tools: Sequence[str] = (),
    ) -> tuple[Session, Session, str, list[Message]]:
        """Move the session to a connection.

        Args:
            ref: the session, as one of the connection's principal.
            token: the resume token that the client showed.
            address: the connection.
            connected_at_ms: when the connection was opened, in ms since the epoch.
            received_at_ms: when API Gateway received the `init`, in ms since the epoch.
            unbound: the connection, with what its access token says.
            bind: binds the connection to the session; raises if it has one already.
            client_tools: the tools that the client has functions for.

        Returns:
            The session before and after, its new resume token, and the history.

        Raises:
            StaleInit: the session is on a connection that was opened later.
            ParleyError: `session_not_found` or `resume_denied`, or what `bind` raised.
        """
        stored, history = self._sessions.read_conversation(ref, self._history_messages)
        before = check_resume(stored, token, time.time(), TOKEN_ERRORS)
        if connected_at_ms < before.connected_at_ms:
            raise StaleInit
        # Before the token is rotated: API Gateway may deliver one message twice at the same time.
        # Only one of the two may rotate it, or the client would not learn the latest token.
        bind()
        next_token = new_resume_token()
        after: Session | None = None
        try:
            after = self._sessions.resume_session(
                ref,
                address.connection_id,
                address.endpoint,
                connected_at_ms=connected_at_ms,
                shown_hash=token_hash(token),
                new_hash=token_hash(next_token),
                signed=unbound.signed,
                signed_agent=unbound.signed_agent,
                client_tools=client_tools,
                woken_at_ms=wake_time(before, received_at_ms),
            )
        finally:
            if after is None:
                self._sessions.connections.unbind(address.connection_id, ref)
        if after is None:
            raise self._error_of_lost_race(ref, connected_at_ms)
        return before, after, next_token, [m for m in history.messages if m.role != "context"]

    def _error_of_lost_race(self, ref: SessionRef, connected_at_ms: int) -> Exception:
        """Return why the session could not be moved after its check.

        Either the client has resumed it over a newer connection, or the token was rotated.
        """
        now = self._sessions.get_session(ref)
        return StaleInit() if now and connected_at_ms < now.connected_at_ms else _denied_error()

    def send_missed(self, before: Session, session: Session, received: Received | None) -> None:
        """Send the missed events: those that are stored, and, through their turns, those to come.

        Args:
            before: the session on its old connection; that connection is closed.
            session: the session on its new connection.
            received: the last event that the client has; None if it does not say.
        """
        address = Address(session.endpoint, session.connection_id)
        received_turn = received.turn_id if received is not None else None
        # The turns are told before the stored events are read: see `parley.turn.delivery`.
        for turn_id in {session.active_turn, received_turn} - {None}:
            assert turn_id is not None
            resume = _make_resume_entry(address, turn_id, received)
            self._turns.inboxes.put_resume(session.ref, turn_id, resume)
        self._replay(session, received)
        old = Address(before.endpoint, before.connection_id)
        if old != address and old.connection_id:  # a session that was opened over HTTP has none
            self._close_replaced(session.ref, old)
            self._release_slot(old.connection_id)

    def replay_turn(
        self, session: Session, turn_id: str, started_ms: int, attempt: int
    ) -> int | None:
        """Send the stored events of one turn, from an attempt on.

        Args:
            started_ms: when the turn's first attempt began, in ms since the epoch.

        Returns:
            How many events are stored; None if the limit forbids to read them now.
        """
        if not self._is_replay_allowed(session.ref):
            return None
        frames = [
            frame
            for frame in self._turns.list_undelivered_of_turn(session.ref, turn_id, started_ms)
            if frame.attempt >= attempt
        ]
        self._send(session, frames)
        return len(frames)

    def _replay(self, session: Session, received: Received | None) -> None:
        stored = self._turns.list_undelivered(session.ref)
        first = next(stored, None)
        if first is None:
            return
        known_since_ms = 0
        if received is not None:
            turn = self._turns.get_turn(session.ref, received.turn_id)
            known_since_ms = turn.attempt.started_ms if turn is not None else 0
        known: list[StoredFrame] = []

        def find_missed() -> Iterable[StoredFrame]:
            for frame in itertools.chain([first], stored):
                if received is not None and _has_arrived(frame, received, known_since_ms):
                    known.append(frame)
                else:
                    yield frame

        self._send(session, find_missed())
        self._turns.delete_undelivered(session.ref, known)

    def _send(self, session: Session, frames: Iterable[StoredFrame]) -> None:
        deadline = time.monotonic() + REPLAY_S
        try:
            for sent, frame in enumerate(frames):
                if sent and sent % REPLAY_EVENTS == 0 and not self._is_replay_allowed(session.ref):
                    return
                self._management_api.post(session.endpoint, session.connection_id, frame.frame)
                if time.monotonic() > deadline:
                    return
        except ConnectionGone:
            return  # the next resume sends the rest

    def _is_replay_allowed(self, ref: SessionRef) -> bool:
        return self._requests is None or self._requests.count_replay(ref)

    def _close_replaced(self, ref: SessionRef, old: Address) -> None:
        """Close the connection that the session was on; if it is open, say why."""
        try:
            ended = encode(SessionEnded(parse_session_id(ref), "replaced"))
            self._management_api.post(old.endpoint, old.connection_id, ended)
        except ConnectionGone:
            return
        self._management_api.close(old.endpoint, old.connection_id)

    def _release_slot(self, connection_id: str) -> None:
        """Release the slot of a connection that the session has left."""
        # API Gateway reports a lost connection after minutes, if at all: the lost connections of a
        # client that comes back often would fill its slots.
        if self._slots is None:
            return
        connection = self._sessions.connections.get_connection(connection_id)
        if connection is not None:
            self._slots.return_slots(connection_id, connection)


def _make_resume_entry(address: Address, turn_id: str, received: Received | None) -> ResumeEntry:
    here = received is not None and received.turn_id == turn_id
    return ResumeEntry(
        address.connection_id,
        address.endpoint,
        attempt=received.attempt if received is not None and here else 1,
        seq=received.seq if received is not None and here else 0,
        resumed_at_ms=int(time.time() * 1000),
    )


def _has_arrived(frame: StoredFrame, received: Received, known_since_ms: int) -> bool:
    """Return whether the client has an event: that of an earlier turn, or one up to `received`."""
    if frame.turn_id != received.turn_id:
        return frame.started_ms < known_since_ms
    if frame.attempt != received.attempt:
        return frame.attempt < received.attempt
    return 0 < frame.seq <= received.seq


def not_found_error() -> ParleyError:
    """Return the error of a session that cannot be resumed."""
    return ParleyError(
        "session_not_found",
        "There is no such session, or it is over, or nobody came back to it in time. Send init "
        "without session_id for a new one.",
        field="init.session_id",
    )


def _denied_error() -> ParleyError:
    return ParleyError(
        "resume_denied",
        "The resume token is not the session's latest. Send init without session_id for a new "
        "session.",
        field="init.resume_token",
    )


TOKEN_ERRORS = TokenErrors(not_found_error, _denied_error)


def fit_history(history: list[Message]) -> list[Message]:
    """Return the newest messages that fit into one frame, oldest first."""
    room = HISTORY_BYTES
    for start in range(len(history) - 1, -1, -1):
        room -= len(msgspec.json.encode(history[start])) + 1
        if room < 0:
            return history[start + 1 :]
    return history
