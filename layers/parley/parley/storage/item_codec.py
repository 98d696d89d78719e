"""The keys of the table's items, and the conversion of their values.

docs/storage.md has the layout. This module only converts; `sessions`, `turns`, `connections` and
`inboxes` read and write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from parley.audio.captions import Cue, Sound
from parley.audio.heard import Heard
from parley.limit import LimitScope
from parley.principal import Principal, SessionRef, parse_session_id
from parley.protocol.agent_overrides import NO_OVERRIDES, AgentOverrides
from parley.protocol.messages import NO_SETTINGS, Message, Settings, Word
from parley.protocol.tool_rounds import CallResult, ToolCalls, ToolRound
from parley.storage.inbox_entries import (
    AckEntry,
    BegunEntry,
    ChunkEntry,
    EndEntry,
    InboxEntry,
    InterruptEntry,
    PauseEntry,
    ResumeEntry,
    ToolResultEntry,
)

_HAVE_SLOTS: tuple[LimitScope, ...] = ("subject", "tenant")


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection, as the table stores it.

    Attributes:
        principal: who opened it.
        ref: the session that it is bound to; None before `init`.
        message_id: API Gateway's id of the `init` that bound it.
        connected_at_ms: API Gateway's `connectedAt`; its leases are named by it.
        slots: the shard of each slot that it has, of its subject and of its tenant.
        initialised: whether it has ever been bound.
        signed: the settings of the token that opened it.
        signed_agent: what that token says of the agent.
    """

    principal: Principal
    ref: SessionRef | None = None
    message_id: str = ""
    connected_at_ms: int = 0
    slots: Mapping[LimitScope, int] = field(default_factory=dict)
    initialised: bool = False
    signed: Settings = NO_SETTINGS
    signed_agent: AgentOverrides = NO_OVERRIDES


@dataclass(frozen=True, slots=True)
class Session:
    """A session, as the table stores it.

    Attributes:
        token_hash: SHA-256 of the latest resume token.
        connection_id: its current connection.
        settings: what its client chose.
        status: `active`, `ended` or `erased`.
        active_turn: the newest turn.
        endpoint: base URL of the `@connections` API of its connection.
        previous_hash: SHA-256 of the token before, which is good until the latest has been shown.
        expires_at: when it can no longer be resumed, in s since the epoch; 0 for never.
        previous_turn: the turn before the newest.
        connected_at_ms: when its connection was opened; 0 if it has none.
        signed: what the token of its latest connection sets.
        active_since_ms: when API Gateway received the newest turn; 0 for none.
        ended_at_ms: when API Gateway received its `end`; 0 if it was not ended.
        heard_language: what its user was heard to speak last; empty if nothing was, or if the
            client has chosen a language since.
        client_tools: the tools that its client has functions for.
        agent: the agent that its client chose; empty if it chose none.
        signed_agent: what the token of its latest connection says of the agent.
        backend_agent: what the backend said of the agent when it opened the session.
        pending_say: the backend's id of what the agent is to say, or has said; empty for nothing.
        woken_at_ms: when the turn function was woken for it last; 0 for never.
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
    heard_language: str = ""
    client_tools: Sequence[str] = ()
    agent: str = ""
    signed_agent: AgentOverrides = NO_OVERRIDES
    backend_agent: AgentOverrides = NO_OVERRIDES
    pending_say: str = ""
    woken_at_ms: int = 0

    @property
    def overrides(self) -> AgentOverrides:
        """What a backend says of its agent. A token counts more than what was said before."""
        return self.backend_agent.merged_with(self.signed_agent)

    @property
    def session_id(self) -> str:
        """The session id, as the client knows it."""
        return parse_session_id(self.ref)

    def is_over(self, at_s: float) -> bool:
        """Return whether it was ended or erased, or nobody came back to it in time."""
        return self.status != "active" or 0 < self.expires_at <= at_s

    def has_passed(self, turn_id: str, received_at_ms: int) -> bool:
        """Return whether a turn came too late: the session has ended, or a newer turn has begun.

        Args:
            turn_id: the turn.
            received_at_ms: when API Gateway received the turn, in ms since the epoch.
        """
        if self.status == "ended":
            return received_at_ms <= self.ended_at_ms
        newest = (self.active_since_ms, self.active_turn or "")
        return (received_at_ms, turn_id) < newest and self.active_turn != turn_id


@dataclass(frozen=True, slots=True)
class TurnAttempt:
    """An attempt at a turn.

    Attributes:
        number: counts from 1.
        started_ms: when the first attempt began, in ms since the epoch.
        after_death: whether the function of the attempt before is known to be dead: nothing that it
            had begun will be heard of again.
    """

    number: int
    started_ms: int
    after_death: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class TurnItem:
    """A turn, as the table stores it.

    Attributes:
        state: `running`, or the reason it ended with.
        attempt: its latest one.
        parts: its reply up to each word, and when each part has been heard; empty until it has
            ended.
        message_key: the sort key of its reply in the history; empty if there is none.
        lease_until_ms: when its lease expires, in ms since the epoch.
        owner: the invocation that has, or had, its lease.
    """

    state: str
    attempt: TurnAttempt
    parts: Sequence[Heard] = ()
    message_key: str = ""
    lease_until_ms: int = 0
    owner: str = ""

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
    """Return the key of a connection."""
    return {"pk": {"S": f"CONNECTION#{connection_id}"}, "sk": {"S": "META"}}


def session_key(ref: SessionRef) -> dict[str, Any]:
    """Return the key of a session."""
    return {"pk": {"S": f"SESSION#{ref}"}, "sk": {"S": "META"}}


def owner_key(owner: str, session_id: str = "") -> dict[str, Any]:
    """Return the key of a session in its owner's list.

    Args:
        owner: `Principal.key`.
        session_id: the session; empty for the list's partition.
    """
    return {"pk": {"S": f"OWNER#{owner}"}, "sk": {"S": f"SESSION#{session_id}"}}


def bound_key(ref: SessionRef, connection_id: str) -> dict[str, Any]:
    """Return the key of the session's note of a connection that is, or was to be, bound to it."""
    return {"pk": {"S": f"SESSION#{ref}"}, "sk": {"S": f"CONNECTION#{connection_id}"}}


