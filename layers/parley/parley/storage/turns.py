"""Turns in the table: which invocation runs each, and events that may not have arrived.

A turn belongs to the invocation that has its lease, until the lease expires. The lease of a turn
that failed may be acquired again, for its next attempt. The lease of a turn that has not failed may
be acquired for the attempt that the client names: the client then waits for no earlier one.
`parley.storage.inboxes` has what comes in.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from parley.audio.heard import Heard
from parley.clock import now_ms, now_s
from parley.principal import SessionRef
from parley.protocol.messages import TurnEndReason
from parley.storage.inboxes import InboxStore
from parley.storage.item_codec import (
    StoredFrame,
    TurnAttempt,
    TurnItem,
    answer_key,
    encode_parts,
    frame_from,
    frame_key,
    number,
    read_number,
    read_text,
    turn_from,
    turn_key,
)
from parley.storage.table import Item, Table

TURN_TTL_S = 24 * 3600
"""The shortest time that a turn's item stays. It stays as long as its session can be resumed,
because a client that returns may send the turn again."""
LEASE_S = 6.0
"""How long a lease holds without renewal. Who begins a turn is told sooner that its function died:
a client by API Gateway, the agent by Lambda. The lease is for a client that does not hear it: its
connection is another than the one that the turn began on, or API Gateway's 29 s were over."""
RENEW_S = 2.0
"""How often a running turn renews its lease. Two renewals may fail, or one may hang."""
ANSWER_TTL_S = 3600
"""How long an answer over HTTP can be repeated."""

_FIRST_FRAME, _AFTER_FRAMES = "OUT#", "OUT#~"
_WHO_RUNS = ("sk", "state", "lease_until")


