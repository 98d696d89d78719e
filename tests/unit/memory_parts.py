"""What `tests.unit.memory` is made of: inboxes and bindings in dictionaries."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

from parley.limit import LimitScope
from parley.principal import ANONYMOUS, Principal, SessionRef
from parley.protocol.messages import NO_SETTINGS, Settings
from parley.storage.connections import NO_SLOTS, ConnectionStore
from parley.storage.inbox_entries import (
    AckEntry,
    BegunEntry,
    ChunkEntry,
    EndEntry,
    InboxEntry,
    InterruptEntry,
    ResumeEntry,
)
from parley.storage.inboxes import InboxStore
from parley.storage.item_codec import Connection


class MemoryInboxes(InboxStore):
    """`InboxStore` in a dictionary.

    Args:
        check: raises if a method is to fail now.
    """

    def __init__(self, check: Callable[[str], None]) -> None:
        self.entries: dict[tuple[SessionRef, str], dict[str, InboxEntry]] = {}
        self._interrupted: dict[tuple[SessionRef, str], list[InterruptEntry]] = {}
        self._check = check
        self._lock = threading.RLock()

    def put_chunk(self, ref: SessionRef, turn_id: str, chunk: ChunkEntry) -> None:
        self._check("put_chunk")
        self._inbox(ref, turn_id)[f"audio#{chunk.seq:06d}"] = chunk

    def put_end(self, ref: SessionRef, turn_id: str, end: EndEntry) -> None:
        self._inbox(ref, turn_id)["end"] = end

    def put_interrupt(self, ref: SessionRef, turn_id: str, interrupt: InterruptEntry) -> None:
        with self._lock:
            kept = self._interrupted.setdefault((ref, turn_id), [])
            if not kept or kept[-1].received_at_ms < interrupt.received_at_ms:
                kept[1:] = [interrupt]  # beside the first, or as the first

    def list_interruptions(self, ref: SessionRef, turn_id: str) -> list[InterruptEntry]:
        self._check("list_interruptions")
        return [*self._interrupted.get((ref, turn_id), [])]

    def put_ack(self, ref: SessionRef, turn_id: str, ack: AckEntry) -> None:
        self._inbox(ref, turn_id)["received"] = ack

    def put_resume(self, ref: SessionRef, turn_id: str, resume: ResumeEntry) -> None:
        self._inbox(ref, turn_id)["resume"] = resume

    def put_begun(self, ref: SessionRef, turn_id: str, begun: BegunEntry) -> None:
        self._inbox(ref, turn_id)["begun"] = begun

    def clear_controls(self, ref: SessionRef, turn_id: str, before_ms: int) -> None:
        with self._lock:
            for name in ("received", "resume", "end"):
                self._inbox(ref, turn_id).pop(name, None)

    def read_inbox(self, ref: SessionRef, turn_id: str, next_seq: int) -> list[InboxEntry]:
        self._check("read_inbox")
        with self._lock:
            entries = sorted(self._inbox(ref, turn_id).items())
        first = f"audio#{next_seq:06d}"
        found = [entry for key, entry in entries if key >= first]
        return [*found, *self._interrupted.get((ref, turn_id), [])]

    def _inbox(self, ref: SessionRef, turn_id: str) -> dict[str, InboxEntry]:
        with self._lock:
            return self.entries.setdefault((ref, turn_id), {})


class MemoryConnections(ConnectionStore):
    """`ConnectionStore` in a dictionary.

    Args:
        check: raises if a method is to fail now.
    """

    def __init__(self, check: Callable[[str], None]) -> None:
        self.items: dict[str, Connection] = {}
        self._check = check

    def add(
        self,
        connection_id: str,
        principal: Principal = ANONYMOUS,
        connected_at_ms: int = 0,
        slots: Mapping[LimitScope, int] = NO_SLOTS,
        signed: Settings = NO_SETTINGS,
    ) -> None:
        self.items[connection_id] = Connection(
            principal, connected_at_ms=connected_at_ms, slots=slots, signed=signed
        )

    def remove(self, connection_id: str) -> None:
        self.items.pop(connection_id, None)

    def bind(self, connection_id: str, ref: SessionRef, message_id: str) -> bool:
        self._check("bind")
        connection = self.items.get(connection_id)
        if connection is None or connection.ref is not None:
            return False
        self.items[connection_id] = replace(
            connection, ref=ref, message_id=message_id, initialised=True
        )
        return True

    def unbind(self, connection_id: str, ref: SessionRef) -> None:
        self.items[connection_id] = replace(self.items[connection_id], ref=None, message_id="")

    def get_connection(self, connection_id: str) -> Connection | None:
        self._check("connection")
        return self.items.get(connection_id)