def turn_key(ref: SessionRef, turn_id: str) -> dict[str, Any]:
    """Return the key of a turn."""
    return {"pk": {"S": f"SESSION#{ref}"}, "sk": {"S": f"TURN#{turn_id}#META"}}


_RANKS = {"context": 0, "user": 1, "assistant": 2}
"""Of what a turn leaves in the history, in order. The rounds of tool calls are 1.0, 1.1, …"""


def message_key(started_ms: int, message: Message) -> str:
    """Return a message's sort key: ordered by the start of its turn, the user's first."""
    rank = _RANKS[message.role]
    return f"MESSAGE#{started_ms:015d}#{message.turn_id}#{rank}"


def round_key(ref: SessionRef, started_ms: int, turn_id: str, index: int) -> dict[str, Any]:
    """Return the key of a round of tool calls: between its turn's user message and reply."""
    sk = f"MESSAGE#{started_ms:015d}#{turn_id}#1.{index}"
    return {"pk": {"S": f"SESSION#{ref}"}, "sk": {"S": sk}}


def is_round(item: Mapping[str, Any]) -> bool:
    """Return whether an item of the history is a round of tool calls."""
    return "." in item["sk"]["S"].rpartition("#")[2]


def inbox_key(turn_id: str, entry: str) -> str:
    """Return the sort key of an inbox entry. Those of a turn follow each other."""
    return f"TURN#{turn_id}#IN#{entry}"


def chunk_key(turn_id: str, seq: int) -> str:
    """Return the sort key of a chunk in the inbox."""
    return inbox_key(turn_id, f"audio#{seq:06d}")


def number(value: int) -> dict[str, str]:
    """Return a number as an attribute value."""
    return {"N": str(value)}


def read_text(item: dict[str, Any], name: str) -> str:
    """Return a string attribute of an item; empty if it is not there."""
    return str(item.get(name, {}).get("S", ""))


def read_number(item: dict[str, Any], name: str) -> int:
    """Return a number attribute of an item; 0 if it is not there."""
    return int(item.get(name, {}).get("N", 0))


def read_settings(item: dict[str, Any], name: str) -> Settings:
    """Return the settings that an attribute holds; none if it is not there."""
    return msgspec.json.decode(read_text(item, name) or "{}", type=Settings)


def signed_item(signed: Settings) -> dict[str, Any]:
    """Return the attributes for a token's settings. Most tokens have none."""
    return {"signed": {"S": encode_json(signed)}} if signed != NO_SETTINGS else {}


def signed_agent_item(signed: AgentOverrides) -> dict[str, Any]:
    """Return the attributes for what a token says of the agent. Most tokens say nothing."""
    return {"signed_agent": {"S": encode_json(signed)}} if signed != NO_OVERRIDES else {}


def agent_item(chosen: str, backend: AgentOverrides) -> dict[str, Any]:
    """Return the attributes for a chosen agent, and for what the backend says of it."""
    item: dict[str, Any] = {"agent": {"S": chosen}} if chosen else {}
    if backend != NO_OVERRIDES:
        item["backend_agent"] = {"S": encode_json(backend)}
    return item


def read_overrides(item: dict[str, Any], name: str) -> AgentOverrides:
    """Return what an attribute says of an agent; nothing if it is not there."""
    found = read_text(item, name)
    return msgspec.json.decode(found, type=AgentOverrides) if found else NO_OVERRIDES


