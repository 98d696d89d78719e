"""Inboxes in the table: what clients send into their turns, stored as it comes.

`parley.turn.input` gives it meaning; the turn reads it again and again.
"""

from __future__ import annotations

from typing import Any

from parley.clock import now_ms, now_s
from parley.principal import SessionRef
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
from parley.storage.item_codec import (
    chunk_key,
    inbox_entries_from,
    inbox_key,
    interruptions_from,
    number,
    read_number,
    read_text,
    tool_result_from,
    turn_key,
)
from parley.storage.table import Item, Table

INBOX_TTL_S = 24 * 3600
"""How long an entry is kept. Nobody reads it later."""
_FIRST_CONTROL, _TOOL_RESULTS, _AFTER_INBOX = "b", "tool#", "~"
"""Controls sort after the audio (`audio#…`), which a later attempt may use again, and before
results of the client's functions. Those are read one by one: a client could put in thousands, which
a turn would read again and again."""


class InboxStore:
    """Reads and writes the inboxes of turns."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def put_chunk(self, ref: SessionRef, turn_id: str, chunk: ChunkEntry) -> None:
        """Store a chunk of an utterance. The same chunk again changes nothing."""
        self._put_inbox(ref, turn_id, f"audio#{chunk.seq:06d}", {"audio": {"B": chunk.audio}})

    def put_end(self, ref: SessionRef, turn_id: str, end: EndEntry) -> None:
        """Store the end of an utterance."""
        values: dict[str, Any] = {
            "chunks": number(end.chunks),
            "received_at": number(end.received_at_ms),
        }
        if end.pause is not None:
            values["pause"] = number(end.pause)
        self._put_inbox(ref, turn_id, "end", values)

    def put_pause(self, ref: SessionRef, turn_id: str, pause: PauseEntry) -> None:
        """Store that speech pauses, or goes on. The newest of all pauses counts."""
        # A pause comes before its own end, whichever of the two messages arrives first.
        place = number(2 * pause.pause + pause.is_over)
        self._put_inbox(
            ref,
            turn_id,
            "pause",
            {"place": place, "chunks": number(pause.chunks)},
            condition="attribute_not_exists(pk) OR place < :place",
            condition_values={":place": place},
        )

    def put_interrupt(self, ref: SessionRef, turn_id: str, interrupt: InterruptEntry) -> None:
        """Store an interruption.

        The first is kept, and the newest, which may be meant for a later attempt.
        `InterruptEntry.stops` says which one counts.
        """
        played_ms = interrupt.played_ms
        # Rounded: DynamoDB refuses numbers below 1e-130, which a client may send.
        played = {"NULL": True} if played_ms is None else {"N": repr(round(played_ms, 3))}
        self._table.update(
            _interrupt_key(ref, turn_id),
            "SET received_at = if_not_exists(received_at, :at), last_at = :at, "
            "played_ms = if_not_exists(played_ms, :played), last_played_ms = :played, "
            "written_at = :written, expires_at = :expires",
            "attribute_not_exists(last_at) OR last_at < :at",
            {},
            {
                ":at": number(interrupt.received_at_ms),
                ":played": played,
                ":written": number(now_ms()),
                ":expires": number(now_s() + INBOX_TTL_S),
            },
        )

    def list_interruptions(self, ref: SessionRef, turn_id: str) -> list[InterruptEntry]:
        """Return the stored interruptions of a turn. They may be older than the turn."""
        item = self._table.get(_interrupt_key(ref, turn_id))
        return interruptions_from(item) if item else []

    def put_ack(self, ref: SessionRef, turn_id: str, ack: AckEntry) -> None:
        """Store that the client has every event of the turn up to a number. The highest counts."""
        self._put_inbox(
            ref,
            turn_id,
            "received",
            {"attempt": number(ack.attempt), "seq": number(ack.seq)},
            condition="attribute_not_exists(pk) OR attempt < :attempt "
            "OR (attempt = :attempt AND seq < :seq)",
            condition_values={":attempt": number(ack.attempt), ":seq": number(ack.seq)},
        )

    def put_resume(self, ref: SessionRef, turn_id: str, resume: ResumeEntry) -> None:
        """Store that the session has moved to a new connection. The newest counts."""
        values: dict[str, Any] = {
            "connection": {"S": resume.connection_id},
            "endpoint": {"S": resume.endpoint},
            "seq": number(resume.seq),
            "attempt": number(resume.attempt),
            "resumed_at": number(resume.resumed_at_ms),
        }
        self._put_inbox(
            ref,
            turn_id,
            "resume",
            values,
            condition="attribute_not_exists(pk) OR resumed_at <= :at",
            condition_values={":at": number(resume.resumed_at_ms)},
        )

    def put_begun(self, ref: SessionRef, turn_id: str, begun: BegunEntry) -> None:
        """Store that an attempt has begun. The newest counts."""
        attempt = number(begun.attempt)
        self._put_inbox(
            ref,
            turn_id,
            "begun",
            {"attempt": attempt},
            condition="attribute_not_exists(pk) OR attempt < :attempt",
            condition_values={":attempt": attempt},
        )

    def put_tool_result(self, ref: SessionRef, turn_id: str, result: ToolResultEntry) -> None:
        """Store what a client's function returned. The first counts."""
        values: dict[str, Any] = {"result": {"S": result.result}}
        if result.error is not None:
            values["error"] = {"S": result.error}
        self._put_inbox(
            ref,
            turn_id,
            f"{_TOOL_RESULTS}{result.call_id}",
            values,
            condition="attribute_not_exists(pk)",
        )

    def get_tool_result(
        self, ref: SessionRef, turn_id: str, call_id: str
    ) -> ToolResultEntry | None:
        """Return what a client's function returned for a call; None if nothing has come."""
        sk = {"S": inbox_key(turn_id, f"{_TOOL_RESULTS}{call_id}")}
        item = self._table.get({"pk": turn_key(ref, turn_id)["pk"], "sk": sk})
        return None if item is None else tool_result_from(item)

    def clear_controls(self, ref: SessionRef, turn_id: str, before_ms: int) -> None:
        """Delete the controls of an earlier attempt, which are not meant for the next one.

        Interruptions stay, because each says which attempt it is meant for; results of the client's
        functions too, because a function runs once.

        Args:
            ref: the session.
            turn_id: the turn.
            before_ms: when the next attempt was asked for, in ms since the epoch.
        """
        first, last = inbox_key(turn_id, _FIRST_CONTROL), inbox_key(turn_id, _AFTER_INBOX)
        interrupt_key = _interrupt_key(ref, turn_id)
        kept = (read_text(interrupt_key, "sk"), inbox_key(turn_id, _TOOL_RESULTS))
        old = [
            {"pk": item["pk"], "sk": item["sk"]}
            for page in self._table.query_pages(f"SESSION#{ref}", first, last)
            for item in page
            if read_number(item, "written_at") < before_ms
            and not read_text(item, "sk").startswith(kept)
        ]
        self._table.write_batch([], old)

    def read_inbox(
        self, ref: SessionRef, turn_id: str, next_seq: int, consistent: bool = True
    ) -> list[InboxEntry]:
        """Return the chunks from `next_seq` on, and the controls, that have arrived so far.

        Args:
            ref: the session.
            turn_id: the turn.
            next_seq: the first chunk to return.
            consistent: whether to return all of them. Otherwise the latest may be missing, until
                another read; such a read costs half.
        """
        first, last = chunk_key(turn_id, next_seq), inbox_key(turn_id, _TOOL_RESULTS)
        pages = self._table.query_pages(f"SESSION#{ref}", first, last, consistent=consistent)
        return [entry for page in pages for item in page for entry in inbox_entries_from(item)]

    def _put_inbox(
        self,
        ref: SessionRef,
        turn_id: str,
        entry: str,
        values: dict[str, Any],
        *,
        condition: str = "",
        condition_values: dict[str, Any] | None = None,
    ) -> bool:
        return self._table.put(
            {
                "pk": turn_key(ref, turn_id)["pk"],
                "sk": {"S": inbox_key(turn_id, entry)},
                "written_at": number(now_ms()),
                "expires_at": number(now_s() + INBOX_TTL_S),
                **values,
            },
            condition,
            condition_values,
        )


def _interrupt_key(ref: SessionRef, turn_id: str) -> Item:
    return {**turn_key(ref, turn_id), "sk": {"S": inbox_key(turn_id, "interrupt")}}
