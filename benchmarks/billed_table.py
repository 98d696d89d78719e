"""A relay to the local DynamoDB that counts what AWS bills: units, by kind of item and function.

By the rules of "DynamoDB read and write operations" and "DynamoDB item sizes and formats": a write
unit for each KB that is begun of the larger of an item before and after, also where its condition
fails; a read unit for each 4 KB of what is read consistently, at least one, and half of it
otherwise; twice as much in a transaction. What a projection leaves out has been read all the same.

The relay knows the items from what it has passed on. Of one that an expression has changed it reads
the size from the table afterwards, with a key of its own: that is no call of Parley's.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import math
import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import aiohttp
from aiohttp import web

ENDED_BY_THE_TRANSPORT = ("transfer-encoding", "content-length", "connection")
READ_UNIT_BYTES, WRITE_UNIT_BYTES = 4096, 1024
Item = dict[str, Any]
Key = tuple[str, str]
_TURN_KINDS = {"IN": "inbox", "META": "turn and its lease", "ANSWER": "answer over HTTP"}
_SESSION_KINDS = {
    "META": "session",
    "CONNECTION": "connection of a session",
    "MESSAGE": "history",
    "OUT": "undelivered event",
    "NOTE": "backend's words",
    "USE": "usage",
}


def value_bytes(value: Mapping[str, Any]) -> int:
    """Return the size of an attribute's value, as the service counts it."""
    ((kind, content),) = value.items()
    if kind == "S":
        return len(content.encode())
    if kind == "N":  # two digits a byte, and one for the sign and the magnitude
        return math.ceil(len(str(content).strip("-").replace(".", "")) / 2) + 1
    if kind == "B":
        return len(base64.b64decode(content))
    if kind in ("BOOL", "NULL"):
        return 1
    if kind in ("SS", "NS", "BS"):
        return sum(value_bytes({kind[0]: each}) for each in content)
    if kind == "L":
        return 3 + sum(1 + value_bytes(each) for each in content)
    if kind == "M":
        return 3 + sum(1 + len(name.encode()) + value_bytes(each) for name, each in content.items())
    raise ValueError(f"no type of DynamoDB: {kind}")


def item_bytes(item: Mapping[str, Any]) -> int:
    """Return the size of an item, as the service counts it."""
    return sum(len(name.encode()) + value_bytes(value) for name, value in item.items())


def write_units(before_bytes: int, after_bytes: int) -> int:
    """Return what a write of an item costs."""
    return max(1, math.ceil(max(before_bytes, after_bytes) / WRITE_UNIT_BYTES))


def read_units(read_bytes: int, *, consistent: bool) -> float:
    """Return what a read costs."""
    return max(1, math.ceil(read_bytes / READ_UNIT_BYTES)) * (1.0 if consistent else 0.5)


def kind_of(pk: str, sk: str) -> str:
    """Return what an item is, by its key (docs/storage.md)."""
    if pk.startswith("LIMIT#"):
        return "connection slots" if sk.startswith("CONNECTIONS") else "limits"
    if not pk.startswith("SESSION#"):
        return {"CONNECTION": "connection", "OWNER": "owner's list"}.get(pk.split("#")[0], pk[:12])
    first, *rest = sk.split("#")
    if first != "TURN" or len(rest) < 2:
        return _SESSION_KINDS.get(first, first)
    kind = _TURN_KINDS.get(rest[1], rest[1])
    return f"inbox: {rest[2]}" if rest[1] == "IN" and len(rest) > 2 and rest[2] else kind


@dataclass
class TableBill:
    """What was used, by function, kind of item and operation.

    Attributes:
        writes, reads: units.
        calls: how often each operation was called.
    """

    writes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    reads: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    calls: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def take(self) -> TableBill:
        """Return what was used since the last time."""
        taken = TableBill(self.writes.copy(), self.reads.copy(), self.calls.copy())
        for counter in (self.writes, self.reads, self.calls):
            counter.clear()
        return taken


