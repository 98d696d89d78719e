"""What makes moto quick changes no answer: the same queries, with it and without."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table

from local.services.moto_speed import _quick

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
