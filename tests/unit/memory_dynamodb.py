"""A DynamoDB client over dictionaries: as quick as unit tests want it, one write at a time.

The tests of the stores and of the limits run over it and over moto, and show that nobody can tell
them apart. It answers a query in one page, whatever its size.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import Any

from parley.aws.failures import ServiceError
from parley.storage.table import BATCH_ITEMS, Table
from tests.unit.expressions import Item, holds, updated

_RANGE = "pk = :pk AND sk BETWEEN :first AND :last"


class MemoryDynamoDB:
    """The calls that `Table` makes, on one table of the name `table`."""

    def __init__(self) -> None:
        self._partitions: defaultdict[str, dict[str, Item]] = defaultdict(dict)
        self._lock = threading.RLock()

    @property
    def table(self) -> Table:
        """The table, over this client."""
        return Table(self, "table")  # type: ignore[arg-type]  # no whole client

    def items(self, pk: str = "", sk: str = "") -> list[Item]:
        """Return the items whose keys begin with this, in their order."""
        with self._lock:
            return [
                dict(item)
                for partition, items in sorted(self._partitions.items())
                if partition.startswith(pk)
                for key, item in sorted(items.items())
                if key.startswith(sk)
            ]

    def get_item(self, *, TableName: str, Key: Item, **_: Any) -> dict[str, Any]:
        with self._lock:
            found = self._read(TableName, Key)
        return {"Item": found} if found else {}

    def batch_get_item(self, *, RequestItems: dict[str, Any]) -> dict[str, Any]:
        ((name, asked),) = RequestItems.items()
        with self._lock:
            found = [self._read(name, key) for key in asked["Keys"]]
        return {"Responses": {name: [_project(item, asked) for item in found if item]}}

    def query(self, *, TableName: str, **request: Any) -> dict[str, Any]:
        assert request["KeyConditionExpression"] == _RANGE
        pk, first, last = (
            request["ExpressionAttributeValues"][name]["S"] for name in (":pk", ":first", ":last")
        )
        with self._lock:
            self._check(TableName)
            kept = self._partitions.get(pk, {})
            keys = sorted(key for key in kept if first <= key <= last)
            if not request.get("ScanIndexForward", True):
                keys.reverse()
            found = [dict(kept[key]) for key in keys[: request.get("Limit")]]
        return {"Items": [_project(item, request) for item in found]}

    def put_item(self, *, TableName: str, Item: Item, **request: Any) -> dict[str, Any]:
        with self._lock:
            self._require("PutItem", self._read(TableName, Item), request)
            self._write(Item)
        return {}

    def update_item(
        self,
        *,
        TableName: str,
        Key: Item,
        UpdateExpression: str,
        ReturnValues: str = "NONE",
        **request: Any,
    ) -> dict[str, Any]:
        with self._lock:
            before = self._read(TableName, Key)
            self._require("UpdateItem", before, request)
            after = updated(UpdateExpression, before or Key, *_placeholders(request))
            self._write(after)
        returned = {"ALL_NEW": dict(after), "ALL_OLD": before, "NONE": {}}[ReturnValues]
        return {"Attributes": returned} if returned else {}

    def delete_item(self, *, TableName: str, Key: Item, **_: Any) -> dict[str, Any]:
        with self._lock:
            before = self._read(TableName, Key)
            self._delete(Key)
        return {"Attributes": before} if before else {}

    def batch_write_item(self, *, RequestItems: dict[str, Any]) -> dict[str, Any]:
        ((name, requests),) = RequestItems.items()
        puts = [each["PutRequest"]["Item"] for each in requests if "PutRequest" in each]
        deletes = [each["DeleteRequest"]["Key"] for each in requests if "DeleteRequest" in each]
        keys = {(key["pk"]["S"], key["sk"]["S"]) for key in (*puts, *deletes)}
        if not len(keys) == len(requests) <= BATCH_ITEMS:
            raise _error("BatchWriteItem", "ValidationException")
        with self._lock:
            self._check(name)
            for item in puts:
                self._write(item)
            for key in deletes:
                self._delete(key)
        return {}

    def transact_write_items(self, *, TransactItems: list[Any]) -> dict[str, Any]:
        with self._lock:
            actions = [next(iter(each.items())) for each in TransactItems]
            codes = [self._refusal(kind, request) for kind, request in actions]
            if codes != ["None"] * len(codes):
                raise _cancelled(codes)
            for kind, request in actions:
                if kind == "Put":
                    self.put_item(**request)
                else:
                    self.update_item(**request)
        return {}

    def _refusal(self, kind: str, request: dict[str, Any]) -> str:
        """Return the code for which an action cancels its transaction; `None` as text if none."""
        key = request["Key"] if kind == "Update" else request["Item"]
        try:
            self._require(kind, self._read(request["TableName"], key), request)
        except ServiceError:
            return "ConditionalCheckFailed"
        return "None"

    def _check(self, name: str) -> None:
        if name != "table":
            raise _error("", "ResourceNotFoundException")

    def _read(self, name: str, key: Item) -> Item:
        self._check(name)
        return dict(self._partitions.get(key["pk"]["S"], {}).get(key["sk"]["S"], {}))

    def _write(self, item: Item) -> None:
        self._partitions[item["pk"]["S"]][item["sk"]["S"]] = dict(item)

    def _delete(self, key: Item) -> None:
        self._partitions[key["pk"]["S"]].pop(key["sk"]["S"], None)

    def _require(self, operation: str, item: Item, request: dict[str, Any]) -> None:
        """Raise if the condition does not hold."""
        if not holds(request.get("ConditionExpression", ""), item, *_placeholders(request)):
            raise _error(operation, "ConditionalCheckFailedException", item)


def _placeholders(request: dict[str, Any]) -> tuple[dict[str, str], Item]:
    names = request.get("ExpressionAttributeNames", {})
    return names, request.get("ExpressionAttributeValues", {})


def _project(item: Item, request: dict[str, Any]) -> Item:
    if "ProjectionExpression" not in request:
        return item
    names = request["ExpressionAttributeNames"].values()
    return {name: item[name] for name in names if name in item}


def _cancelled(codes: list[str]) -> ServiceError:
    response: Any = {
        "Error": {"Code": "TransactionCanceledException", "Message": ""},
        "CancellationReasons": [{"Code": code} for code in codes],
    }
    return ServiceError(response, "TransactWriteItems")


def _error(operation: str, code: str, item: Item | None = None) -> ServiceError:
    response: Any = {"Error": {"Code": code, "Message": code}, "Item": item or {}}
    return ServiceError(response, operation)