class BilledRelay:
    """Passes calls of the table on, and keeps the bill.

    Args:
        functions: each gets a URL of its own, by which its calls are known.
    """

    def __init__(self, functions: Sequence[str]) -> None:
        self._functions = functions
        self._sizes: dict[Key, int] = {}
        self._upstream = ""
        self._own: Any = None
        self._behind: set[asyncio.Task[None]] = set()
        self.bill = TableBill()
        self.urls: dict[str, str] = {}

    def lead_to(self, upstream: str, own: Any) -> None:
        """Say where the table is.

        Args:
            upstream: URL of the local DynamoDB.
            own: a boto3 client of it.
        """
        self._upstream, self._own = upstream.rstrip("/"), own

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Pass calls on until the block ends."""
        runners = []
        async with aiohttp.ClientSession(auto_decompress=False) as self._session:
            try:
                for function in self._functions:
                    app = web.Application(client_max_size=1 << 24)
                    app.router.add_route("*", "/{path:.*}", partial(self._pass, function))
                    runner = web.AppRunner(app, access_log=None, keepalive_timeout=3600)
                    runners.append(runner)
                    await runner.setup()
                    await web.TCPSite(runner, "127.0.0.1", 0).start()
                    self.urls[function] = f"http://127.0.0.1:{runner.addresses[0][1]}"
                yield
            finally:
                for runner in runners:
                    await runner.cleanup()

    async def settled(self) -> None:
        """Wait until everything that was passed on has been counted."""
        while self._behind:
            await asyncio.gather(*self._behind)

    async def _pass(self, function: str, request: web.Request) -> web.Response:
        sent = await request.read()
        # The host stays as it was signed.
        async with self._session.request(
            request.method, self._upstream + request.path_qs, headers=request.headers, data=sent
        ) as answer:
            headers = {
                name: value
                for name, value in answer.headers.items()
                if name.lower() not in ENDED_BY_THE_TRANSPORT
            }
            body = await answer.read()
        operation = request.headers.get("X-Amz-Target", "").partition(".")[2]
        counting = self._count(function, operation, sent, body, answer.status)
        task = asyncio.create_task(counting)
        self._behind.add(task)
        task.add_done_callback(self._behind.discard)
        return web.Response(status=answer.status, headers=headers, body=body)

    async def _count(
        self, function: str, operation: str, sent: bytes, body: bytes, status: int
    ) -> None:
        asked: dict[str, Any] = json.loads(sent)
        answer: dict[str, Any] = json.loads(body) if body else {}
        method = getattr(self, "_" + re.sub("(?<!^)(?=[A-Z])", "_", operation).lower(), None)
        if method is None:
            raise NotImplementedError(operation)
        await method(function, operation, asked, answer if status == 200 else {})

    # --- reads ----------------------------------------------------------------------

    def _read(self, function: str, kind: str, operation: str, units: float) -> None:
        at = (function, kind, operation)
        self.bill.reads[at] += units  # type: ignore[assignment]  # halves, where not consistent
        self.bill.calls[at] += 1

    async def _get_item(self, function: str, operation: str, asked: Item, answer: Item) -> None:
        key = _key(asked["Key"])
        size = self._sizes.get(key, 0)
        if "ProjectionExpression" not in asked:
            size = item_bytes(answer.get("Item", {}))
        units = read_units(size, consistent=asked.get("ConsistentRead", False))
        self._read(function, kind_of(*key), operation, units)

    async def _batch_get_item(
        self, function: str, operation: str, asked: Item, answer: Item
    ) -> None:
        for request in asked["RequestItems"].values():
            for each in map(_key, request["Keys"]):
                units = read_units(
                    self._sizes.get(each, 0), consistent=request.get("ConsistentRead", False)
                )
                self._read(function, kind_of(*each), operation, units)

    async def _query(self, function: str, operation: str, asked: Item, answer: Item) -> None:
        items = answer.get("Items", [])
        if items and ("ProjectionExpression" in asked or "FilterExpression" in asked):
            whole = await asyncio.to_thread(self._whole_query, asked)
            size = sum(map(item_bytes, whole))
        else:
            size = sum(map(item_bytes, items))
        values = [v["S"] for v in asked["ExpressionAttributeValues"].values() if "S" in v]
        pk = next((v for v in values if v.split("#")[0] in ("SESSION", "OWNER", "LIMIT")), "")
        sk = min((v for v in values if v != pk), default="")
        kind = kind_of(pk, sk)
        if kind.startswith("inbox"):
            kind = "inbox: poll" if items else "inbox: empty poll"
        units = read_units(size, consistent=asked.get("ConsistentRead", False))
        self._read(function, kind, operation, units)

    def _whole_query(self, asked: Item) -> list[Item]:
        request = {k: v for k, v in asked.items() if not k.startswith(("Projection", "Filter"))}
        names = request.pop("ExpressionAttributeNames", {})
        used = {n: v for n, v in names.items() if n in request["KeyConditionExpression"]}
        if used:
            request["ExpressionAttributeNames"] = used
        found: list[Item] = self._own.query(**request)["Items"]
        return [_as_json(item) for item in found]

    # --- writes ---------------------------------------------------------------------

    def _write(self, function: str, key: Key, operation: str, after: int, times: int = 1) -> None:
        at = (function, kind_of(*key), operation)
        self.bill.writes[at] += times * write_units(self._sizes.get(key, 0), after)
        self.bill.calls[at] += 1
        self._sizes[key] = after

    async def _size_now(self, table: str, key: Item) -> int:
        found = await asyncio.to_thread(
            self._own.get_item, TableName=table, Key=key, ConsistentRead=True
        )
        return item_bytes(_as_json(found.get("Item", {})))

    async def _put_item(self, function: str, operation: str, asked: Item, answer: Item) -> None:
        key, done = _key(asked["Item"]), answer != {} or "ConditionExpression" not in asked
        if not done:  # an answer to a write that was done may be empty too
            kept = await self._size_now(asked["TableName"], _only_key(asked["Item"]))
            return self._write(function, key, operation, kept)
        return self._write(function, key, operation, item_bytes(asked["Item"]))

    async def _update_item(self, function: str, operation: str, asked: Item, answer: Item) -> None:
        after = await self._size_now(asked["TableName"], asked["Key"])
        self._write(function, _key(asked["Key"]), operation, after)

    async def _delete_item(self, function: str, operation: str, asked: Item, answer: Item) -> None:
        self._write(function, _key(asked["Key"]), operation, 0)

    async def _batch_write_item(
        self, function: str, operation: str, asked: Item, answer: Item
    ) -> None:
        for requests in asked["RequestItems"].values():
            for each in requests:
                if "PutRequest" in each:
                    item = each["PutRequest"]["Item"]
                    self._write(function, _key(item), operation, item_bytes(item))
                else:
                    self._write(function, _key(each["DeleteRequest"]["Key"]), operation, 0)

    async def _transact_write_items(
        self, function: str, operation: str, asked: Item, answer: Item
    ) -> None:
        for action in asked["TransactItems"]:
            ((_, part),) = action.items()
            key = _only_key(part.get("Item") or part["Key"])
            after = await self._size_now(part["TableName"], key)
            self._write(function, _key(key), operation, after, times=2)


def _key(item: Item) -> Key:
    return item["pk"]["S"], item["sk"]["S"]


def _only_key(item: Item) -> Item:
    return {name: item[name] for name in ("pk", "sk")}


def _as_json(item: Item) -> Item:
    """Return what boto3 has read as it was on the wire: binary values in base64."""
    return {
        name: {
            kind: base64.b64encode(v).decode() if kind == "B" else v for kind, v in value.items()
        }
        for name, value in item.items()
    }