def client_tools_item(names: Sequence[str]) -> dict[str, Any]:
    """Return the attributes for a client's tools. Most clients have none."""
    return {"client_tools": {"S": encode_json(list(names))}} if names else {}


def encode_json(value: Any) -> str:
    """Return a value as JSON."""
    return msgspec.json.encode(value).decode()


def connection_from(item: dict[str, Any]) -> Connection:
    """Return the connection that an item stores."""
    ref = read_text(item, "session")
    return Connection(
        Principal(read_text(item, "tenant"), read_text(item, "subject")),
        SessionRef(ref) if ref else None,
        read_text(item, "init_message") if ref else "",
        read_number(item, "connected_at"),
        {
            scope: read_number(item, f"slot_of_{scope}")
            for scope in _HAVE_SLOTS
            if f"slot_of_{scope}" in item
        },
        "init_message" in item,
        read_settings(item, "signed"),
        read_overrides(item, "signed_agent"),
    )


def session_from(ref: SessionRef, item: dict[str, Any]) -> Session:
    """Return the session that an item stores."""
    return Session(
        ref=ref,
        token_hash=read_text(item, "token_hash"),
        connection_id=read_text(item, "connection"),
        settings=read_settings(item, "settings"),
        status=read_text(item, "status"),
        active_turn=read_text(item, "active_turn") or None,
        endpoint=read_text(item, "endpoint"),
        previous_hash=read_text(item, "previous_hash"),
        expires_at=read_number(item, "resumable_until"),
        previous_turn=read_text(item, "previous_turn") or None,
        connected_at_ms=read_number(item, "connected_at"),
        signed=read_settings(item, "signed"),
        active_since_ms=read_number(item, "active_since"),
        ended_at_ms=read_number(item, "ended_at"),
        heard_language=read_text(item, "heard_language"),
        client_tools=tuple(msgspec.json.decode(read_text(item, "client_tools") or "[]")),
        agent=read_text(item, "agent"),
        signed_agent=read_overrides(item, "signed_agent"),
        backend_agent=read_overrides(item, "backend_agent"),
        pending_say=read_text(item, "pending_say"),
        woken_at_ms=read_number(item, "woken_at"),
    )


def message_from(item: dict[str, Any]) -> Message:
    """Return the message that an item stores."""
    return msgspec.convert(
        {
            "role": read_text(item, "role"),
            "text": read_text(item, "text"),
            "turn_id": read_text(item, "turn_id"),
            "heard": read_text(item, "heard") if "heard" in item else None,
            "started_ms": int(read_text(item, "sk").split("#")[1]),
            "language": read_text(item, "language") or None,
            "heard_estimated": read_number(item, "heard_estimated") == 1,
            "fillers": msgspec.json.decode(read_text(item, "fillers") or "[]"),
            "tools": msgspec.json.decode(read_text(item, "tools") or "[]"),
            "agent": read_number(item, "agent") == 1,
        },
        Message,
    )


def round_item(
    ref: SessionRef, started_ms: int, turn_id: str, planned: ToolRound
) -> dict[str, Any]:
    """Return the item of a round. Each result has an attribute of its own: they are written one by
    one, and the first of each counts."""
    item: dict[str, Any] = {
        **round_key(ref, started_ms, turn_id, planned.index),
        "request": {"S": encode_json(planned.request)},
        "text": {"S": planned.text},
        "user_text": {"S": planned.user_text},
        "recorded_at": number(planned.recorded_at_ms),
        "calls": number(len(planned.request.calls)),
    }
    for index, result in enumerate(planned.results):
        if result is not None:
            item[f"result_{index}"] = {"S": encode_json(result)}
    return item


def round_from(item: dict[str, Any]) -> ToolRound:
    """Return the round that an item stores."""
    request = msgspec.json.decode(read_text(item, "request"), type=ToolCalls)
    return ToolRound(
        index=int(read_text(item, "sk").rpartition(".")[2]),
        request=request,
        text=read_text(item, "text"),
        results=tuple(_result_from(item, index) for index in range(len(request.calls))),
        recorded_at_ms=read_number(item, "recorded_at"),
        user_text=read_text(item, "user_text"),
    )


def _result_from(item: dict[str, Any], index: int) -> CallResult | None:
    found = read_text(item, f"result_{index}")
    return msgspec.json.decode(found, type=CallResult) if found else None


def sound_item(sound: Sound) -> dict[str, Any]:
    """Return the attributes for when a message could be heard."""
    item: dict[str, Any] = {"at": number(sound.at_ms)}
    if sound.duration_ms:
        item["duration_ms"] = number(sound.duration_ms)
    if sound.cues:
        item["cues"] = {"S": encode_json(list(sound.cues))}
    if sound.heard_ms is not None:
        item["heard_ms"] = number(sound.heard_ms)
    return item


