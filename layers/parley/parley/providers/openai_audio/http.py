"""What the requests to an audio endpoint have in common."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import httpx

from parley.providers.diagnosis import MAX_BODY_BYTES, Diagnosis, Endpoint
from parley.providers.errors import PROVIDER_OF_CODE

CONNECT_TIMEOUT_S = 3.0
ERROR_BODY_S = 1.0
"""How long an error's body may take."""
REFUSALS = (400, 415, 422)
"""Statuses of a server that does not take a field or a value of a request."""


@contextlib.asynccontextmanager
async def named(diagnosis: Diagnosis) -> AsyncIterator[None]:
    """Turn what goes wrong on the way, within a block, into a `ProviderError`."""
    try:
        yield
    except httpx.ConnectTimeout:
        raise diagnosis.make_error("connect_timeout", "unavailable") from None
    except httpx.TimeoutException:
        raise diagnosis.make_error("timeout", "timeout") from None
    except (httpx.UnsupportedProtocol, httpx.InvalidURL):
        raise diagnosis.make_error("invalid_url", "refused") from None
    except httpx.ConnectError as error:
        raise diagnosis.diagnose_exception(error) from None
    except httpx.HTTPError:
        raise diagnosis.make_error("connection_lost", "unavailable") from None


async def read_error_body(response: httpx.Response) -> bytes:
    """Return what an error's body begins with."""
    body = bytearray()
    with contextlib.suppress(TimeoutError, httpx.HTTPError):
        async with asyncio.timeout(ERROR_BODY_S):
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) >= MAX_BODY_BYTES:
                    break
    return bytes(body[:MAX_BODY_BYTES])


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


def timeout_of(timeout_s: float) -> httpx.Timeout:
    """Return a client's timeouts, of a provider that may be silent for so long."""
    return httpx.Timeout(timeout_s, connect=min(CONNECT_TIMEOUT_S, timeout_s))
