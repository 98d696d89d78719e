"""What the requests to an audio endpoint have in common."""

from __future__ import annotations

import contextlib

import httpx

from parley.errors import ProviderError
from parley.providers.context import ApiKey
from parley.providers.diagnosis import Endpoint
from parley.providers.errors import PROVIDER_OF_CODE

CONNECT_TIMEOUT_S = 3.0
REFUSALS = (400, 415, 422)
"""Statuses of a server that does not take a field or a value of a request."""


def make_refusal_note(endpoint: Endpoint, without: str) -> dict[str, str]:
    """Make the fields of a log entry about what a server does not take.

    Args:
        without: what it is asked without from now on, within a sentence.
    """
    return {
        "provider": PROVIDER_OF_CODE[endpoint.code],
        "host": endpoint.host,
        "advice": f"{endpoint.host} refuses {without}, so it is asked without. Finding that out "
        "costs every new environment a request.",
    }


def authorization(key: str) -> dict[str, str]:
    """Return the headers that carry a key; none without one."""
    return {"Authorization": f"Bearer {key}"} if key else {}


async def open_connection(client: httpx.AsyncClient, endpoint: Endpoint, api_key: ApiKey) -> None:
    """Open a connection that the next request finds. Never raise; any answer will do."""
    with contextlib.suppress(httpx.HTTPError, httpx.InvalidURL, ProviderError):
        headers = authorization(await api_key())
        timeout = timeout_of(CONNECT_TIMEOUT_S)
        await client.get(f"{endpoint.base_url}/models", headers=headers, timeout=timeout)


def timeout_of(timeout_s: float) -> httpx.Timeout:
    """Return a client's timeouts, of a provider that may be silent for so long."""
    return httpx.Timeout(timeout_s, connect=min(CONNECT_TIMEOUT_S, timeout_s))
