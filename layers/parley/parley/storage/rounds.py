"""Rounds of tool calls in the table: recorded once, before anything of them runs.

A round is recorded by the attempt that has the turn's lease, in one transaction with the lease's
renewal: so of two attempts at a turn only one records, and only one runs what it recorded. Results
are not fenced by the lease: what an attempt that was superseded has done is the truth all the same.
The first result of a call counts.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Literal

import msgspec

from parley.clock import now_ms
from parley.principal import SessionRef
from parley.protocol.tool_rounds import CallResult, ToolRound
from parley.storage.item_codec import number, read_text, round_from, round_item, round_key, turn_key
from parley.storage.table import Table
from parley.storage.turns import LEASE_S


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of the wish to record a round.

    Attributes:
        outcome: `ours`: recorded, and this attempt runs it. `theirs`: another attempt recorded this
            round before; it is not this one's to run. `superseded`: the lease is another's.
        round: as it is in the table; None if it is superseded.
    """

    outcome: Literal["ours", "theirs", "superseded"]
    round: ToolRound | None = None


class RoundStore:
    """Reads and writes the rounds of turns."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def record_round(
        self,
        ref: SessionRef,
        turn_id: str,
        started_ms: int,
        owner: str,
        attempt: int,
        planned: ToolRound,
    ) -> Recorded:
        """Record a round, and renew the turn's lease with it.

        Args:
            started_ms: when the turn's first attempt began, in ms since the epoch.
            owner, attempt: whose round it is. It must have the turn's lease.
            planned: the round; results of calls that are not run are in it already.
        """
        nonce = uuid.uuid4().hex
        item = round_item(ref, started_ms, turn_id, planned)
        failed = self._table.transact(
            {
                "Key": turn_key(ref, turn_id),
                "UpdateExpression": "SET lease_until = :lease",
                "ConditionExpression": (
                    "#owner = :owner AND attempt = :attempt AND #state = :running"
                ),
                "ExpressionAttributeNames": {"#owner": "owner", "#state": "state"},
                "ExpressionAttributeValues": {
                    ":lease": number(now_ms() + round(LEASE_S * 1000)),
                    ":owner": {"S": owner},
                    ":attempt": number(attempt),
                    ":running": {"S": "running"},
                },
            },
            {**item, "nonce": {"S": nonce}},
        )
        if failed is None:
            return Recorded("ours", planned)
        if failed.update:
            return Recorded("superseded")
        found = self._table.get({"pk": item["pk"], "sk": item["sk"]})
        if found is None:  # erased meanwhile, with all of the session
            return Recorded("superseded")
        # The client repeats a write whose answer was lost; moto's tables know no request token.
        ours = read_text(found, "nonce") == nonce
        return Recorded("ours" if ours else "theirs", round_from(found))

    def set_result(
        self,
        ref: SessionRef,
        turn_id: str,
        started_ms: int,
        round_index: int,
        call_index: int,
        result: CallResult,
    ) -> CallResult:
        """Store the result of a call; return the one that counts: the first.

        A round that has been erased stays so; the result is then returned as it is.
        """
        name = f"result_{call_index}"
        key = round_key(ref, started_ms, turn_id, round_index)
        done, found = self._table.try_update(
            key,
            f"SET {name} = :result",
            f"attribute_exists(pk) AND attribute_not_exists({name})",
            {":result": {"S": msgspec.json.encode(result).decode()}},
        )
        if done or name not in found:
            return result
        return msgspec.json.decode(read_text(found, name), type=CallResult)

    def read_rounds(self, ref: SessionRef, turn_id: str, started_ms: int) -> list[ToolRound]:
        """Return the recorded rounds of a turn, oldest first."""
        first = round_key(ref, started_ms, turn_id, 0)
        last = f"{read_text(first, 'sk').rpartition('.')[0]}.~"
        pages = self._table.query_pages(read_text(first, "pk"), read_text(first, "sk"), last)
        return [round_from(item) for page in pages for item in page]
