"""A reply on its way over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Protocol

import httpx

from parley.providers.diagnosis import MAX_BODY_BYTES, Diagnosis

LINGER_S = 0.2
"""How long more is waited for when the reply has ended, so that the connection can be used again;
nothing that comes then is of the reply."""
ERROR_BODY_S = 1.0
"""How long an error's body may take."""


class Reply(Protocol):
    """What reads an answer."""

    @property
    def finished(self) -> bool:
        """The reply has ended, whatever may still come."""


@contextlib.asynccontextmanager
async def naming_failures(diagnosis: Diagnosis) -> AsyncIterator[None]:
    """Turn what goes wrong on the way, within a block, into a `ProviderError`."""
    try:
        yield
    except httpx.ConnectTimeout:  # nothing has been asked yet
        raise diagnosis.make_error("connect_timeout", "unavailable") from None
    except httpx.TimeoutException:
        raise diagnosis.make_error("timeout", "timeout") from None
    except (httpx.UnsupportedProtocol, httpx.InvalidURL):
        raise diagnosis.make_error("invalid_url", "refused") from None
    except httpx.ConnectError as error:
        raise diagnosis.diagnose_exception(error) from None
    except httpx.HTTPError:
        raise diagnosis.make_error("connection_lost", "unavailable") from None


async def read_chunks(response: httpx.Response, reply: Reply) -> AsyncIterator[bytes]:
    """Yield the bytes of an answer; when the reply has ended, not for long and whatever goes
    wrong."""
    chunks = response.aiter_bytes()
    while True:
        try:
            async with asyncio.timeout(LINGER_S if reply.finished else None):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except (TimeoutError, httpx.HTTPError):
            if reply.finished:
                return
            raise
        yield chunk


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
