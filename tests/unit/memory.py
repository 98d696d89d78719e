"""The table in memory: the stores of `parley.storage` in dictionaries.

They keep the contracts of the real ones, and break them only as a test says.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from parley.audio.captions import Sound
from parley.audio.heard import Heard
from parley.clock import now_ms
from parley.principal import ANONYMOUS, SessionRef
from parley.protocol.messages import Message, Settings
from parley.storage.item_codec import Session, StoredFrame, TurnAttempt, TurnItem, message_key
from parley.storage.sessions import ERASED, SessionStore
from parley.storage.turns import TurnStore
from tests.unit.memory_parts import MemoryConnections, MemoryInboxes

own = ANONYMOUS.session
REF = own("s")
"""The session that `MemoryStore.open_session` opens."""


@dataclass
class MemoryTurn:
    """A turn's item."""

    owner: str
    attempt: TurnAttempt
    state: str = "running"
    lease_until_ms: int = 0
    failed_at_ms: int = 0
    parts: list[Heard] = field(default_factory=list)
    message_key: str = ""


class MemoryStore(SessionStore, TurnStore):
    """`SessionStore` and `TurnStore` in dictionaries. `failing` names what raises."""

    def __init__(self) -> None:
        self.connections: MemoryConnections = MemoryConnections(self._check)
        self.sessions: dict[SessionRef, Session] = {}
        self.history: dict[SessionRef, dict[str, Message]] = {}
        self.written_by: dict[tuple[SessionRef, str], int] = {}
        self.heard_at: dict[str, int] = {}
        self.metrics: list[Any] = []
        self.sounds: dict[tuple[str, str], Sound | None] = {}
        self.turns: dict[tuple[SessionRef, str], MemoryTurn] = {}
        self.active_since: dict[SessionRef, int] = {}
        self.frames: dict[tuple[SessionRef, tuple[int, str, int, int]], StoredFrame] = {}
        self.inboxes: MemoryInboxes = MemoryInboxes(self._check)
        self.answers: dict[tuple[SessionRef, str, int], list[bytes]] = {}
        self.reasons: dict[str, str] = {}
        self.failing: set[str] = set()
        self._lock = threading.RLock()

    def _check(self, method: str) -> None:
        if method in self.failing:
            raise OSError("the table cannot be reached")

    def open_session(self, session_id: str = "s", **changes: Any) -> Session:
        """A session that is there already."""
        fields: dict[str, Any] = {
            "token_hash": "",
            "connection_id": "c",
            "settings": Settings(),
            "status": "active",
            "endpoint": "https://x",
            **changes,
        }
        ref = ANONYMOUS.session(session_id)
        session = self.sessions[ref] = Session(ref, **fields)
        return session

    def messages(self, ref: SessionRef = REF) -> list[Message]:
        """The history, oldest first."""
        return [message for _, message in sorted(self.history.get(ref, {}).items())]

    def put_session(self, session: Session) -> None:
        self.sessions[session.ref] = session

    def resume_session(
        self,
        ref: SessionRef,
        connection_id: str,
        endpoint: str,
        *,
        connected_at_ms: int,
        shown_hash: str,
        new_hash: str,
        signed: Settings,
    ) -> Session | None:
        with self._lock:
            now = self.sessions[ref]
            if shown_hash not in (now.token_hash, now.previous_hash) or now.status != "active":
                return None
            if connected_at_ms < now.connected_at_ms:
                return None
            return self._change(
                ref,
                token_hash=new_hash,
                previous_hash=shown_hash,
                connection_id=connection_id,
                endpoint=endpoint,
                connected_at_ms=connected_at_ms,
                signed=signed,
            )

    def rotate_token(
        self, ref: SessionRef, turn_id: str, *, shown_hash: str, new_hash: str
    ) -> bool:
        with self._lock:
            session = self.sessions[ref]
            known = shown_hash in (session.token_hash, session.previous_hash)
            if not known or session.active_turn != turn_id:
                return False
            self._change(ref, token_hash=new_hash, previous_hash=shown_hash)
            return True

    def change_settings(
        self, ref: SessionRef, changes: Settings, check: Callable[[Session], None] | None = None
    ) -> Session | None:
        if ref not in self.sessions:
            return None
        before = self.sessions[ref]
        if check is not None:
            check(before)
        return self._change(ref, settings=before.settings.merged_with(changes))

    def end_session(self, ref: SessionRef, received_at_ms: int) -> str | None:
        self._change(ref, status="ended", ended_at_ms=received_at_ms)
        return self.sessions[ref].active_turn

    def get_session(self, ref: SessionRef) -> Session | None:
        return self.sessions.get(ref)

    def erase(self, ref: SessionRef) -> None:
        """What whoever erases a session does first."""
        self._change(ref, status=ERASED)

    def sweep_session(self, ref: SessionRef, *, turns: bool = True) -> None:
        assert turns, "no test of what is in memory needs them kept"
        self._check("sweep_session")
        self.history.pop(ref, None)
        found: tuple[dict[Any, Any], ...] = (self.turns, self.inboxes.entries, self.frames)
        for kept in found:
            for key in [key for key in kept if key[0] == ref]:
                del kept[key]

    def read_conversation(
        self, ref: SessionRef, messages: int, since: str = "MESSAGE#"
    ) -> tuple[Session | None, list[Message]]:
        self._check("read_conversation")
        with self._lock:
            kept = sorted(self.history.get(ref, {}).items())
            found = [message for key, message in kept if key >= since]
            return self.sessions.get(ref), found[-messages:] if messages else []

    def acquire_lease(
        self,
        ref: SessionRef,
        turn_id: str,
        owner: str,
        *,
        attempt: int | None = None,
        received_at_ms: int = 0,
    ) -> TurnAttempt | None:
        self._check("acquire_lease")
        with self._lock:
            old = self.turns.get((ref, turn_id))
            begun = TurnAttempt(attempt or 1, now_ms())
            if old is not None:
                dead = old.state == "running" and old.lease_until_ms < now_ms()
                if attempt is None:
                    free = old.state == "failed" or dead
                    wanted = free and old.failed_at_ms < received_at_ms
                else:
                    wanted = old.attempt.number < attempt
                if not wanted:
                    return None
                begun = TurnAttempt(attempt or old.attempt.number + 1, old.attempt.started_ms)
            turn = MemoryTurn(owner, begun, lease_until_ms=now_ms() + 30_000)
            self.turns[ref, turn_id] = turn
            return begun

    def renew_lease(self, ref: SessionRef, turn_id: str, owner: str) -> bool:
        self._check("renew_lease")
        turn = self.turns[ref, turn_id]
        return (turn.owner, turn.state) == (owner, "running")

    def set_active_turn(
        self, ref: SessionRef, turn_id: str, received_at_ms: int = 0
    ) -> Session | None:
        self._check("set_active_turn")
        with self._lock:
            if ref not in self.sessions or self.sessions[ref].status != "active":
                return None
            newest = (self.active_since.get(ref, 0), self.sessions[ref].active_turn or "")
            if received_at_ms and newest > (received_at_ms, turn_id):
                return None
            self.active_since[ref] = received_at_ms
            old = self.sessions[ref]
            self._change(ref, active_turn=turn_id, active_since_ms=received_at_ms)
            return old

    def finish_turn(
        self,
        ref: SessionRef,
        turn_id: str,
        owner: str,
        *,
        reason: str,
        message_key: str = "",
        parts: Sequence[Heard] = (),
    ) -> bool:
        self._check("finish_turn")
        with self._lock:
            turn = self.turns[ref, turn_id]
            if (turn.owner, turn.state) != (owner, "running"):
                return False
            turn.state, turn.parts, turn.message_key = reason, list(parts), message_key
            turn.failed_at_ms = now_ms() if reason == "failed" else 0
            self.reasons[turn_id] = reason
            return True

    def fail_turn(
        self, ref: SessionRef, turn_id: str, owner: str | None, attempt: int = 1
    ) -> TurnAttempt | None:
        self._check("fail_turn")
        with self._lock:
            turn = self.turns.get((ref, turn_id))
            if turn is None:
                begun = TurnAttempt(attempt, now_ms())
                turn = self.turns[ref, turn_id] = MemoryTurn(owner or "", begun)
            elif turn.attempt.number < attempt:
                turn.attempt, turn.owner = (
                    TurnAttempt(attempt, turn.attempt.started_ms),
                    owner or "",
                )
            elif turn.state == "failed" or not (
                turn.lease_until_ms < now_ms() if owner is None else turn.owner == owner
            ):
                return None
            turn.state, turn.failed_at_ms = "failed", now_ms()
            return turn.attempt

    def get_failed_attempt(self, ref: SessionRef, turn_id: str, owner: str) -> TurnAttempt | None:
        turn = self.turns.get((ref, turn_id))
        failed = turn is not None and (turn.state, turn.owner) == ("failed", owner)
        return turn.attempt if turn is not None and failed else None

    def get_turn(self, ref: SessionRef, turn_id: str) -> TurnItem | None:
        turn = self.turns.get((ref, turn_id))
        if turn is None:
            return None
        return TurnItem(turn.state, turn.attempt, turn.parts, turn.message_key, turn.lease_until_ms)

    def put_answer(
        self, ref: SessionRef, turn_id: str, attempt: int, frames: Sequence[bytes]
    ) -> None:
        self._check("put_answer")
        self.answers[ref, turn_id, attempt] = list(frames)

    def get_answer(self, ref: SessionRef, turn_id: str, attempt: int) -> list[bytes]:
        return self.answers.get((ref, turn_id, attempt), [])

    def put_undelivered(self, ref: SessionRef, frames: Sequence[StoredFrame]) -> None:
        self._check("put_undelivered")
        for frame in frames:
            self.frames[ref, _order(frame)] = frame

    def list_undelivered(self, ref: SessionRef) -> Iterator[StoredFrame]:
        found = sorted(key for key in self.frames if key[0] == ref)
        yield from [self.frames[key] for key in found]

    def list_undelivered_of_turn(
        self, ref: SessionRef, turn_id: str, started_ms: int
    ) -> list[StoredFrame]:
        return [frame for frame in self.list_undelivered(ref) if frame.turn_id == turn_id]

    def delete_undelivered(self, ref: SessionRef, frames: Sequence[StoredFrame]) -> None:
        for frame in frames:
            del self.frames[ref, _order(frame)]

    def put_message(
        self,
        ref: SessionRef,
        started_ms: int,
        message: Message,
        metrics: Any,
        sound: Sound | None = None,
        attempt: int = 1,
    ) -> str:
        self._check("put_message")
        with self._lock:
            key = message_key(started_ms, message)
            if self.written_by.get((ref, key), 0) > attempt:
                return key
            self.written_by[ref, key] = attempt
            kept = msgspec.structs.replace(message, started_ms=started_ms)
            self.history.setdefault(ref, {})[key] = kept
            self.metrics.append(metrics)
            self.sounds[message.turn_id, message.role] = sound
            return key

    def forget_reply(self, ref: SessionRef, started_ms: int, turn_id: str) -> None:
        key = message_key(started_ms, Message("assistant", "", turn_id))
        self.history.get(ref, {}).pop(key, None)
        self.written_by.pop((ref, key), None)

    def set_heard(
        self,
        ref: SessionRef,
        message_key: str,
        heard: str,
        received_at_ms: int = 0,
        played_ms: float | None = None,
    ) -> None:
        messages = self.history[ref]
        if received_at_ms < self.heard_at.get(message_key, 0):
            return
        self.heard_at[message_key] = received_at_ms
        messages[message_key] = msgspec.structs.replace(messages[message_key], heard=heard)

    def _change(self, ref: SessionRef, **changes: Any) -> Session:
        with self._lock:
            old = self.sessions[ref]
            fields = {name: getattr(old, name) for name in old.__slots__}
            new = self.sessions[ref] = Session(**{**fields, **changes})
            return new


def _order(frame: StoredFrame) -> tuple[int, str, int, int]:
    return frame.started_ms, frame.turn_id, frame.attempt, frame.seq