def sound_from(item: dict[str, Any]) -> Sound:
    """Return when a message could be heard."""
    return Sound(
        at_ms=read_number(item, "at"),
        duration_ms=read_number(item, "duration_ms"),
        cues=msgspec.json.decode(read_text(item, "cues") or "[]", type=list[Cue]),
        heard_ms=read_number(item, "heard_ms") if "heard_ms" in item else None,
    )


def inbox_entries_from(item: dict[str, Any]) -> Sequence[InboxEntry]:
    """Return the entries of an inbox item. Only an interruption may have two."""
    kind, *rest = read_text(item, "sk").split("#")[3:]
    if kind == "audio":
        return [ChunkEntry(int(rest[0]), bytes(item["audio"]["B"]))]
    if kind == "end":
        pause = read_number(item, "pause") if "pause" in item else None
        return [EndEntry(int(item["chunks"]["N"]), int(item["received_at"]["N"]), pause)]
    if kind == "pause":
        pause, is_over = divmod(read_number(item, "place"), 2)
        return [PauseEntry(pause, read_number(item, "chunks"), bool(is_over))]
    if kind == "received":
        return [AckEntry(read_number(item, "attempt"), read_number(item, "seq"))]
    if kind == "begun":
        return [BegunEntry(read_number(item, "attempt"))]
    if kind == "resume":
        resume = ResumeEntry(
            read_text(item, "connection"),
            read_text(item, "endpoint"),
            read_number(item, "attempt"),
            read_number(item, "seq"),
            read_number(item, "resumed_at"),
        )
        return [resume]
    return interruptions_from(item)


def tool_result_from(item: dict[str, Any]) -> ToolResultEntry:
    """Return what a client's function returned."""
    call_id = read_text(item, "sk").split("#")[-1]
    error = read_text(item, "error") if "error" in item else None
    return ToolResultEntry(call_id, read_text(item, "result"), error)


def interruptions_from(item: dict[str, Any]) -> list[InterruptEntry]:
    """Return the first interruption of a turn and the newest, if they differ."""
    first = InterruptEntry(_played_ms(item, "played_ms"), read_number(item, "received_at"))
    last = InterruptEntry(_played_ms(item, "last_played_ms"), read_number(item, "last_at"))
    return [first, last] if last.received_at_ms > first.received_at_ms else [first]


def _played_ms(item: dict[str, Any], name: str) -> float | None:
    played_ms = item.get(name, {}).get("N")
    return float(played_ms) if played_ms is not None else None


def turn_from(item: dict[str, Any]) -> TurnItem:
    """Return the turn that an item stores."""
    return TurnItem(
        state=read_text(item, "state"),
        attempt=TurnAttempt(read_number(item, "attempt"), read_number(item, "started_at")),
        parts=_parts_from(item),
        message_key=read_text(item, "message_key"),
        lease_until_ms=read_number(item, "lease_until"),
        owner=read_text(item, "owner"),
    )


def encode_parts(parts: Sequence[Heard]) -> str:
    """Return the parts of a reply as JSON; the flag only where it says something."""
    return encode_json([part if part.estimated else (part.text, part.end_ms) for part in parts])


def _parts_from(item: dict[str, Any]) -> list[Heard]:
    if "parts" in item:
        return msgspec.json.decode(read_text(item, "parts"), type=list[Heard])
    # An item without `parts` has words, without the text between them.
    words = msgspec.json.decode(read_text(item, "words") or "[]", type=list[Word])
    return [Heard(f" {word.text}" if n else word.text, word.end_ms) for n, word in enumerate(words)]


def answer_key(ref: SessionRef, turn_id: str, attempt: int, seq: int) -> dict[str, Any]:
    """Return the key of an event of an HTTP answer."""
    sk = f"TURN#{turn_id}#ANSWER#{attempt:03d}#{seq:06d}"
    return {"pk": {"S": f"SESSION#{ref}"}, "sk": {"S": sk}}


def frame_key(ref: SessionRef, frame: StoredFrame) -> dict[str, Any]:
    """Return the key of an undelivered event."""
    order = f"{frame.started_ms:015d}#{frame.turn_id}#{frame.attempt:03d}#{frame.seq:06d}"
    return {"pk": {"S": f"SESSION#{ref}"}, "sk": {"S": f"OUT#{order}"}}


def frame_from(item: dict[str, Any]) -> StoredFrame:
    """Return the undelivered event that an item stores."""
    _, started_ms, turn_id, attempt, seq = read_text(item, "sk").split("#")
    frame = bytes(item.get("frame", {}).get("B", b""))
    return StoredFrame(turn_id, int(started_ms), int(attempt), int(seq), frame)
