"""What many unit tests begin with: a table, and the message function's insides."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from parley.storage.table import Table
from tests import moto_table
from tests.moto_table import mock_aws
from tests.unit.door import Door


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """DynamoDB with one table for all tests of a module: each uses a session of its own."""
    with mock_aws():
        found = moto_table.client("dynamodb")
        moto_table.create_table(found)
        yield found


@pytest.fixture
def table(client: Any) -> Table:
    """The table."""
    return Table(client, "table")


@pytest.fixture
def door() -> Door:
    """The message function's insides, and one client."""
    return Door()
