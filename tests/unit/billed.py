"""A DynamoDB client that counts what the service bills: units, by the size of what is touched.

By the rules of "DynamoDB read and write operations" and "DynamoDB item sizes and formats": a write
unit for each KB that is begun of the larger of an item before and after, also where its condition
fails; a read unit for each 4 KB of what is read consistently, at least one; twice as much in a
transaction.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from typing import Any

from parley.storage.table import Table


@dataclass
class Bill:
    """Units that were used."""

    writes: int = 0
    reads: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock, compare=False, repr=False)

    def add(self, writes: int = 0, reads: int = 0) -> None:
        """More was used; by any thread."""
        with self.lock:
            self.writes += writes
            self.reads += reads

    def clear(self) -> None:
        """Begin anew."""
        self.writes = self.reads = 0


class BilledClient:
    """Passes calls on to another client, and keeps the bill."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.bill = Bill()

    @property
    def table(self) -> Table:
        """The table, over this client."""
        return Table(self, "table")  # type: ignore[arg-type]  # no whole client

    def get_item(self, **request: Any) -> Any:
        answer = self._client.get_item(**request)
        self.bill.add(reads=_read_units([answer.get("Item", {})]))
        return answer

    def query(self, **request: Any) -> Any:
        whole = {k: v for k, v in request.items() if not k.startswith("Projection")}
        names = whole.pop("ExpressionAttributeNames", None)
        if names is not None and "#" in whole["KeyConditionExpression"]:
            whole["ExpressionAttributeNames"] = names
        # What is left out of the answer has been read all the same.
        self.bill.add(reads=_read_units(self._client.query(**whole)["Items"]))
        return self._client.query(**request)

    def batch_get_item(self, **request: Any) -> Any:
        answer = self._client.batch_get_item(**request)
        (keys,) = (asked["Keys"] for asked in request["RequestItems"].values())
        found = [self._now(key) for key in keys]
        self.bill.add(reads=sum(_read_units([item]) for item in found))
        return answer

    def put_item(self, **request: Any) -> Any:
        return self._written(request["Item"], self._client.put_item, request)

    def update_item(self, **request: Any) -> Any:
        return self._written(request["Key"], self._client.update_item, request)

    def delete_item(self, **request: Any) -> Any:
        return self._written(request["Key"], self._client.delete_item, request)

    def batch_write_item(self, **request: Any) -> Any:
        (parts,) = request["RequestItems"].values()
        keys = [next(iter(part.values())) for part in parts]
        keys = [key.get("Item") or key["Key"] for key in keys]
        before = [_size(self._now(key)) for key in keys]
        answer = self._client.batch_write_item(**request)
        after = [_size(self._now(key)) for key in keys]
        self.bill.add(writes=sum(map(_write_units, before, after)))
        return answer

    def transact_write_items(self, **request: Any) -> Any:
        answer = self._client.transact_write_items(**request)
        for part in request["TransactItems"]:
            size = _size(part["Put"]["Item"])
            self.bill.add(writes=2 * _write_units(size, size))
        return answer

    def _written(self, key: Any, write: Any, request: Any) -> Any:
        before = _size(self._now(key))
        try:
            return write(**request)
        finally:
            self.bill.add(writes=_write_units(before, _size(self._now(key))))

    def _now(self, item: Any) -> dict[str, Any]:
        key = {name: item[name] for name in ("pk", "sk")}
        found = self._client.get_item(TableName="table", Key=key, ConsistentRead=True)
        return dict(found.get("Item", {}))


def _write_units(before: int, after: int) -> int:
    return max(1, math.ceil(max(before, after) / 1024))


def _read_units(items: list[dict[str, Any]]) -> int:
    return max(1, math.ceil(sum(map(_size, items)) / 4096))


def _size(item: dict[str, Any]) -> int:
    return sum(len(name.encode()) + _value_size(value) for name, value in item.items())


def _value_size(value: dict[str, Any]) -> int:
    ((kind, content),) = value.items()
    if kind == "S":
        return len(content.encode())
    if kind == "N":  # two digits a byte, and one for the sign and the magnitude
        return math.ceil(len(str(content).strip("-").replace(".", "")) / 2) + 1
    if kind == "B":
        return len(bytes(content))
    if kind == "SS":
        return sum(len(each.encode()) for each in content)
    raise NotImplementedError(kind)
