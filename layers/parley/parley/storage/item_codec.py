"""What the items of the table look like: their keys, and the values in and out of them.

docs/storage.md has the layout. Plain conversions; `sessions`,
`turns`, `connections` and `inboxes` do the reading and writing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from parley.audio.captions import Cue, Sound
from parley.audio.heard import Heard
from parley.limit import LimitScope
from parley.principal import Principal, SessionRef, session_id_of
from parley.protocol.messages import NO_SETTINGS, Message, Settings, Word
from parley.storage.inbox_entries import (
    AckEntry,
    BegunEntry,
    ChunkEntry,
    EndEntry,
    InboxEntry,
    InterruptEntry,
    ResumeEntry,
)

_HAVE_SLOTS: tuple[LimitScope, ...] = ("subject", "tenant")


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection, as the table keeps it.

    Attributes:
        principal: who opened it.
        ref: the session that it is bound to; None before `init`.
        message_id: API Gateway's id of the `init` that bound it.
        connected_at_ms: API Gateway's `connectedAt`, which its slots are named by.
        slots: the shards in which it has a slot, of its subject and of its tenant.
        initialised: whether it has ever been bound.
        signed: the settings of the token that opened it.
    """

    principal: Principal
    ref: SessionRef | None = None
    message_id: str = ""
    connected_at_ms: int = 0
    slots: Mapping[LimitScope, int] = field(default_factory=dict)
    initialised: bool = False
    signed: Settings = NO_SETTINGS


@dataclass(frozen=True, slots=True)
class Session:
    """A conversation, as the table keeps it.

    Attributes:
        token_hash: SHA-256 of the latest resume token.
        connection_id: the connection it answers on, and the base URL of its `@connections`.
        active_turn: the turn claimed last.
        previous_turn: the one before it.
        previous_hash: of the token before, which is good until the latest has been shown.
        expires_at: when it can no longer be resumed, in s since the epoch; 0 for never.
        connected_at_ms: when its connection was opened; 0 if it has none.
        settings: what its client chose.
        signed: what the token of its latest connection sets.
        active_since_ms: when API Gateway received the turn that is the newest so far; 0 for none.
        ended_at_ms: when API Gateway received its `end`; 0 if it was not ended.
    """

    ref: SessionRef
    token_hash: str
    connection_id: str
    settings: Settings
    status: str
    active_turn: str | None = None
    endpoint: str = ""
    previous_hash: str = ""
    expires_at: int = 0
    previous_turn: str | None = None
    connected_at_ms: int = 0
    signed: Settings = NO_SETTINGS
    active_since_ms: int = 0
    ended_at_ms: int = 0

    @property
    def session_id(self) -> str:
        """What the client calls it."""
        return session_id_of(self.ref)

    def is_over(self, at_s: float) -> bool:
        """Whether it was ended or erased, or nobody came back to it in time."""
        return self.status != "active" or 0 < self.expires_at <= at_s

    def has_passed(self, turn_id: str, received_at_ms: int) -> bool:
        """Whether a turn came too late to be wanted still: the user has ended the session since,
        or begun a newer turn.

        Args:
            received_at_ms: when API Gateway received the turn.
        """
        if self.status == "ended":
            return received_at_ms <= self.ended_at_ms
        newest = (self.active_since_ms, self.active_turn or "")
        return (received_at_ms, turn_id) < newest and self.active_turn != turn_id


@dataclass(frozen=True, slots=True)
class TurnClaim:
    """An attempt at a turn, by whoever claimed it.

    Attributes:
        attempt: counts from 1.
        started_ms: when the first attempt began, in ms since the epoch.
    """

    attempt: int
    started_ms: int


@dataclass(frozen=True, slots=True)
class TurnItem:
    """A turn, as the table keeps it.

    Attributes:
        state: `running`, or the reason it ended with.
        parts: of its reply, once it has ended: up to each word, and when it has been heard.
        message_key: the sort key of its reply in the history; empty if there is none.
        lease_until_ms: how long somebody may still be at work on it, in ms since the epoch.
    """

    state: str
    claim: TurnClaim
    parts: Sequence[Heard] = ()
    message_key: str = ""
    lease_until_ms: int = 0

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.state == "running"


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """An event that may not have arrived, as it was or would have been posted."""

    turn_id: str
    started_ms: int
    attempt: int
    seq: int
    frame: bytes = b""


