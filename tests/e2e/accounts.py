"""Subjects and tenants on a running stack, as the connect function would note them.

Says into the table who is at the other end of a connection, between its handshake and its
`init`; and reads and writes what the limits know of an account.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import boto3

from samwire_tests.own_key import own_key
from tests.e2e.raw import RawClient, opened
from tests.e2e.stack import Stack
from tests.e2e.until import until

_subjects = itertools.count(1)


class Accounts:
    """The table of a stack."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._client: Any = boto3.client(
            "dynamodb",
            endpoint_url=stack.info["dynamodb_endpoint"],
            region_name="us-east-1",
            **own_key(stack.info),
        )
        (self._table,) = self._client.list_tables()["TableNames"]

    @asynccontextmanager
    async def opened(self, subject: str = "", tenant: str = "") -> AsyncIterator[RawClient]:
        """A session of a subject that nobody else in the tests is, or of this one."""
        async with self.connected(subject, tenant) as client:
            await client.init()
            yield client

    @asynccontextmanager
    async def connected(self, subject: str = "", tenant: str = "") -> AsyncIterator[RawClient]:
        """The same, before its `init`."""
        number = next(_subjects)
        before = self._connections()
        async with opened(self._stack.url, init=False) as client:
            (connection,) = self._connections() - before
            self._name(connection, tenant or f"tenant{number}", subject or f"subject{number}")
            try:
                yield client
            finally:  # its slot is still the one that it was let in with
                self._name(connection, "default", "anonymous")

    def usage(self, account: str) -> dict[str, Any]:
        """What an account (`<tenant>` or `<tenant>/<subject>`) has used."""
        return dict(self._get(account, "USAGE"))

    def set_usage(self, account: str, sk: str = "USAGE", **values: int) -> None:
        """Have an account have used something.

        Args:
            sk: `USAGE`, or the bucket of its `SESSIONS` or `READS`.
        """
        self._client.update_item(
            TableName=self._table,
            Key={"pk": {"S": f"LIMIT#{account}"}, "sk": {"S": sk}},
            UpdateExpression="SET " + ", ".join(f"{name} = :{name}" for name in values),
            ExpressionAttributeValues={f":{n}": {"N": str(v)} for n, v in values.items()},
        )

    async def nobody_connected(self) -> None:
        """Wait until every connection of the tests before has given its slot back."""
        await until(lambda: not self._leases("default"))

    def _leases(self, account: str) -> list[str]:
        answer = self._client.query(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :sk)",
            ExpressionAttributeValues={
                ":pk": {"S": f"LIMIT#{account}"},
                ":sk": {"S": "CONNECTIONS#"},
            },
            ConsistentRead=True,
        )
        return [lease for item in answer["Items"] for lease in item.get("leases", {"SS": []})["SS"]]

    def _get(self, account: str, sk: str) -> dict[str, Any]:
        key = {"pk": {"S": f"LIMIT#{account}"}, "sk": {"S": sk}}
        answer = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        return dict(answer.get("Item", {}))

    def _connections(self) -> set[str]:
        pages = self._client.get_paginator("scan").paginate(
            TableName=self._table,
            FilterExpression="begins_with(pk, :prefix)",
            ExpressionAttributeValues={":prefix": {"S": "CONNECTION#"}},
        )
        return {str(item["pk"]["S"]) for page in pages for item in page["Items"]}

    def _name(self, connection: str, tenant: str, subject: str) -> None:
        self._client.update_item(
            TableName=self._table,
            Key={"pk": {"S": connection}, "sk": {"S": "META"}},
            UpdateExpression="SET tenant = :tenant, subject = :subject",
            ConditionExpression="attribute_exists(pk)",
            ExpressionAttributeValues={":tenant": {"S": tenant}, ":subject": {"S": subject}},
        )
