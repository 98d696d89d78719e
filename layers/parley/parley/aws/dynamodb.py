"""The operations of DynamoDB that the table needs, under botocore's names for them.

Requests and answers are botocore's too: attribute values as `{"S": …}`, binary ones as bytes.
"""

from __future__ import annotations

from typing import Any, TypedDict

import msgspec

from parley.aws.failures import ConnectionLost, ServiceError
from parley.aws.service import CALLS, CallRules, JsonService

PAUSE_S = 0.025
"""The longest pause before the first retry: DynamoDB answers sooner than others."""


class _Value(TypedDict, total=False):
    """An attribute's value. The type of `B` has bytes decoded from base64."""

    S: str
    N: str
    B: bytes
    SS: list[str]
    NS: list[str]
    BS: list[bytes]
    BOOL: bool
    NULL: bool
    M: dict[str, _Value]
    L: list[_Value]


_Item = dict[str, _Value]


class _KeysOfTable(TypedDict, total=False):
    Keys: list[_Item]


class _Put(TypedDict, total=False):
    Item: _Item


class _Delete(TypedDict, total=False):
    Key: _Item


class _Write(TypedDict, total=False):
    PutRequest: _Put
    DeleteRequest: _Delete


class _Answer(TypedDict, total=False):
    """What is used of the operations' answers."""

    Item: _Item
    Items: list[_Item]
    Attributes: _Item
    LastEvaluatedKey: _Item
    Responses: dict[str, list[_Item]]
    UnprocessedKeys: dict[str, _KeysOfTable]
    UnprocessedItems: dict[str, list[_Write]]


_decode_answer = msgspec.json.Decoder(_Answer).decode


class DynamoDB:
    """Calls DynamoDB. Safe to use from threads.

    Each operation raises `ServiceError` if it is refused, and `CallFailed` if there is no answer.

    Args:
        rules: how calls are made.
        endpoint: base URL; empty for the environment's.
    """

    def __init__(self, rules: CallRules = CALLS, endpoint: str = "") -> None:
        rules = CallRules(
            rules.connect_timeout_s, rules.read_timeout_s, rules.attempts, pause_s=PAUSE_S
        )
        self._service = JsonService(
            "dynamodb", "DynamoDB_20120810", "1.0", rules, endpoint=endpoint
        )

    def get_item(self, **request: Any) -> dict[str, Any]:
        """Read an item."""
        return self._call("GetItem", request)

    def batch_get_item(self, **request: Any) -> dict[str, Any]:
        """Read some items."""
        return self._call("BatchGetItem", request)

    def query(self, **request: Any) -> dict[str, Any]:
        """Read the items of a part of a partition."""
        return self._call("Query", request)

    def put_item(self, **request: Any) -> dict[str, Any]:
        """Write an item."""
        return self._call("PutItem", request)

    def update_item(self, **request: Any) -> dict[str, Any]:
        """Change an item."""
        return self._call("UpdateItem", request)

    def delete_item(self, **request: Any) -> dict[str, Any]:
        """Delete an item."""
        return self._call("DeleteItem", request)

    def batch_write_item(self, **request: Any) -> dict[str, Any]:
        """Write and delete some items."""
        return self._call("BatchWriteItem", request)

    def transact_write_items(self, **request: Any) -> dict[str, Any]:
        """Write some items, all or none. A repetition after a lost answer does nothing more."""
        token = {"ClientRequestToken": _token()}
        return self._call("TransactWriteItems", {**token, **request})

    def _call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        try:
            found = self._service.call(operation, request)
        except ServiceError as error:
            if "Item" in error.response:  # of a condition that failed
                item = msgspec.convert(error.response["Item"], _Item, builtin_types=())
                error.response["Item"] = item
            raise
        try:
            return dict(_decode_answer(found or b"{}"))
        except msgspec.DecodeError:
            raise ConnectionLost("malformed answer") from None


def _token() -> str:
    import uuid

    return str(uuid.uuid4())
