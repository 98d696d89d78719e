"""Erasure is looked at between requests, which botocore tells of: its tests run over moto."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="module")
def client(moto_client: Any) -> Any:
    """One table for all tests of a module."""
    return moto_client
