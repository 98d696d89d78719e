"""Sessions as they are read afterwards: a principal's list, and whole conversations.

Every session is read through its principal's own keys. Another principal's id names nothing.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Literal

from parley.audio.captions import Sound
from parley.principal import Principal, SessionRef
from parley.protocol.messages import Message, Usage
from parley.storage.item_codec import (
    Session,
    is_round,
    message_from,
    owner_key,
    read_number,
    read_text,
    round_from,
    session_from,
    session_key,
    sound_from,
)
from parley.storage.sessions import ERASED
from parley.storage.table import Item, Table
from parley.storage.usage import UsageStore

Status = Literal["active", "ended", "expired"]
READ_AT_ONCE = 10
"""Fewer than connections are kept (`parley.aws.connection.MAX_KEPT`)."""
MAX_PAGES = 8
"""The most pages of a session's history that are read for one request, of 1 MB each ("Query",
DynamoDB API Reference): 2,048 read units. A transcript of half of that is more than an answer can
have."""


class TooLong(Exception):
    """The history of a session is longer than `MAX_PAGES`."""


@dataclass(frozen=True, slots=True)
class Record:
    """A message, and when it could be heard.

    Attributes:
        tools: what was called in its turn, by name; with the turn's last message.
    """

    message: Message
    sound: Sound
    tools: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Head:
    """A session, without its history.

    Attributes:
        created_at_s: in s since the epoch.
        active_since_ms: when its newest turn came, in ms since the epoch; 0 for none.
    """

    session: Session
    created_at_s: int
    active_since_ms: int

    def status(self, now_s: float) -> Status:
        """Return `active` if it can be resumed, `ended`, or `expired` if nobody came back in
        time."""
        if self.session.status != "active":
            return "ended"
        return "expired" if self.session.is_over(now_s) else "active"


@dataclass(frozen=True, slots=True)
class Conversation:
    """A session with its whole history, oldest message first, and what its turns have used."""

    head: Head
    records: list[Record]
    usage: Usage = field(default_factory=Usage)


class SessionReader:
    """Reads sessions."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._usage = UsageStore(table)

    def list_newest(
        self, principal: Principal, limit: int, before: str = ""
    ) -> tuple[list[Head], str]:
        """Return a principal's sessions, newest first. One small item is read of each.

        Args:
            principal: whose sessions.
            limit: how many, at most.
            before: id of the session after which to continue; empty for the newest.

        Returns:
            The sessions, and the next value of `before`; empty if these were the last.
        """
        pk = read_text(owner_key(principal.key), "pk")
        # Session ids are ULIDs: their order is that of their creation.
        last = f"SESSION#{before}" if before else "SESSION#~"
        found = self._table.query_last(pk, "SESSION#", last, limit + 2)
        ids = [read_text(item, "sk").removeprefix("SESSION#") for item in found]
        ids = [session_id for session_id in ids if session_id != before]
        with ThreadPoolExecutor(READ_AT_ONCE) as threads:
            refs = [principal.session(session_id) for session_id in ids[:limit]]
            read = list(threads.map(self._head, refs))
        more = ids[limit - 1] if len(ids) > limit else ""
        return [each for each in read if each is not None], more

    def read_conversation(self, ref: SessionRef) -> Conversation | None:
        """Return a session with its history; None if it does not exist.

        Raises:
            TooLong: the history is longer than `MAX_PAGES`.
        """
        items: list[Item] = []
        pages = self._table.query_pages(f"SESSION#{ref}", "MESSAGE#", "META")
        for number, page in enumerate(pages):
            if number == MAX_PAGES:
                raise TooLong
            items += page
        if not items or read_text(items[-1], "sk") != "META":
            return None
        head = _head_from(ref, items.pop())
        if head is None:
            return None
        return Conversation(head, _records_from(items), self._usage.add_up(ref, items))

    def _head(self, ref: SessionRef) -> Head | None:
        meta = self._table.get(session_key(ref))
        return None if meta is None else _head_from(ref, meta)


def _records_from(items: list[Item]) -> list[Record]:
    """Return the messages of a history, and what was called for them."""
    records: dict[str, list[Record]] = {}
    names: dict[str, list[str]] = {}
    for item in items:
        turn_id = read_text(item, "sk").split("#")[2]
        if is_round(item):
            names.setdefault(turn_id, []).extend(c.name for c in round_from(item).request.calls)
        elif read_text(item, "role") != "context":
            record = Record(message_from(item), sound_from(item))
            records.setdefault(turn_id, []).append(record)
    for turn_id, called in names.items():
        if said := records.get(turn_id):
            said[-1] = replace(said[-1], tools=tuple(called))
    return [record for said in records.values() for record in said]


def _head_from(ref: SessionRef, meta: Item) -> Head | None:
    """Return the session of its own item; None if it is being erased."""
    session = session_from(ref, meta)
    if session.status == ERASED:
        return None
    return Head(session, read_number(meta, "created_at"), read_number(meta, "active_since"))
