"""Moves a session to another connection, and sends it what it has missed."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from parley.aws.management_api import Address
from parley.errors import ConnectionGone, ParleyError
from parley.ids import new_resume_token, token_hash
from parley.limits.connection_slots import ConnectionSlots
from parley.limits.request_rates import RequestRates
from parley.principal import SessionRef, session_id_of
from parley.protocol.messages import Message, Received, SessionEnded, Settings, encode
from parley.sessions.token import TokenErrors, check_resume
from parley.storage.inbox_entries import ResumeEntry
from parley.storage.item_codec import Session, StoredFrame
from parley.storage.sessions import SessionStore
from parley.storage.turns import TurnStore
from parley.websocket.session_binding import CameLate

REPLAY_S = 20.0
"""How long one message may spend on sending what was missed: API Gateway waits for 29 s. What
is left is sent at the next `init`."""
REPLAY_EVENTS = 500
"""So many events are sent for one resume of a session; more count as another one. 500 are at
least three minutes of speech."""
HISTORY_BYTES = 96 * 1024
"""How much history a `ready` carries: with the rest it stays under API Gateway's 128 KB."""


class Gate(Protocol):
    """Posts to connections and closes them; see `parley.aws.management_api.Connections`."""

    def post(self, endpoint: str, connection_id: str, frame: bytes) -> None:
        """Send one text frame; raises `ConnectionGone`."""

    def close(self, endpoint: str, connection_id: str) -> None:
        """Close a connection, if it is open."""


class SessionResume:
    """Brings clients back.

    Args:
        history_messages: how many messages of the history a client gets.
        slots: those of connections; None if they are not counted.
        requests: counts what is sent again; None if it is not limited.
    """

    def __init__(
        self,
        store: SessionStore,
        turns: TurnStore,
        gate: Gate,
        history_messages: int,
        slots: ConnectionSlots | None = None,
        requests: RequestRates | None = None,
    ) -> None:
        self._store = store
        self._turns = turns
        self._gate = gate
        self._history_messages = history_messages
        self._slots = slots
        self._requests = requests

    def check(self, ref: SessionRef, shown: str | None) -> None:
        """Whether a session may be resumed with this token, by one read.

        Raises:
            ParleyError: `session_not_found` or `resume_denied`.
        """
        check_resume(self._store.session(ref), shown or "", time.time(), TOKEN_ERRORS)

    def admit(
        self,
        ref: SessionRef,
        shown: str | None,
        address: Address,
        connected_at_ms: int,
        signed: Settings,
        bind: Callable[[], None],
    ) -> tuple[Session, Session, str, list[Message]]:
        """Move the session to a connection.

        Args:
            ref: the session, among those of whoever asks.
            shown: the resume token.
            connected_at_ms: when the connection was opened.
            signed: the settings of the token that it was opened with.
            bind: binds the connection to the session; raises if it has one already. Done
                before the token is rotated: of one message that comes twice at the same time
                only one may rotate it, or nobody would know the token that counts.

        Returns:
            The session before and after, its new resume token, and the history.

        Raises:
            CameLate: the session is on a connection that was opened later.
            ParleyError: `session_not_found` or `resume_denied`, or what `bind` raised.
        """
        found, history = self._store.conversation(ref, self._history_messages)
        token_shown = shown or ""
        before = check_resume(found, token_shown, time.time(), TOKEN_ERRORS)
        if connected_at_ms < before.connected_at_ms:
            raise CameLate
        bind()
        token = new_resume_token()
        after: Session | None = None
        try:
            after = self._store.resume_session(
                ref,
                address.connection_id,
                address.endpoint,
                connected_at_ms=connected_at_ms,
                shown_hash=token_hash(token_shown),
                new_hash=token_hash(token),
                signed=signed,
            )
        finally:
            if after is None:
                self._store.bindings.unbind(address.connection_id, ref)
        if after is None:
            raise self._overtaken(ref, connected_at_ms)
        return before, after, token, history

    def _overtaken(self, ref: SessionRef, connected_at_ms: int) -> Exception:
        """What came in between: the client itself, over a newer connection, or somebody else."""
        now = self._store.session(ref)
        return CameLate() if now and connected_at_ms < now.connected_at_ms else _denied()

    def catch_up(self, before: Session, session: Session, received: Received | None) -> None:
        """Have what was missed sent: by turns that still run, and from what is stored.

        The turn is told before the stored events are read: see `parley.turn.delivery`.
        """
        address = Address(session.endpoint, session.connection_id)
        received_turn = received.turn_id if received is not None else None
        for turn_id in {session.active_turn, received_turn} - {None}:
            assert turn_id is not None
            resume = _resume_entry(address, turn_id, received)
            self._turns.inboxes.put_resume(session.ref, turn_id, resume)
        self._replay(session, received)
        old = Address(before.endpoint, before.connection_id)
        if old != address and old.connection_id:  # a session opened over HTTP has none
            self._leave(session.ref, old)
            self._give_back(old.connection_id)

    def replay_turn(
        self, session: Session, turn_id: str, started_ms: int, attempt: int
    ) -> int | None:
        """Send what is stored of one turn, from an attempt on.

        Args:
            started_ms: when the turn's first attempt began.

        Returns:
            How much is stored; None if the limit does not let it be looked for now.
        """
        if not self._may_replay(session.ref):
            return None
        frames = [
            frame
            for frame in self._turns.undelivered_of(session.ref, turn_id, started_ms)
            if frame.attempt >= attempt
        ]
        self._send(session, frames)
        return len(frames)

    def _replay(self, session: Session, received: Received | None) -> None:
        stored = self._turns.undelivered(session.ref)
        first = next(stored, None)
        if first is None:
            return
        known_since_ms = 0
        if received is not None:
            turn = self._turns.turn(session.ref, received.turn_id)
            known_since_ms = turn.claim.started_ms if turn is not None else 0
        known: list[StoredFrame] = []

        def missed() -> Iterable[StoredFrame]:
            for frame in itertools.chain([first], stored):
                if received is not None and _is_known(frame, received, known_since_ms):
                    known.append(frame)
                else:
                    yield frame

        self._send(session, missed())
        self._turns.delete_undelivered(session.ref, known)

    def _send(self, session: Session, frames: Iterable[StoredFrame]) -> None:
        deadline = time.monotonic() + REPLAY_S
        try:
            for sent, frame in enumerate(frames):
                if sent and sent % REPLAY_EVENTS == 0 and not self._may_replay(session.ref):
                    return
                self._gate.post(session.endpoint, session.connection_id, frame.frame)
                if time.monotonic() > deadline:
                    return
        except ConnectionGone:
            return  # it comes back once more

    def _may_replay(self, ref: SessionRef) -> bool:
        return self._requests is None or self._requests.may_replay(ref)

    def _leave(self, ref: SessionRef, old: Address) -> None:
        """Close the connection that the session was on, and say why if anybody is there."""
        try:
            ended = encode(SessionEnded(session_id_of(ref), "replaced"))
            self._gate.post(old.endpoint, old.connection_id, ended)
        except ConnectionGone:
            return
        self._gate.close(old.endpoint, old.connection_id)

    def _give_back(self, connection_id: str) -> None:
        """Give back the slot of a connection that the session has left.

        API Gateway tells of a connection that was lost after minutes, and not for certain: who
        comes back often would be locked out by those that were lost.
        """
        connection = (
            self._store.bindings.connection(connection_id) if self._slots is not None else None
        )
        if self._slots is not None and connection is not None:
            self._slots.give_back(connection_id, connection)


