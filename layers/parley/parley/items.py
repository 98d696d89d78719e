"""What the items of the table look like: their keys, and the values in and out of them.

The layout is in docs/design.md, section 5. Plain conversions; `parley.store` does
the reading and writing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from botocore.exceptions import ClientError

from parley.inbox import ChunkEntry, EndEntry, InboxEntry, InterruptEntry
from parley.protocol import Message, Settings, Word


@dataclass(frozen=True, slots=True)
class Session:
    """A conversation, as the table keeps it.

    Attributes:
        token_hash: SHA-256 of the resume token that is valid now.
        connection_id: the connection it answers on.
        active_turn: the turn claimed last.
    """

    session_id: str
    token_hash: str
    connection_id: str
    settings: Settings
    status: str
    active_turn: str | None = None


@dataclass(frozen=True, slots=True)
class FinishedTurn:
    """What is left of a turn that is over: enough to say what of it was heard.

    Attributes:
        message_key: the sort key of its reply in the history; empty if there is none.
    """

    words: Sequence[Word]
    message_key: str


def now_s() -> int:
    return int(time.time())


def connection_key(connection_id: str) -> dict[str, Any]:
    return {"pk": {"S": f"CONNECTION#{connection_id}"}, "sk": {"S": "META"}}


def session_key(session_id: str) -> dict[str, Any]:
    return {"pk": {"S": f"SESSION#{session_id}"}, "sk": {"S": "META"}}


def turn_key(session_id: str, turn_id: str) -> dict[str, Any]:
    return {"pk": {"S": f"TURN#{session_id}#{turn_id}"}, "sk": {"S": "META"}}


def message_key(started_ms: int, message: Message) -> str:
    """Orders messages by the start of their turn, the user's first."""
    rank = 1 if message.role == "user" else 2
    return f"MESSAGE#{started_ms:015d}#{message.turn_id}#{rank}"


def chunk_key(seq: int) -> str:
    return f"IN#audio#{seq:06d}"


def number(value: int) -> dict[str, str]:
    return {"N": str(value)}


def text_of(item: dict[str, Any], name: str) -> str:
    return str(item.get(name, {}).get("S", ""))


def encode_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def is_condition_failure(error: ClientError) -> bool:
    return error.response.get("Error", {}).get("Code") == "ConditionalCheckFailedException"


def session_from(session_id: str, item: dict[str, Any]) -> Session:
    return Session(
        session_id=session_id,
        token_hash=text_of(item, "token_hash"),
        connection_id=text_of(item, "connection"),
        settings=msgspec.json.decode(text_of(item, "settings") or "{}", type=Settings),
        status=text_of(item, "status"),
        active_turn=text_of(item, "active_turn") or None,
    )


def message_from(item: dict[str, Any]) -> Message:
    return msgspec.convert(
        {
            "role": text_of(item, "role"),
            "text": text_of(item, "text"),
            "turn_id": text_of(item, "turn_id"),
            "heard": text_of(item, "heard") if "heard" in item else None,
            "started_ms": int(text_of(item, "sk").split("#")[1]),
        },
        Message,
    )


def inbox_entry_from(item: dict[str, Any]) -> InboxEntry:
    kind, *rest = text_of(item, "sk").removeprefix("IN#").split("#")
    if kind == "audio":
        return ChunkEntry(int(rest[0]), bytes(item["audio"]["B"]))
    if kind == "end":
        return EndEntry(int(item["chunks"]["N"]), int(item["received_at"]["N"]))
    played_ms = item.get("played_ms", {}).get("N")
    return InterruptEntry(float(played_ms) if played_ms is not None else None)
