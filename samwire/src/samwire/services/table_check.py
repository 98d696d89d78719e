"""Looks at what a table endpoint of the developer's own can do, before the functions need it.

DynamoDB has several imitations, and each leaves something out. What is missing would otherwise
show as a function that fails, long after the start and far from its cause.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

_PREFIX = "local-check-"
_KEY = {"pk": {"S": "a"}, "sk": {"S": "1"}}
_OTHER = {"pk": {"S": "a"}, "sk": {"S": "2"}}
_ABSENT = "attribute_not_exists(pk)"
_WAIT = {"Delay": 1, "MaxAttempts": 20}

Check = Callable[[Any, str], None]
"""Takes a client and a table that holds one item, of `_KEY`; raises if something is missing."""


class _Missing(Exception):
    """The endpoint answers, but not as DynamoDB does; says what it did."""


def lacking(client: Any) -> list[str]:
    """Return what an endpoint lacks of DynamoDB, each with the reason; empty if it has it all.

    Makes a table and removes it again.

    Args:
        client: of boto3, for the endpoint.

    Raises:
        BotoCoreError: the endpoint cannot be reached.
        ClientError: no table can be made.
    """
    table = _PREFIX + uuid.uuid4().hex[:12]
    client.create_table(
        TableName=table,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("pk", "sk")],
        KeySchema=[
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
    )
    try:
        client.get_waiter("table_exists").wait(TableName=table, WaiterConfig=_WAIT)
        found = [(name, _reason(client, table, check)) for name, check in _CHECKS.items()]
    finally:
        with contextlib.suppress(BotoCoreError, ClientError):
            client.delete_table(TableName=table)
    return [f"{name} ({reason})" for name, reason in found if reason]


def _reason(client: Any, table: str, check: Check) -> str:
    """Return why a check fails; empty if it does not."""
    try:
        client.put_item(TableName=table, Item={**_KEY, "n": {"N": "1"}})
        client.delete_item(TableName=table, Key=_OTHER)
        check(client, table)
    except _Missing as missing:
        return str(missing)
    except ClientError as error:
        return f"{error.operation_name}: {error.response['Error'].get('Code') or 'an error'}"
    except BotoCoreError as error:
        return str(error)
    return ""


def _conditions(client: Any, table: str) -> None:
    try:
        client.put_item(TableName=table, Item=_KEY, ConditionExpression=_ABSENT)
    except client.exceptions.ConditionalCheckFailedException:
        return
    raise _Missing("a condition that does not hold is passed over")


def _item_of_a_condition(client: Any, table: str) -> None:
    try:
        client.put_item(
            TableName=table,
            Item=_KEY,
            ConditionExpression=_ABSENT,
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    except client.exceptions.ConditionalCheckFailedException as refused:
        if refused.response.get("Item", {}).get("n") == {"N": "1"}:
            return
    raise _Missing("ReturnValuesOnConditionCheckFailure returns no item")


def _transactions(client: Any, table: str) -> None:
    put = {"TableName": table, "Item": _OTHER}
    client.transact_write_items(TransactItems=[{"Put": put}])
    read = client.transact_get_items(TransactItems=[{"Get": {"TableName": table, "Key": _OTHER}}])
    if "Item" not in read["Responses"][0]:
        raise _Missing("TransactGetItems does not find what TransactWriteItems wrote")
    change = {
        "TableName": table,
        "Key": _KEY,
        "UpdateExpression": "SET n = :two",
        "ExpressionAttributeValues": {":two": {"N": "2"}},
    }
    try:
        client.transact_write_items(
            TransactItems=[{"Update": change}, {"Put": {**put, "ConditionExpression": _ABSENT}}]
        )
    except client.exceptions.TransactionCanceledException as cancelled:
        reasons = [each.get("Code") for each in cancelled.response.get("CancellationReasons", [])]
        kept = client.get_item(TableName=table, Key=_KEY, ConsistentRead=True)["Item"]
        if reasons == ["None", "ConditionalCheckFailed"] and kept["n"] == {"N": "1"}:
            return
        raise _Missing("a transaction is not undone as a whole, with a reason of each") from None
    raise _Missing("a condition of a transaction is passed over")


def _updates(client: Any, table: str) -> None:
    found = client.update_item(
        TableName=table,
        Key=_KEY,
        UpdateExpression="SET l = list_append(if_not_exists(l, :none), :one) ADD n :two",
        ExpressionAttributeValues={
            ":none": {"L": []},
            ":one": {"L": [{"S": "x"}]},
            ":two": {"N": "2"},
        },
        ReturnValues="ALL_NEW",
    )["Attributes"]
    if (found.get("l"), found.get("n")) != ({"L": [{"S": "x"}]}, {"N": "3"}):
        raise _Missing("an update expression has another result")


def _queries(client: Any, table: str) -> None:
    client.put_item(TableName=table, Item=_OTHER)
    asked = {
        "TableName": table,
        "KeyConditionExpression": "pk = :a AND sk BETWEEN :first AND :last",
        "ExpressionAttributeValues": {
            ":a": {"S": "a"},
            ":first": {"S": "1"},
            ":last": {"S": "3"},
        },
        "ConsistentRead": True,
        "ScanIndexForward": False,
        "Limit": 1,
    }
    first = client.query(**asked)
    rest = client.query(**asked, ExclusiveStartKey=first.get("LastEvaluatedKey", _OTHER))
    keys = [item["sk"]["S"] for item in [*first["Items"], *rest["Items"]]]
    if keys != ["2", "1"]:
        raise _Missing("Query has another order, or other pages")


def _batches(client: Any, table: str) -> None:
    client.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": _OTHER}}]})
    read = client.batch_get_item(RequestItems={table: {"Keys": [_KEY, _OTHER]}})
    if len(read["Responses"].get(table, [])) != 2:
        raise _Missing("BatchGetItem does not find what BatchWriteItem wrote")


def _expiry(client: Any, table: str) -> None:
    wanted = {"AttributeName": "expires", "Enabled": True}
    client.update_time_to_live(TableName=table, TimeToLiveSpecification=wanted)
    said = client.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    if said.get("TimeToLiveStatus") not in ("ENABLED", "ENABLING"):
        raise _Missing("it is not enabled")


_CHECKS: dict[str, Check] = {
    "conditional writes": _conditions,
    "the item of a failed condition": _item_of_a_condition,
    "transactions": _transactions,
    "update expressions": _updates,
    "consistent queries": _queries,
    "batches": _batches,
    "expiry of items (TTL)": _expiry,
}
