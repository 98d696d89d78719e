"""The tests of the stores run over the table in memory and over moto's: one contract for both."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.memory_dynamodb import MemoryDynamoDB


@pytest.fixture(scope="module", params=["memory", "moto"])
def client(request: pytest.FixtureRequest) -> Any:
    """One table for all tests of a module, of each kind: each test uses a session of its own."""
    if request.param == "memory":
        return MemoryDynamoDB()
    return request.getfixturevalue("client")
