"""Access to the one DynamoDB table: the calls that its items need, and no knowledge of them.

Synchronous (botocore is); asynchronous callers run it in threads.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Item = dict[str, Any]
BATCH_ITEMS = 25
"""The most that one `BatchWriteItem` takes."""
BATCH_TRIES = 6


class BatchNotWritten(Exception):
    """The table took only a part of a batch, however often it was asked."""


class BatchNotRead(Exception):
    """The table gave only a part of a batch, however often it was asked."""


class Table:
    """One table.

    Args:
        client: a boto3 DynamoDB client.
        name: the table's name.
    """

    def __init__(self, client: DynamoDBClient, name: str) -> None:
        self._client = client
        self.name = name

    def get(self, key: Item) -> Item | None:
        """An item as it is now."""
        return self._client.get_item(TableName=self.name, Key=key, ConsistentRead=True).get("Item")

    def get_batch(self, keys: Sequence[Item], attributes: Sequence[str]) -> list[Item]:
        """At most 100 items as they are now, in any order; those that are not there are left out.

        Args:
            attributes: those that are wanted.

        Raises:
            BatchNotRead: the table is throttled for longer than is worth waiting.
        """
        names = {f"#{position}": name for position, name in enumerate(attributes)}
        found: list[Item] = []
        left: Sequence[Any] = keys
        for attempt in range(BATCH_TRIES):
            request: Any = {
                "Keys": left,
                "ConsistentRead": True,
                "ProjectionExpression": ", ".join(names),
                "ExpressionAttributeNames": names,
            }
            answer = self._client.batch_get_item(RequestItems={self.name: request})
            found += answer["Responses"].get(self.name, [])
            unread: dict[str, Any] = {**answer.get("UnprocessedKeys", {})}
            left = unread[self.name]["Keys"] if self.name in unread else []
            if not left:
                return found
            time.sleep(0.05 * 2**attempt)
        raise BatchNotRead(f"{len(left)} items")

    def put(self, item: Item, condition: str = "", values: Item | None = None) -> bool:
        """Write an item; False if the condition does not hold."""
        request: dict[str, Any] = {"TableName": self.name, "Item": item}
        if condition:
            request["ConditionExpression"] = condition
        if values:
            request["ExpressionAttributeValues"] = values
        try:
            self._client.put_item(**request)
        except ClientError as error:
            if _is_condition_failure(error):
                return False
            raise
        return True

    def put_together(self, items: Sequence[Item]) -> None:
        """Write items, all of them or none."""
        self._client.transact_write_items(
            TransactItems=[{"Put": {"TableName": self.name, "Item": item}} for item in items]
        )

    def update(
        self,
        key: Item,
        update: str,
        condition: str,
        names: dict[str, str],
        values: Item,
        *,
        returned: Literal["ALL_NEW", "ALL_OLD"] = "ALL_NEW",
    ) -> Item | None:
        """Change an item, and return it as it is then, or as it was; None if the condition
        does not hold."""
        request: dict[str, Any] = {"ExpressionAttributeNames": names} if names else {}
        if values:
            request["ExpressionAttributeValues"] = values
        if condition:
            request["ConditionExpression"] = condition
        try:
            answer = self._client.update_item(
                TableName=self.name,
                Key=key,
                UpdateExpression=update,
                ReturnValues=returned,
                **request,
            )
        except ClientError as error:
            if _is_condition_failure(error):
                return None
            raise
        return answer.get("Attributes", {})

    def try_update(self, key: Item, update: str, condition: str, values: Item) -> tuple[bool, Item]:
        """Change an item if the condition holds.

        Returns:
            Whether it did; if not, the item as it was found.
        """
        try:
            self._client.update_item(
                TableName=self.name,
                Key=key,
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeValues=values,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if not _is_condition_failure(error):
                raise
            # botocore's types know the item only of the generated exception. Not every
            # implementation of DynamoDB sends it.
            found: dict[str, Any] = {**error.response}
            return False, found.get("Item") or self.get(key) or {}
        return True, {}

    def delete(self, key: Item) -> Item | None:
        """Remove an item, if there is one; what it was."""
        answer = self._client.delete_item(TableName=self.name, Key=key, ReturnValues="ALL_OLD")
        return answer.get("Attributes")

    def pages(
        self, pk: str, first: str, last: str, attributes: Sequence[str] = ()
    ) -> Iterator[list[Item]]:
        """The items of a partition whose sort keys lie between two, oldest key first.

        Args:
            attributes: those that are wanted; empty for all.
        """
        query: dict[str, Any] = {
            "TableName": self.name,
            "KeyConditionExpression": "pk = :pk AND sk BETWEEN :first AND :last",
            "ExpressionAttributeValues": {
                ":pk": {"S": pk},
                ":first": {"S": first},
                ":last": {"S": last},
            },
            "ConsistentRead": True,
        }
        if attributes:
            names = {f"#{position}": name for position, name in enumerate(attributes)}
            query["ExpressionAttributeNames"] = names
            query["ProjectionExpression"] = ", ".join(names)
        while True:
            page = self._client.query(**query)
            yield page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            query["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def last(self, pk: str, first: str, last: str, limit: int) -> list[Item]:
        """At most `limit` items of a partition between two sort keys, newest key first."""
        return self._client.query(
            TableName=self.name,
            KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
            ExpressionAttributeValues={
                ":pk": {"S": pk},
                ":first": {"S": first},
                ":last": {"S": last},
            },
            ScanIndexForward=False,
            ConsistentRead=True,
            Limit=limit,
        )["Items"]

    def write_batch(self, puts: Sequence[Item], deletes: Sequence[Item] = ()) -> None:
        """Write and remove many items, not as one.

        Raises:
            BatchNotWritten: the table is throttled for longer than is worth waiting.
        """
        requests: list[Any] = [
            *({"PutRequest": {"Item": item}} for item in puts),
            *({"DeleteRequest": {"Key": key}} for key in deletes),
        ]
        for start in range(0, len(requests), BATCH_ITEMS):
            self._write_some(requests[start : start + BATCH_ITEMS])

    def _write_some(self, requests: list[Any]) -> None:
        for attempt in range(BATCH_TRIES):
            answer = self._client.batch_write_item(RequestItems={self.name: requests})
            requests = answer.get("UnprocessedItems", {}).get(self.name, [])
            if not requests:
                return
            time.sleep(0.05 * 2**attempt)
        raise BatchNotWritten(f"{len(requests)} items")


def _is_condition_failure(error: ClientError) -> bool:
    return error.response.get("Error", {}).get("Code") == "ConditionalCheckFailedException"