class TurnStore:
    """Reads and writes turns and their undelivered events.

    Args:
        table: the table.
        session_idle_s: how long undelivered events are kept.

    Attributes:
        inboxes: what comes in.
    """

    def __init__(self, table: Table, session_idle_s: int = 86_400) -> None:
        self.inboxes = InboxStore(table)
        self._table = table
        self._session_idle_s = session_idle_s
        self._turn_ttl_s = max(TURN_TTL_S, session_idle_s)

    # --- who runs a turn ----------------------------------------------------------

    def acquire_lease(
        self,
        ref: SessionRef,
        turn_id: str,
        owner: str,
        *,
        attempt: int | None,
        received_at_ms: int,
    ) -> TurnAttempt | None:
        """Acquire the lease of a turn for one invocation. Return None if the attempt must not run.

        Args:
            ref: the session.
            turn_id: the turn.
            owner: a name for the invocation.
            attempt: the attempt that the client asked for. It has given up earlier ones, whether
                they run or have ended. None means the first attempt, or the one after a failure
                that the client knew of when it asked.
            received_at_ms: when API Gateway received the request, in ms since the epoch.
        """
        now, nonce = now_ms(), uuid.uuid4().hex
        first = self._table.put(
            {
                **turn_key(ref, turn_id),
                "state": {"S": "running"},
                "owner": {"S": owner},
                "nonce": {"S": nonce},
                "attempt": number(attempt or 1),
                "lease_until": number(now + round(LEASE_S * 1000)),
                "started_at": number(now),
                "expires_at": number(now_s() + self._turn_ttl_s),
            },
            "attribute_not_exists(attempt)",
        )
        # If the answer to this write was lost, its repetition found the item with this nonce.
        if first or self._was_written(ref, turn_id, "nonce", nonce):
            return TurnAttempt(attempt or 1, now)
        return (
            None
            if attempt == 1
            else self._acquire_again(ref, turn_id, owner, nonce, attempt, received_at_ms)
        )

    def _acquire_again(
        self,
        ref: SessionRef,
        turn_id: str,
        owner: str,
        nonce: str,
        attempt: int | None,
        received_at_ms: int,
    ) -> TurnAttempt | None:
        """Acquire the lease for the attempt that the client names, or the one after a failure."""
        values: dict[str, Any] = {
            ":running": {"S": "running"},
            ":owner": {"S": owner},
            ":nonce": {"S": nonce},
            ":lease": number(now_ms() + round(LEASE_S * 1000)),
            ":expires": number(now_s() + self._turn_ttl_s),
        }
        if attempt is None:
            wanted = (
                "(attribute_not_exists(failed_at) OR failed_at < :received) "
                "AND (#state = :failed OR (#state = :running AND lease_until < :now))"
            )
            values |= {
                ":received": number(received_at_ms),
                ":failed": {"S": "failed"},
                ":now": number(now_ms()),
                ":one": number(1),
            }
            next_attempt = "attempt + :one"
        else:
            wanted = "attempt < :attempt"
            values[":attempt"] = number(attempt)
            next_attempt = ":attempt"
        before = self._table.update(
            turn_key(ref, turn_id),
            f"SET #state = :running, #owner = :owner, nonce = :nonce, attempt = {next_attempt}, "
            "lease_until = :lease, expires_at = :expires REMOVE failed_at",
            wanted,
            {"#state": "state", "#owner": "owner"},
            values,
            returned="ALL_OLD",
        )
        if before is not None:
            number_now = attempt or read_number(before, "attempt") + 1
            return TurnAttempt(number_now, read_number(before, "started_at"), _has_died(before))
        if self._was_written(ref, turn_id, "nonce", nonce):
            item = self._table.get(turn_key(ref, turn_id))
            return None if item is None else _attempt_from(item)
        return None

    def renew_lease(self, ref: SessionRef, turn_id: str, owner: str) -> bool:
        """Renew the lease of a turn. Return False if it has failed or another invocation has it."""
        renewed = self._table.update(
            turn_key(ref, turn_id),
            "SET lease_until = :lease",
            "#owner = :owner AND #state <> :failed",
            {"#owner": "owner", "#state": "state"},
            {
                ":lease": number(now_ms() + round(LEASE_S * 1000)),
                ":owner": {"S": owner},
                ":failed": {"S": "failed"},
            },
        )
        return renewed is not None

    def finish_turn(
        self,
        ref: SessionRef,
        turn_id: str,
        owner: str,
        *,
        reason: TurnEndReason,
        message_key: str = "",
        parts: Sequence[Heard] = (),
    ) -> bool:
        """End a turn. Return False if it was no longer this owner's to end.

        Its text stays with its times, for an interruption while its audio still plays.
        """
        finished = self._table.update(
            turn_key(ref, turn_id),
            "SET #state = :reason, parts = :parts, message_key = :key, failed_at = :failed",
            "#owner = :owner AND #state = :running",
            {"#state": "state", "#owner": "owner"},
            {
                ":reason": {"S": reason},
                ":parts": {"S": encode_parts(parts)},
                ":key": {"S": message_key},
                ":failed": number(now_ms() if reason == "failed" else 0),
                ":owner": {"S": owner},
                ":running": {"S": "running"},
            },
        )
        # If the answer to this write was lost, its repetition found it done.
        return finished is not None or (
            self._was_written(ref, turn_id, "state", reason)
            and self._was_written(ref, turn_id, "owner", owner)
        )

    def _was_written(self, ref: SessionRef, turn_id: str, name: str, value: str) -> bool:
        """Return whether a turn's item has this value.

        The client repeats a write whose answer was lost. The repetition fails its condition,
        although the write has been done.
        """
        return read_text(self._table.get(turn_key(ref, turn_id)) or {}, name) == value

    def fail_turn(
        self, ref: SessionRef, turn_id: str, owner: str | None, attempt: int = 1
    ) -> TurnAttempt | None:
        """End an attempt whose function died, so that no invocation runs it any more.

        An attempt that had ended fails too: its function may have died before everything was
        delivered. A client that has everything ignores it.

        Args:
            ref: the session.
            turn_id: the turn.
            owner: the invocation that is known to be dead; None if only an expired lease shows it.
            attempt: the attempt that it was to run, perhaps without having acquired its lease.

        Returns:
            The attempt that failed; None if it had failed before, or an invocation runs it.
        """
        if attempt > 1:
            unbegun = self._fail_unbegun(ref, turn_id, owner, attempt)
            if unbegun is not None:
                return _attempt_from(unbegun)
        dead = "lease_until < :now" if owner is None else "#owner = :owner"
        values: dict[str, Any] = {
            ":failed": {"S": "failed"},
            ":now": number(now_ms()),
            ":attempt": number(attempt),
            ":expires": number(now_s() + self._turn_ttl_s),
        }
        names, noted = {"#state": "state"}, ""
        if owner is not None:
            names["#owner"] = "owner"
            values[":owner"] = {"S": owner}
            # Of an attempt that never began: `get_failed_attempt` finds it by its owner.
            noted = ", #owner = if_not_exists(#owner, :owner)"
        item = self._table.update(
            turn_key(ref, turn_id),
            "SET #state = :failed, failed_at = :now, attempt = if_not_exists(attempt, :attempt), "
            f"started_at = if_not_exists(started_at, :now), expires_at = :expires{noted}",
            f"attribute_not_exists(attempt) OR (#state <> :failed AND {dead})",
            names,
            values,
        )
        return None if item is None else _attempt_from(item)

    def _fail_unbegun(
        self, ref: SessionRef, turn_id: str, owner: str | None, attempt: int
    ) -> Item | None:
        """End an attempt that has not begun, and earlier ones, which the client has given up."""
        return self._table.update(
            turn_key(ref, turn_id),
            "SET #state = :failed, failed_at = :now, attempt = :attempt, #owner = :owner",
            "attempt < :attempt",
            {"#state": "state", "#owner": "owner"},
            {
                ":now": number(now_ms()),
                ":attempt": number(attempt),
                ":failed": {"S": "failed"},
                ":owner": {"S": owner or ""},
            },
        )

    def get_failed_attempt(self, ref: SessionRef, turn_id: str, owner: str) -> TurnAttempt | None:
        """Return the attempt of this owner, if the turn has failed with it."""
        item = self._table.get(turn_key(ref, turn_id)) or {}
        mine = read_text(item, "state") == "failed" and read_text(item, "owner") == owner
        return _attempt_from(item) if mine and "attempt" in item else None

    def get_turn(self, ref: SessionRef, turn_id: str) -> TurnItem | None:
        """Return a turn as it is now; None if it has not begun."""
        item = self._table.get(turn_key(ref, turn_id))
        return turn_from(item) if item and "attempt" in item else None

    def list_running(self, ref: SessionRef) -> Iterator[str]:
        """Yield the turns of a session that run now."""
        for page in self._table.query_pages(f"SESSION#{ref}", "TURN#", "TURN#~", _WHO_RUNS):
            for item in page:
                runs = read_text(item, "state") == "running"
                if runs and read_number(item, "lease_until") > now_ms():
                    yield read_text(item, "sk").split("#")[1]

    # --- answers over HTTP ----------------------------------------------------------

    def put_answer(
        self, ref: SessionRef, turn_id: str, attempt: int, frames: Sequence[bytes]
    ) -> None:
        """Store the answer to an HTTP request, for a repetition of the request."""
        expires = number(now_s() + ANSWER_TTL_S)
        self._table.write_batch(
            [
                {
                    **answer_key(ref, turn_id, attempt, seq),
                    "frame": {"B": frame},
                    "expires_at": expires,
                }
                for seq, frame in enumerate(frames, 1)
            ]
        )

    def get_answer(self, ref: SessionRef, turn_id: str, attempt: int) -> list[bytes]:
        """Return the events of an attempt's answer, in order; empty if they are not stored."""
        first, last = (answer_key(ref, turn_id, attempt, n)["sk"]["S"] for n in (0, 999_999))
        return [
            bytes(item["frame"]["B"])
            for page in self._table.query_pages(f"SESSION#{ref}", first, last)
            for item in page
            if read_number(item, "expires_at") > now_s()
        ]

    # --- undelivered events ---------------------------------------------------------

    def put_undelivered(self, ref: SessionRef, frames: Sequence[StoredFrame]) -> None:
        """Store events that may not have arrived, until the session's next connection asks."""
        expires = number(now_s() + self._session_idle_s)
        self._table.write_batch(
            [
                {**frame_key(ref, frame), "frame": {"B": frame.frame}, "expires_at": expires}
                for frame in frames
            ]
        )

    def list_undelivered(self, ref: SessionRef) -> Iterator[StoredFrame]:
        """Yield the events that may not have arrived, in the order of their turns."""
        for page in self._table.query_pages(f"SESSION#{ref}", _FIRST_FRAME, _AFTER_FRAMES):
            yield from map(frame_from, page)

    def list_undelivered_of_turn(
        self, ref: SessionRef, turn_id: str, started_ms: int
    ) -> list[StoredFrame]:
        """Return the events of one turn that may not have arrived, in order. Read no others."""
        first, last = (
            frame_key(ref, StoredFrame(turn_id, started_ms, *end))["sk"]["S"]
            for end in ((0, 0), (999, 999_999))
        )
        pages = self._table.query_pages(f"SESSION#{ref}", first, last)
        return [frame_from(item) for page in pages for item in page]

    def delete_undelivered(self, ref: SessionRef, frames: Sequence[StoredFrame]) -> None:
        """Delete events that have arrived."""
        self._table.write_batch([], [frame_key(ref, frame) for frame in frames])


def _has_died(item: Item) -> bool:
    """Return whether a turn was ended for a function that had died: one that ends its turn itself
    leaves the reply's parts."""
    return read_text(item, "state") == "failed" and "parts" not in item


def _attempt_from(item: Item) -> TurnAttempt:
    return TurnAttempt(read_number(item, "attempt"), read_number(item, "started_at"))