def connection_key(connection_id: str) -> dict[str, Any]:
    return {"pk": {"S": f"CONNECTION#{connection_id}"}, "sk": {"S": "META"}}


def session_key(ref: SessionRef) -> dict[str, Any]:
    return {"pk": {"S": f"SESSION#{ref}"}, "sk": {"S": "META"}}


def owner_key(owner: str, session_id: str = "") -> dict[str, Any]:
    """The entry of a session in the list of its owner's.

    Args:
        owner: `Principal.key`.
    """
    return {"pk": {"S": f"OWNER#{owner}"}, "sk": {"S": f"SESSION#{session_id}"}}


def bound_key(ref: SessionRef, connection_id: str) -> dict[str, Any]:
    """The session's own note of a connection that is, or was about to be, bound to it."""
    return {"pk": {"S": f"SESSION#{ref}"}, "sk": {"S": f"CONNECTION#{connection_id}"}}


def turn_key(ref: SessionRef, turn_id: str) -> dict[str, Any]:
    return {"pk": {"S": f"SESSION#{ref}"}, "sk": {"S": f"TURN#{turn_id}#META"}}


def message_key(started_ms: int, message: Message) -> str:
    """Orders messages by the start of their turn, the user's first."""
    rank = 1 if message.role == "user" else 2
    return f"MESSAGE#{started_ms:015d}#{message.turn_id}#{rank}"


def inbox_key(turn_id: str, entry: str) -> str:
    """The sort key of an inbox entry: those of a turn follow each other."""
    return f"TURN#{turn_id}#IN#{entry}"


def chunk_key(turn_id: str, seq: int) -> str:
    return inbox_key(turn_id, f"audio#{seq:06d}")


def number(value: int) -> dict[str, str]:
    return {"N": str(value)}


def text_of(item: dict[str, Any], name: str) -> str:
    return str(item.get(name, {}).get("S", ""))


def number_of(item: dict[str, Any], name: str) -> int:
    return int(item.get(name, {}).get("N", 0))


def settings_of(item: dict[str, Any], name: str) -> Settings:
    return msgspec.json.decode(text_of(item, name) or "{}", type=Settings)


def signed_item(signed: Settings) -> dict[str, Any]:
    """What an item says of a token's settings; most tokens have none."""
    return {"signed": {"S": encode_json(signed)}} if signed != NO_SETTINGS else {}


def encode_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def connection_from(item: dict[str, Any]) -> Connection:
    ref = text_of(item, "session")
    return Connection(
        Principal(text_of(item, "tenant"), text_of(item, "subject")),
        SessionRef(ref) if ref else None,
        text_of(item, "init_message") if ref else "",
        number_of(item, "connected_at"),
        {
            scope: number_of(item, f"slot_of_{scope}")
            for scope in _HAVE_SLOTS
            if f"slot_of_{scope}" in item
        },
        "init_message" in item,
        settings_of(item, "signed"),
    )


