"""What a backend tells a session, and has its agent say: each once, however often it is asked for.

A note by the backend's id comes first. The first note of an id counts, so whoever repeats a request
writes and starts the same once more, which changes nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

from parley.clock import now_s
from parley.principal import SessionRef
from parley.protocol.messages import Message
from parley.protocol.turn_request import AGENT_TURN
from parley.storage.item_codec import message_key, number, read_number, read_text
from parley.storage.table import Item, Table

NOTE_TTL_S = 24 * 3600
"""How long an id is known at least. A session that can be resumed for longer keeps it as long."""

Kind = Literal["context", "say"]


@dataclass(frozen=True, slots=True)
class Words:
    """What a backend, or a client, has told.

    Attributes:
        turn_id: the turn that says it; for a fact, its own id in the history.
        received_at_ms: when API Gateway received it first, in ms since the epoch.
    """

    turn_id: str
    text: str
    received_at_ms: int


class WordStore:
    """Reads and writes what is told.

    Args:
        table: the table.
        session_idle_s: how long a session can be resumed after its last turn.
    """

    def __init__(self, table: Table, session_idle_s: int = 86_400) -> None:
        self._table = table
        self._ttl_s = max(NOTE_TTL_S, session_idle_s)

    def put_context(self, ref: SessionRef, note_id: str, text: str, received_at_ms: int) -> Words:
        """Add a fact to the history. The first of an id counts; it is returned."""
        words = self._note(ref, "context", note_id, text, received_at_ms)
        message = Message("context", words.text, words.turn_id)
        self._table.put(
            {
                "pk": {"S": f"SESSION#{ref}"},
                "sk": {"S": message_key(words.received_at_ms, message)},
                "role": {"S": "context"},
                "text": {"S": words.text},
                "turn_id": {"S": words.turn_id},
            }
        )
        return words

    def put_say(self, ref: SessionRef, note_id: str, text: str, received_at_ms: int) -> Words:
        """Note what the agent is to say. The first of an id counts; it is returned."""
        return self._note(ref, "say", note_id, text, received_at_ms)

    def get_say(self, ref: SessionRef, note_id: str) -> Words | None:
        """Return what the agent is to say; None if nobody knows the id any more."""
        item = self._table.get(_note_key(ref, "say", note_id))
        return None if item is None else _words_from(item)

    def _note(
        self, ref: SessionRef, kind: Kind, note_id: str, text: str, received_at_ms: int
    ) -> Words:
        words = Words(f"{AGENT_TURN}{kind}-{_short(note_id)}", text, received_at_ms)
        item: dict[str, Any] = {
            **_note_key(ref, kind, note_id),
            "turn_id": {"S": words.turn_id},
            "text": {"S": text},
            "received_at": number(received_at_ms),
            "expires_at": number(now_s() + self._ttl_s),
        }
        if self._table.put(item, "attribute_not_exists(pk)"):
            return words
        # Perhaps this very write, if its answer was lost.
        known = self._table.get(_note_key(ref, kind, note_id))
        return words if known is None else _words_from(known)


def _short(note_id: str) -> str:
    """Return an id of 32 characters, so that with its prefix it is still an identifier."""
    return hashlib.sha256(note_id.encode()).hexdigest()[:32]


def _note_key(ref: SessionRef, kind: Kind, note_id: str) -> Item:
    return {"pk": {"S": f"SESSION#{ref}"}, "sk": {"S": f"NOTE#{kind}#{note_id}"}}


def _words_from(item: Item) -> Words:
    return Words(
        read_text(item, "turn_id"), read_text(item, "text"), read_number(item, "received_at")
    )
