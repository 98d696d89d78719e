"""The relay in front of the table counts as AWS bills, and changes nothing on the way."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from benchmarks.billed_table import BilledRelay, kind_of, value_bytes
from parley.storage.table import Table
from tests import moto_table
from tests.moto_table import create_table


def client(url: str) -> Any:
    return boto3.client(
        "dynamodb",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="t",
        aws_secret_access_key="t",
    )


@pytest.fixture(scope="module")
def upstream() -> Any:
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@contextlib.asynccontextmanager
async def counted(upstream: str) -> AsyncIterator[tuple[BilledRelay, Table]]:
    own = client(upstream)
    with contextlib.suppress(own.exceptions.ResourceInUseException):
        await asyncio.to_thread(create_table, own)
    relay = BilledRelay(["TurnFunction"])
    async with relay.running():
        relay.lead_to(upstream, own)
        url = relay.urls["TurnFunction"]
        yield relay, Table(moto_table.client("dynamodb", endpoint_url=url), "table")


def item(sk: str, size: int, pk: str = "SESSION#s") -> dict[str, Any]:
    empty = len("pk") + len(pk) + len("sk") + len(sk) + len("data")
    return {"pk": {"S": pk}, "sk": {"S": sk}, "data": {"B": b"x" * (size - empty)}}


def key(sk: str) -> dict[str, Any]:
    return {"pk": {"S": "SESSION#s"}, "sk": {"S": sk}}


async def test_writes_cost_a_unit_for_each_kb_of_the_larger(upstream: str) -> None:
    async with counted(upstream) as (relay, table):
        chunk = "TURN#t#IN#audio#000001"
        await asyncio.to_thread(table.put, item(chunk, 1024))
        await relay.settled()
        assert relay.bill.take().writes == {("TurnFunction", "inbox: audio", "PutItem"): 1}
        await asyncio.to_thread(table.put, item(chunk, 1025))
        await relay.settled()
        assert relay.bill.take().writes.total() == 2
        await asyncio.to_thread(table.put, item(chunk, 100))
        await relay.settled()
        assert relay.bill.take().writes.total() == 2, "of what was there before"
        await asyncio.to_thread(table.delete, key(chunk))
        await relay.settled()
        assert relay.bill.take().writes.total() == 1


async def test_an_update_costs_by_the_whole_item(upstream: str) -> None:
    async with counted(upstream) as (relay, table):
        await asyncio.to_thread(table.put, item("META", 3000))
        await relay.settled()
        relay.bill.take()
        values = {":n": {"N": "1"}}
        await asyncio.to_thread(table.update, key("META"), "SET n = :n", "", {}, values)
        await relay.settled()
        assert relay.bill.take().writes == {("TurnFunction", "session", "UpdateItem"): 3}
        held = await asyncio.to_thread(
            table.update, key("META"), "SET n = :n", "attribute_not_exists(pk)", {}, values
        )
        assert held is None
        await relay.settled()
        assert relay.bill.take().writes.total() == 3, "a condition that fails costs as much"


async def test_a_transaction_costs_twice(upstream: str) -> None:
    async with counted(upstream) as (relay, table):
        items = [item("MESSAGE#a", 900), item("MESSAGE#b", 1900)]
        await asyncio.to_thread(table.put_together, items)
        await relay.settled()
        assert relay.bill.take().writes.total() == 2 * (1 + 2)


async def test_reads_cost_what_is_read_also_where_it_is_left_out(upstream: str) -> None:
    async with counted(upstream) as (relay, table):
        for number in range(3):
            await asyncio.to_thread(table.put, item(f"TURN#u#IN#audio#00000{number}", 3000))
        await relay.settled()
        relay.bill.take()

        def read(first: str, attributes: tuple[str, ...] = ()) -> None:
            list(table.query_pages("SESSION#s", first, "TURN#u#IN#~", attributes))

        await asyncio.to_thread(read, "TURN#u#IN#")
        await asyncio.to_thread(read, "TURN#u#IN#", ("sk",))
        await asyncio.to_thread(read, "TURN#u#IN#x")
        await relay.settled()
        assert relay.bill.take().reads == {
            ("TurnFunction", "inbox: poll", "Query"): 6,
            ("TurnFunction", "inbox: empty poll", "Query"): 1,
        }
        await asyncio.to_thread(table.get, key("TURN#u#IN#audio#000000"))
        await asyncio.to_thread(table.get, key("not there"))
        await relay.settled()
        assert relay.bill.take().reads.total() == 2


async def test_calls_of_several_threads_are_all_counted(upstream: str) -> None:
    async with counted(upstream) as (relay, table):
        threads = [
            threading.Thread(target=table.put, args=(item(f"MESSAGE#{n}", 500),)) for n in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            await asyncio.to_thread(thread.join)
        await relay.settled()
        assert relay.bill.take().writes == {("TurnFunction", "history", "PutItem"): 8}


@pytest.mark.parametrize(
    ("pk", "sk", "kind"),
    [
        ("SESSION#a", "TURN#t#META", "turn and its lease"),
        ("SESSION#a", "TURN#t#IN#received", "inbox: received"),
        ("LIMIT#a", "CONNECTIONS#0", "connection slots"),
        ("LIMIT#a", "USAGE", "limits"),
        ("OWNER#a", "SESSION#s", "owner's list"),
        ("CONNECTION#a", "META", "connection"),
    ],
)
def test_items_are_known_by_their_keys(pk: str, sk: str, kind: str) -> None:
    assert kind_of(pk, sk) == kind


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ({"S": "aé"}, 3),
        ({"N": "-12.345"}, 4),
        ({"B": "AAAA"}, 3),
        ({"BOOL": True}, 1),
        ({"L": [{"S": "a"}]}, 5),
        ({"M": {"k": {"S": "ab"}}}, 7),
    ],
)
def test_sizes_are_those_of_the_service(value: dict[str, Any], size: int) -> None:
    assert value_bytes(value) == size