def session_from(ref: SessionRef, item: dict[str, Any]) -> Session:
    return Session(
        ref=ref,
        token_hash=text_of(item, "token_hash"),
        connection_id=text_of(item, "connection"),
        settings=settings_of(item, "settings"),
        status=text_of(item, "status"),
        active_turn=text_of(item, "active_turn") or None,
        endpoint=text_of(item, "endpoint"),
        previous_hash=text_of(item, "previous_hash"),
        expires_at=number_of(item, "resumable_until"),
        previous_turn=text_of(item, "previous_turn") or None,
        connected_at_ms=number_of(item, "connected_at"),
        signed=settings_of(item, "signed"),
        active_since_ms=number_of(item, "active_since"),
        ended_at_ms=number_of(item, "ended_at"),
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


def sound_item(sound: Sound) -> dict[str, Any]:
    """What a message's item says of when it could be heard."""
    item: dict[str, Any] = {"at": number(sound.at_ms)}
    if sound.duration_ms:
        item["duration_ms"] = number(sound.duration_ms)
    if sound.cues:
        item["cues"] = {"S": encode_json(list(sound.cues))}
    if sound.heard_ms is not None:
        item["heard_ms"] = number(sound.heard_ms)
    return item


def sound_from(item: dict[str, Any]) -> Sound:
    """When a message could be heard."""
    return Sound(
        at_ms=number_of(item, "at"),
        duration_ms=number_of(item, "duration_ms"),
        cues=msgspec.json.decode(text_of(item, "cues") or "[]", type=list[Cue]),
        heard_ms=number_of(item, "heard_ms") if "heard_ms" in item else None,
    )


def inbox_entries_from(item: dict[str, Any]) -> Sequence[InboxEntry]:
    kind, *rest = text_of(item, "sk").split("#")[3:]
    if kind == "audio":
        return [ChunkEntry(int(rest[0]), bytes(item["audio"]["B"]))]
    if kind == "end":
        return [EndEntry(int(item["chunks"]["N"]), int(item["received_at"]["N"]))]
    if kind == "received":
        return [AckEntry(number_of(item, "attempt"), number_of(item, "seq"))]
    if kind == "begun":
        return [BegunEntry(number_of(item, "attempt"))]
    if kind == "resume":
        resume = ResumeEntry(
            text_of(item, "connection"),
            text_of(item, "endpoint"),
            number_of(item, "attempt"),
            number_of(item, "seq"),
            number_of(item, "resumed_at"),
        )
        return [resume]
    return interruptions_from(item)


def interruptions_from(item: dict[str, Any]) -> list[InterruptEntry]:
    """The first interruption of a turn and the newest, if that is another one."""
    first = InterruptEntry(_played_ms(item, "played_ms"), number_of(item, "received_at"))
    last = InterruptEntry(_played_ms(item, "last_played_ms"), number_of(item, "last_at"))
    return [first, last] if last.received_at_ms > first.received_at_ms else [first]


def _played_ms(item: dict[str, Any], name: str) -> float | None:
    played_ms = item.get(name, {}).get("N")
    return float(played_ms) if played_ms is not None else None


def turn_from(item: dict[str, Any]) -> TurnItem:
    return TurnItem(
        state=text_of(item, "state"),
        claim=TurnClaim(number_of(item, "attempt"), number_of(item, "started_at")),
        parts=_parts_from(item),
        message_key=text_of(item, "message_key"),
        lease_until_ms=number_of(item, "lease_until"),
    )


def _parts_from(item: dict[str, Any]) -> list[Heard]:
    if "parts" in item:
        return msgspec.json.decode(text_of(item, "parts"), type=list[Heard])
    # Of a turn that ended before parts were kept there are words, without what is between them.
    words = msgspec.json.decode(text_of(item, "words") or "[]", type=list[Word])
    return [Heard(f" {word.text}" if n else word.text, word.end_ms) for n, word in enumerate(words)]


def answer_key(ref: SessionRef, turn_id: str, attempt: int, seq: int) -> dict[str, Any]:
    sk = f"TURN#{turn_id}#ANSWER#{attempt:03d}#{seq:06d}"
    return {"pk": {"S": f"SESSION#{ref}"}, "sk": {"S": sk}}


def frame_key(ref: SessionRef, frame: StoredFrame) -> dict[str, Any]:
    order = f"{frame.started_ms:015d}#{frame.turn_id}#{frame.attempt:03d}#{frame.seq:06d}"
    return {"pk": {"S": f"SESSION#{ref}"}, "sk": {"S": f"OUT#{order}"}}


def frame_from(item: dict[str, Any]) -> StoredFrame:
    _, started_ms, turn_id, attempt, seq = text_of(item, "sk").split("#")
    frame = bytes(item.get("frame", {}).get("B", b""))
    return StoredFrame(turn_id, int(started_ms), int(attempt), int(seq), frame)
