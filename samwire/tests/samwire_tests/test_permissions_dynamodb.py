"""Which permissions on which table a call of DynamoDB needs."""

from __future__ import annotations

from typing import Any

import pytest

from samwire.permissions.calls.dynamodb import DynamoDbCalls
from samwire_tests.signed_calls import ACCOUNT, json_call, needed

TABLE = f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/music"
OTHER = TABLE.replace("music", "films")
KEY = {"artist": {"S": "Abba"}}


def hash_key(region: str, table: str, index: str) -> str | None:
    assert region == "eu-west-1"
    return {"music": "artist", "films": "title"}.get(table) if not index else "year"


@pytest.mark.parametrize(
    ("operation", "members", "expected"),
    [
        ("PutItem", {"TableName": "music"}, [("PutItem", TABLE)]),
        ("PutItem", {"TableName": TABLE}, [("PutItem", TABLE)]),
        ("Query", {"TableName": "music", "IndexName": "i"}, [("Query", f"{TABLE}/index/i")]),
        (
            "BatchGetItem",
            {"RequestItems": {"music": {"Keys": [KEY]}, "films": {"Keys": []}}},
            [("BatchGetItem", TABLE), ("BatchGetItem", OTHER)],
        ),
        (
            "BatchWriteItem",
            {"RequestItems": {"music": [{"PutRequest": {"Item": KEY}}]}},
            [("BatchWriteItem", TABLE)],
        ),
        (
            "TransactWriteItems",
            {
                "TransactItems": [
                    {"Put": {"TableName": "music", "Item": KEY}},
                    {"Delete": {"TableName": "films", "Key": {}}},
                    {"ConditionCheck": {"TableName": "music", "Key": KEY}},
                    {"Update": {"TableName": "music", "Key": KEY}},
                ]
            },
            [
                ("PutItem", TABLE),
                ("DeleteItem", OTHER),
                ("ConditionCheckItem", TABLE),
                ("UpdateItem", TABLE),
            ],
        ),
        (
            "TransactGetItems",
            {"TransactItems": [{"Get": {"TableName": "music", "Key": KEY}}]},
            [("GetItem", TABLE)],
        ),
        ("ListTables", {}, [("ListTables", TABLE.replace("music", "*"))]),
        ("TagResource", {"ResourceArn": TABLE}, [("TagResource", TABLE)]),
        ("DescribeLimits", {}, [("DescribeLimits", "*")]),
        (
            "ExecuteStatement",
            {"Statement": 'SELECT * FROM "music"."i" WHERE artist = ?'},
            [("PartiQLSelect", f"{TABLE}/index/i")],
        ),
        (
            "ExecuteStatement",
            {"Statement": "INSERT INTO music VALUE {'artist': 'Abba'}"},
            [("PartiQLInsert", TABLE)],
        ),
        (
            "BatchExecuteStatement",
            {
                "Statements": [
                    {"Statement": "update \"music\" set a = 1 where artist = 'x'"},
                    {"Statement": "DELETE FROM films WHERE title = 'x'"},
                ]
            },
            [("PartiQLUpdate", TABLE), ("PartiQLDelete", OTHER)],
        ),
    ],
)
def test_dynamodb(operation: str, members: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    found = DynamoDbCalls(hash_key).accesses(json_call("dynamodb", operation, **members))
    assert needed(found) == [(f"dynamodb:{action}", resource) for action, resource in expected]


@pytest.mark.parametrize(
    ("operation", "members", "expected"),
    [
        ("GetItem", {"TableName": "music", "Key": KEY}, ("Abba",)),
        ("PutItem", {"TableName": "music", "Item": {"artist": {"N": "4"}}}, ("4",)),
        (
            "Query",
            {
                "TableName": "music",
                "KeyConditionExpression": "#a = :a AND begins_with(song, :s)",
                "ExpressionAttributeNames": {"#a": "artist"},
                "ExpressionAttributeValues": {":a": {"S": "Abba"}, ":s": {"S": "W"}},
            },
            ("Abba",),
        ),
        (
            "Query",
            {
                "TableName": "music",
                "IndexName": "by-year",
                "KeyConditionExpression": ":y = year",
                "ExpressionAttributeValues": {":y": {"N": "1974"}},
            },
            ("1974",),
        ),
        (
            "Query",
            {
                "TableName": "music",
                "KeyConditions": {
                    "artist": {"AttributeValueList": [{"S": "Abba"}], "ComparisonOperator": "EQ"}
                },
            },
            ("Abba",),
        ),
        ("Scan", {"TableName": "music"}, ()),
        ("GetItem", {"TableName": "unknown", "Key": KEY}, ()),
        (
            "BatchWriteItem",
            {
                "RequestItems": {
                    "music": [
                        {"PutRequest": {"Item": KEY}},
                        {"DeleteRequest": {"Key": {"artist": {"S": "Queen"}}}},
                    ]
                }
            },
            ("Abba", "Queen"),
        ),
    ],
)
def test_leading_keys_of_dynamodb(
    operation: str, members: dict[str, Any], expected: tuple[str, ...]
) -> None:
    (found,) = DynamoDbCalls(hash_key).accesses(json_call("dynamodb", operation, **members))
    assert found.keys().get("dynamodb:leadingkeys", ()) == expected


def test_attributes_and_options_of_a_dynamodb_request() -> None:
    made = json_call(
        "dynamodb",
        "UpdateItem",
        TableName="music",
        Key=KEY,
        UpdateExpression="SET #y = :y, plays = if_not_exists(plays, :z) REMOVE notes",
        ConditionExpression="attribute_exists(artist) AND rating > :r",
        ExpressionAttributeNames={"#y": "year"},
        ReturnValues="ALL_NEW",
    )
    keys = DynamoDbCalls(hash_key).accesses(made)[0].keys()
    assert keys["dynamodb:attributes"] == ("artist", "notes", "plays", "rating", "year")
    assert keys["dynamodb:returnvalues"] == ("ALL_NEW",)
