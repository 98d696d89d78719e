"""What makes moto quick changes no answer: the same calls, with it and without."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table
from moto.server import ThreadedMotoServer

from samwire.services.aws import AwsServices
from samwire.services.moto_speed import _quick
from samwire.services.own_key import ACCESS_KEY_ID

KEYS = ["a", "a#1", "a#2", "b", "b#1", "c"]
CONDITIONS: list[tuple[str | None, list[str]]] = [
    (None, []),
    *((comparison, ["b"]) for comparison in ("=", "<", "<=", ">", ">=", "BEGINS_WITH")),
    ("BETWEEN", ["a#1", "b"]),
    ("begins_with", ["a#"]),
]


def table(range_key: str | None, kind: str = "S") -> Any:
    schema = [{"AttributeName": "pk", "KeyType": "HASH"}]
    attributes = [{"AttributeName": "pk", "AttributeType": "S"}]
    if range_key:
        schema.append({"AttributeName": range_key, "KeyType": "RANGE"})
        attributes.append({"AttributeName": range_key, "AttributeType": kind})
    make: Any = Table  # abstract to mypy, though moto itself makes them
    return make("t", "123456789012", "us-east-1", schema=schema, attr=attributes)


def answer(query: Callable[..., Any], target: Any, **call: Any) -> Any:
    given = {
        "hash_key": DynamoType({"S": "x"}),
        "range_comparison": None,
        "range_objs": [],
        "limit": None,
        "exclusive_start_key": None,
        "scan_index_forward": True,
        "projection_expressions": None,
        **call,
    }
    items, count, last = query(target, **given)
    return [item.to_json() for item in items], count, last


@pytest.mark.parametrize(("comparison", "values"), CONDITIONS, ids=str)
@pytest.mark.parametrize("forward", [True, False])
def test_conditions_on_a_string_key(
    comparison: str | None, values: list[str], forward: bool
) -> None:
    target = table("sk")
    for partition, key in itertools.product("xy", reversed(KEYS)):
        target.put_item({"pk": {"S": partition}, "sk": {"S": key}, "data": {"S": partition + key}})
    call = {
        "range_comparison": comparison and comparison.upper(),
        "range_objs": [DynamoType({"S": value}) for value in values],
        "scan_index_forward": forward,
    }
    expected = answer(Table.query, target, **call)
    assert answer(_quick(Table.query), target, **call) == expected
    assert expected[0]


def test_pages_of_a_query() -> None:
    target = table("sk")
    for key in KEYS:
        target.put_item({"pk": {"S": "x"}, "sk": {"S": key}})
    start, pages = None, []
    while True:
        call = {"limit": 4, "exclusive_start_key": start}
        found = answer(_quick(Table.query), target, **call)
        assert found == answer(Table.query, target, **call)
        pages.append(len(found[0]))
        start = found[2]
        if start is None:
            break
    assert pages == [4, 2]


def test_conditions_on_a_numeric_key() -> None:
    target = table("n", "N")
    for number in ("10", "9", "100"):
        target.put_item({"pk": {"S": "x"}, "n": {"N": number}})
    call = {"range_comparison": ">", "range_objs": [DynamoType({"N": "9"})]}
    items, _, _ = answer(_quick(Table.query), target, **call)
    assert [item["Attributes"]["n"]["N"] for item in items] == ["10", "100"]


@pytest.mark.parametrize(("partition", "count"), [("x", 1), ("nobody", 0)])
def test_a_table_without_a_sort_key(partition: str, count: int) -> None:
    target = table(None)
    target.put_item({"pk": {"S": "x"}})
    found, _, _ = answer(_quick(Table.query), target, hash_key=DynamoType({"S": partition}))
    assert len(found) == count


EVERY_KIND: dict[str, Any] = {
    "text": {"S": "a"},
    "empty": {"S": ""},
    "number": {"N": "-1.50"},
    "bytes": {"B": b"\x00\xff"},
    "texts": {"SS": ["b", "a"]},
    "numbers": {"NS": ["2", "1"]},
    "blobs": {"BS": [b"b", b"a"]},
    "nothing": {"NULL": True},
    "yes": {"BOOL": True},
    "no": {"BOOL": False},
    "list": {"L": [{"S": "x"}, {"M": {}}, {"L": []}]},
    "map": {"M": {"S": {"N": "1"}, "deep": {"M": {"b": {"B": b"q"}}}}},
}
KEY = {"pk": {"S": "p"}, "sk": {"S": "s"}}
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("put_item", {"Item": KEY | EVERY_KIND}),
    ("put_item", {"Item": KEY, "ConditionExpression": "attribute_not_exists(pk)"}),
    ("get_item", {"Key": KEY}),
    (
        "get_item",
        {
            "Key": KEY,
            "ProjectionExpression": "#m.deep, yes",
            "ExpressionAttributeNames": {"#m": "map"},
        },
    ),
    *[
        (
            "update_item",
            {"Key": KEY, "ReturnValues": "ALL_NEW", "UpdateExpression": change}
            | ({"ExpressionAttributeValues": values} if values else {}),
        )
        for change, values in [
            ("SET counted = :one ADD texts :more", {":one": {"N": "1"}, ":more": {"SS": ["c"]}}),
            ("SET counted = counted + :one", {":one": {"N": "1"}}),
            ("SET counted = counted + :one", {":one": {"N": "5"}}),
            ("SET fresh = if_not_exists(fresh, :b)", {":b": {"B": b"1"}}),
            ("SET fresh = if_not_exists(fresh, :b)", {":b": {"B": b"2"}}),
            ("REMOVE nothing DELETE texts :gone", {":gone": {"SS": ["a"]}}),
            ("SET", None),
            ("SET a = :unknown", None),
        ]
    ],
    *[
        (
            "update_item",
            {
                "Key": KEY,
                "UpdateExpression": "SET mood = :new",
                "ConditionExpression": condition,
                "ExpressionAttributeValues": {":new": {"S": new}, ":x": {"N": x}},
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            },
        )
        for condition in (
            "counted < :x AND (attribute_not_exists(mood) OR mood <> :new)",
            "counted BETWEEN :x AND :x OR contains(texts, :new)",
            "size(texts) < :x",
        )
        for new, x in (("good", "10"), ("good", "10"), ("bad", "0"))
    ],
    (
        "query",
        {
            "KeyConditionExpression": "pk = :pk AND begins_with(sk, :s)",
            "ExpressionAttributeValues": {":pk": {"S": "p"}, ":s": {"S": "s"}},
        },
    ),
    ("scan", {"FilterExpression": "attribute_exists(counted)"}),
    ("delete_item", {"Key": KEY, "ReturnValues": "ALL_OLD"}),
    ("get_item", {"Key": KEY}),
]


@pytest.fixture
async def both() -> AsyncIterator[tuple[Any, Any]]:
    """A table of moto as it comes, and one of the quick one."""
    plain, services = ThreadedMotoServer(port=0, verbose=False), AwsServices()
    plain.start()
    await services.start()
    host, port = plain.get_host_and_port()
    known = {
        "aws_access_key_id": ACCESS_KEY_ID,
        "aws_secret_access_key": services.key.secret,
        "region_name": "us-east-1",
    }
    clients = [
        boto3.client("dynamodb", endpoint_url=endpoint, **known)  # type: ignore[call-overload]
        for endpoint in (f"http://{host}:{port}", services.endpoint)
    ]
    for client in clients:
        client.create_table(
            TableName="t",
            KeySchema=[
                {"AttributeName": name, "KeyType": kind}
                for name, kind in (("pk", "HASH"), ("sk", "RANGE"))
            ],
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")
            ],
            BillingMode="PAY_PER_REQUEST",
        )
    yield clients[0], clients[1]
    clients[0].delete_table(TableName="t")  # it is in this process
    await services.stop()
    plain.stop()


def said(client: Any, call: str, arguments: dict[str, Any]) -> Any:
    try:
        answered = dict(getattr(client, call)(TableName="t", **arguments))
    except ClientError as error:
        answered = {**error.response}
    answered.pop("ResponseMetadata")
    return answered


def writing(kind: str, sk: str, **more: Any) -> dict[str, Any]:
    """One part of a transaction."""
    key = {"pk": {"S": "p"}, "sk": {"S": sk}}
    item = {"Item": key | more.pop("item")} if kind == "Put" else {"Key": key}
    return {kind: {"TableName": "t", **item, **more}}


IS_THERE = {"ConditionExpression": "attribute_exists(pk)"}
COUNTED = {
    "UpdateExpression": "SET n = if_not_exists(n, :one) + :one, m.#d = :one",
    "ExpressionAttributeNames": {"#d": "deep"},
    "ExpressionAttributeValues": {":one": {"N": "1"}},
}
COUNTED_NEW = {
    "UpdateExpression": "ADD n :one",
    "ExpressionAttributeValues": {":one": {"N": "1"}},
}
TRANSACTIONS: list[list[dict[str, Any]]] = [
    [
        writing("Put", "a", item={"n": {"N": "1"}, "m": {"M": {"deep": {"N": "7"}}}}),
        writing("Put", "b", item={"text": {"S": "x"}}),
    ],
    [
        writing("Update", "a", **COUNTED),
        writing("Delete", "b"),
        writing("Delete", "no", **IS_THERE),
    ],
    [writing("Update", "new", **COUNTED_NEW), writing("ConditionCheck", "no", **IS_THERE)],
    [
        writing("Put", "a", item={"n": {"N": "9"}}),
        writing("Update", "no", **COUNTED_NEW, **IS_THERE),
    ],
    [writing("Put", "c", item={"n": {"N": "9"}}), writing("Put", "c", item={"n": {"N": "8"}})],
    [writing("Update", "a", **COUNTED), writing("ConditionCheck", "b", **IS_THERE)],
    [writing("Delete", "a"), writing("Put", "d", item={"n": {"N": "1"}})],
    [writing("Update", "d", UpdateExpression="SET a = :unknown")],
]


async def test_a_transaction_is_done_or_undone_as_by_moto_as_it_comes(
    both: tuple[Any, Any],
) -> None:
    refused = 0
    for items in TRANSACTIONS:
        answers = []
        for client in both:
            try:
                client.transact_write_items(TransactItems=items)
                answers.append("done")
            except ClientError as error:
                answers.append(f"{error} {error.response.get('CancellationReasons')}")
        assert answers[0] == answers[1]
        refused += answers[0] != "done"
        plain, quick = (client.scan(TableName="t")["Items"] for client in both)
        assert plain == quick
    assert refused == 5


async def test_an_item_is_refused_at_the_size_at_which_moto_refuses_it(
    both: tuple[Any, Any],
) -> None:
    for size in (199_000, 201_000, 400_000, 404_900, 405_000, 410_000):
        item = KEY | {"a": {"S": "x" * (size // 2)}, "b": {"S": "\u00e9" * (size // 4)}}
        answers = [said(client, "put_item", {"Item": item}) for client in both]
        assert answers[0] == answers[1]
    assert "Error" in answers[0]


async def test_every_call_is_answered_as_by_moto_as_it_comes(both: tuple[Any, Any]) -> None:
    plain, quick = both
    errors = 0
    for call, arguments in CALLS:
        expected = said(plain, call, arguments)
        assert said(quick, call, arguments) == expected, (call, arguments)
        errors += "Error" in expected
    assert errors >= 5
