"""What many unit tests begin with: a table, and the message function's insides."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from parley.aws.dynamodb import DynamoDB
from parley.storage.table import Table
from tests import moto_table
from tests.moto_table import mock_aws
from tests.unit.door import Door
from tests.unit.memory_dynamodb import MemoryDynamoDB


@pytest.fixture(scope="module")
def moto_client() -> Iterator[Any]:
    """DynamoDB with one table for all tests of a module: each uses a session of its own."""
    with mock_aws():
        found = moto_table.client("dynamodb")
        moto_table.create_table(found)
        yield found


@pytest.fixture(scope="module")
def served_client(moto_client: Any) -> Iterator[DynamoDB]:
    """Parley's own client of the same table, over HTTP."""
    with pytest.MonkeyPatch.context() as patch, moto_table.moto_server() as url:
        for name, value in moto_table.ACCOUNT.items():
            patch.setenv(name, value)
        yield DynamoDB(endpoint=url)


@pytest.fixture(scope="module", params=["memory", "moto"])
def each_client(request: pytest.FixtureRequest) -> Any:
    """The table in memory, and then moto's: what runs over both is a contract of both."""
    of_moto = "served_client"
    return MemoryDynamoDB() if request.param == "memory" else request.getfixturevalue(of_moto)


@pytest.fixture(scope="module")
def client() -> Any:
    """The client of the table: in memory, where a directory or a module has no other."""
    return MemoryDynamoDB()


@pytest.fixture
def table(client: Any) -> Table:
    """The table."""
    return Table(client, "table")


@pytest.fixture
def door() -> Door:
    """The message function's insides, and one client."""
    return Door()
