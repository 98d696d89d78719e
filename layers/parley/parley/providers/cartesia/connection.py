"""A connection to one of Cartesia's sockets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from parley.providers.cartesia.config import make_headers
from parley.providers.context import ApiKey
from parley.providers.diagnosis import Endpoint
from parley.providers.socket import ProviderSocket, Query


async def connect(
    endpoint: Endpoint,
    path: str,
    query: Query,
    api_key: ApiKey,
    said: Sequence[str],
    *,
    ping_interval_s: float | None = None,
    ping_timeout_s: float | None = None,
) -> ProviderSocket:
    """Connect; see `ProviderSocket.open`.

    Raises:
        ProviderError: the handshake failed.
    """
    key = await api_key()
    return await ProviderSocket.open(
        endpoint,
        path,
        query,
        key,
        make_headers(key),
        error_in,
        said,
        ping_interval_s=ping_interval_s,
        ping_timeout_s=ping_timeout_s,
    )


def error_in(frame: dict[str, Any]) -> object:
    """Return what names the error in a frame; None for a frame that is no error."""
    return frame if frame.get("type") == "error" else None