def _resume_entry(address: Address, turn_id: str, received: Received | None) -> ResumeEntry:
    here = received is not None and received.turn_id == turn_id
    return ResumeEntry(
        address.connection_id,
        address.endpoint,
        attempt=received.attempt if received is not None and here else 1,
        seq=received.seq if received is not None and here else 0,
        resumed_at_ms=int(time.time() * 1000),
    )


def _is_known(frame: StoredFrame, received: Received, known_since_ms: int) -> bool:
    """Whether the client has it: it is of an earlier turn, or came before what it has."""
    if frame.turn_id != received.turn_id:
        return frame.started_ms < known_since_ms
    if frame.attempt != received.attempt:
        return frame.attempt < received.attempt
    return 0 < frame.seq <= received.seq


def no_session() -> ParleyError:
    """There is nothing to come back to."""
    return ParleyError(
        "session_not_found",
        "There is no such session, or it is over, or nobody came back to it in time. Send init "
        "without session_id for a new one.",
        field="init.session_id",
    )


def _denied() -> ParleyError:
    return ParleyError(
        "resume_denied",
        "The resume token is not the session's latest. Send init without session_id for a new "
        "session.",
        field="init.resume_token",
    )


TOKEN_ERRORS = TokenErrors(no_session, _denied)


def fitting(history: list[Message]) -> list[Message]:
    """The newest messages that fit into one frame, oldest first."""
    room = HISTORY_BYTES
    for start in range(len(history) - 1, -1, -1):
        room -= len(msgspec.json.encode(history[start])) + 1
        if room < 0:
            return history[start + 1 :]
    return history
