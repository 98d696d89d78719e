"""The tests of the limits run over the table in memory and over moto's: one contract for both."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="module")
def client(each_client: Any) -> Any:
    """One table for all tests of a module, of each kind."""
    return each_client
