"""What the turns of a session have used, and their sum.

A turn's use is written once, with its reply, as a part of its metrics: that costs no write. An
attempt whose reply is not kept has an item of its own instead. Each attempt counts once, wherever
it is found, so no repeated write and no answer that was lost makes the sum wrong.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from parley.principal import SessionRef
from parley.protocol.messages import Metrics, Usage
from parley.storage.item_codec import encode_json, number, read_number, read_text
from parley.storage.table import Item, Table

MAX_PAGES = 8
"""The most pages of a history that are read for a sum, of 1 MB each ("Query", DynamoDB API
Reference)."""
_SUMMED = tuple(
    name for name in Usage.__struct_fields__ if name not in ("turns", "tokens_estimated")
)
_ATTRIBUTES = ("turn_id", "attempt", "metrics")


def usage_item(ref: SessionRef, turn_id: str, attempt: int, metrics: Metrics) -> dict[str, Any]:
    """Return the item of an attempt whose reply is not kept."""
    return {
        "pk": {"S": f"SESSION#{ref}"},
        "sk": {"S": f"USE#{turn_id}#{attempt:03d}"},
        "turn_id": {"S": turn_id},
        "attempt": number(attempt),
        "metrics": {"S": encode_json(metrics)},
    }


def sum_usage(items: Iterable[Item]) -> Usage:
    """Return what was used, of a history's items and of those that `usage_item` makes.

    An attempt counts once.
    """
    metrics: dict[tuple[str, int], Metrics] = {}
    for item in items:
        if found := read_text(item, "metrics"):
            attempt = (read_text(item, "turn_id"), read_number(item, "attempt"))
            metrics[attempt] = msgspec.json.decode(found, type=Metrics)
    usage = Usage(turns=len({turn_id for turn_id, _ in metrics}))
    for each in metrics.values():
        for name in _SUMMED:
            setattr(usage, name, getattr(usage, name) + (getattr(each, name) or 0))
        usage.tokens_estimated = usage.tokens_estimated or bool(each.tokens_estimated)
    return usage


class UsageStore:
    """Keeps what attempts have used, and adds it up."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def put(self, ref: SessionRef, turn_id: str, attempt: int, metrics: Metrics) -> None:
        """Keep what an attempt has used whose reply is not kept."""
        self._table.put(usage_item(ref, turn_id, attempt, metrics))

    def keep_of_reply(self, ref: SessionRef, message_key: str) -> None:
        """Keep what the attempt has used whose reply is about to be deleted."""
        pk = f"SESSION#{ref}"
        reply = self._table.get({"pk": {"S": pk}, "sk": {"S": message_key}})
        if reply is None or "metrics" not in reply:
            return
        found = msgspec.json.decode(read_text(reply, "metrics"), type=Metrics)
        self.put(ref, read_text(reply, "turn_id"), read_number(reply, "attempt"), found)

    def read(self, ref: SessionRef) -> Usage | None:
        """Return what a session's turns have used; None if its history is too long to add up."""
        pk = f"SESSION#{ref}"
        history = self._table.query_pages(pk, "MESSAGE#", "MESSAGE#~", _ATTRIBUTES)
        items: list[Item] = []
        for count, page in enumerate(itertools.chain(history, self._apart(ref))):
            if count == MAX_PAGES:
                return None
            items += page
        return sum_usage(items)

    def add_up(self, ref: SessionRef, history: Iterable[Item]) -> Usage:
        """Return what a session's turns have used, whose history has been read."""
        return sum_usage([*history, *itertools.chain.from_iterable(self._apart(ref))])

    def _apart(self, ref: SessionRef) -> Iterator[list[Item]]:
        """Yield the items of attempts whose replies are not kept."""
        return self._table.query_pages(f"SESSION#{ref}", "USE#", "USE#~", _ATTRIBUTES)
