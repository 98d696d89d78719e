"""Access to the one DynamoDB table: the calls that its items need, without knowledge of them.

The calls are synchronous, as their client is; asynchronous callers run them in threads.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from parley.aws.dynamodb import DynamoDB
from parley.aws.failures import ServiceError

Item = dict[str, Any]
BATCH_ITEMS = 25
"""The most items that one `BatchWriteItem` takes."""
BATCH_TRIES = 6
CONFLICT_TRIES = 6
CONFLICT_PAUSE_S = 0.02
"""Before a write that conflicts with a transaction is tried again; each pause is twice as long.
The client repeats no `TransactionConflict`, on neither side of it."""


class BatchNotWritten(Exception):
    """The table wrote only a part of a batch, at every attempt."""


class BatchNotRead(Exception):
    """The table returned only a part of a batch, at every attempt."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Why a transaction was cancelled: which of its conditions did not hold."""

    update: bool
    put: bool


class Table:
    """One table.

    Args:
        client: calls DynamoDB.
        name: the table's name.
    """

    def __init__(self, client: DynamoDB, name: str) -> None:
        self._client = client
        self.name = name

    def get(self, key: Item) -> Item | None:
        """Return an item by a consistent read; None if it does not exist."""
        return self._client.get_item(TableName=self.name, Key=key, ConsistentRead=True).get("Item")

    def get_batch(self, keys: Sequence[Item], attributes: Sequence[str]) -> list[Item]:
        """Return at most 100 items by a consistent read, in any order. Missing ones are left out.

        Args:
            keys: the items' keys.
            attributes: the attributes to return.

        Raises:
            BatchNotRead: the table stayed throttled for too long.
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
        """Write an item. Return False if the condition does not hold."""
        request: dict[str, Any] = {"TableName": self.name, "Item": item}
        if condition:
            request["ConditionExpression"] = condition
        if values:
            request["ExpressionAttributeValues"] = values
        try:
            self._client.put_item(**request)
        except ServiceError as error:
            if _is_condition_failure(error):
                return False
            raise
        return True

    def transact(self, update: dict[str, Any], item: Item) -> Cancelled | None:
        """Change one item and create another, both or neither. Return None if both were done.

        Args:
            update: of `Update` in TransactWriteItems, without the table's name.
            item: must not be there yet.
        """
        put = {"Item": item, "ConditionExpression": "attribute_not_exists(pk)"}
        actions: list[Any] = [
            {"Update": {"TableName": self.name, **update}},
            {"Put": {"TableName": self.name, **put}},
        ]
        for attempt in range(CONFLICT_TRIES):
            try:
                self._client.transact_write_items(TransactItems=actions)
            except ServiceError as error:
                reasons = _cancellation_reasons(error)
                if _CONDITION in reasons:
                    return Cancelled(*(reason == _CONDITION for reason in reasons))
                # Another write of the turn's item is under way: the client does not repeat this.
                if "TransactionConflict" not in reasons or attempt == CONFLICT_TRIES - 1:
                    raise
                time.sleep(CONFLICT_PAUSE_S * 2**attempt)
            else:
                return None
        raise AssertionError("the last attempt returns or raises")

    def put_together(self, items: Sequence[Item]) -> None:
        """Write items in one transaction."""
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
        """Change an item. Return it after the change, or before it; None if the condition fails.

        Args:
            key: the item's key.
            update: the update expression.
            condition: the condition expression; empty for none.
            names: expression attribute names.
            values: expression attribute values.
            returned: whether to return the item after the change or before it.
        """
        request: dict[str, Any] = {"ExpressionAttributeNames": names} if names else {}
        if values:
            request["ExpressionAttributeValues"] = values
        if condition:
            request["ConditionExpression"] = condition
        for attempt in range(CONFLICT_TRIES):
            try:
                answer = self._client.update_item(
                    TableName=self.name,
                    Key=key,
                    UpdateExpression=update,
                    ReturnValues=returned,
                    **request,
                )
            except ServiceError as error:
                if _is_condition_failure(error):
                    return None
                if not _is_conflict(error) or attempt == CONFLICT_TRIES - 1:
                    raise
                time.sleep(CONFLICT_PAUSE_S * 2**attempt)
            else:
                changed: Item = answer.get("Attributes", {})
                return changed
        raise AssertionError("the last attempt returns or raises")

    def try_update(self, key: Item, update: str, condition: str, values: Item) -> tuple[bool, Item]:
        """Change an item if the condition holds.

        Returns:
            Whether it did, and if not, the item as it was found.
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
        except ServiceError as error:
            if not _is_condition_failure(error):
                raise
            # Not every implementation of DynamoDB sends the item.
            return False, error.response.get("Item") or self.get(key) or {}
        return True, {}

    def delete(self, key: Item) -> Item | None:
        """Delete an item. Return it as it was; None if it did not exist."""
        answer = self._client.delete_item(TableName=self.name, Key=key, ReturnValues="ALL_OLD")
        return answer.get("Attributes")

    def query_pages(
        self,
        pk: str,
        first: str,
        last: str,
        attributes: Sequence[str] = (),
        *,
        consistent: bool = True,
    ) -> Iterator[list[Item]]:
        """Yield the items of a partition between two sort keys, page by page, lowest key first.

        Args:
            pk: the partition.
            first, last: the sort keys, both included.
            attributes: the attributes to return; empty for all.
            consistent: whether to see every write that has been answered.
        """
        query: dict[str, Any] = {
            "TableName": self.name,
            "KeyConditionExpression": "pk = :pk AND sk BETWEEN :first AND :last",
            "ExpressionAttributeValues": {
                ":pk": {"S": pk},
                ":first": {"S": first},
                ":last": {"S": last},
            },
            "ConsistentRead": consistent,
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

    def query_last(self, pk: str, first: str, last: str, limit: int) -> list[Item]:
        """Return at most `limit` items of a partition between two sort keys, highest key first."""
        found: list[Item] = self._client.query(
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
        return found

    def write_batch(self, puts: Sequence[Item], deletes: Sequence[Item] = ()) -> None:
        """Write and delete many items, not in one transaction.

        Raises:
            BatchNotWritten: the table stayed throttled for too long.
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


_CONDITION = "ConditionalCheckFailed"


def _is_condition_failure(error: ServiceError) -> bool:
    return error.code == "ConditionalCheckFailedException"


def _is_conflict(error: ServiceError) -> bool:
    return error.code == "TransactionConflictException"


def _cancellation_reasons(error: ServiceError) -> list[str]:
    """Return why each action of a transaction was cancelled; `None` as text where it was not."""
    return [str(reason.get("Code")) for reason in error.response.get("CancellationReasons", [])]
