"""What a provider under test is built from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx

from parley.config import DEFAULT_SETTINGS
from parley.providers.context import ProviderContext


def build_context(
    client: httpx.AsyncClient | None = None,
    variables: Mapping[str, str] | None = None,
    *,
    key: str | Callable[[str], Awaitable[str]] = "the-key",
    timeout_s: float = 8.0,
    log: Callable[[str, dict[str, Any]], None] | None = None,
) -> ProviderContext:
    """Build a context.

    Args:
        client: of a provider that speaks HTTP.
        key: whatever the name, or what reads the key of a name.
    """

    async def read_key(_name: str) -> str:
        assert isinstance(key, str)
        return key

    class NoClient(httpx.AsyncClient):
        def __init__(self) -> None:
            """Open nothing: it is not used."""

    return ProviderContext(
        variables or {},
        read_key if isinstance(key, str) else key,
        client or NoClient(),
        DEFAULT_SETTINGS,
        timeout_s,
        log or (lambda _event, _fields: None),
    )
