"""Clients of HTTP for providers. They know the authorities that all of an environment share."""

from __future__ import annotations

import anyio
import httpx

from parley.aio.authorities import usual_authorities


def make_http_client(limits: httpx.Limits | None = None) -> httpx.AsyncClient:
    """Return a client that reads the authorities' certificates with its first `https` URL.

    httpx would read them for each client, whichever URL it calls.
    """
    authorities = usual_authorities()

    async def read_authorities(request: httpx.Request) -> None:
        if request.url.scheme == "https":
            try:
                await authorities.read_in_thread()
            except OSError as error:  # as a server whom nobody vouches for
                raise httpx.ConnectError(str(error), request=request) from error

    return httpx.AsyncClient(
        verify=authorities.unread,
        limits=limits or httpx.Limits(max_connections=100, max_keepalive_connections=20),
        event_hooks={"request": [read_authorities]},
    )


async def import_what_requests_need() -> None:
    """Import what httpx imports with the first request of a process: 40 ms of a core.

    It is what `anyio`, which httpx's connections are synchronised with, has for asyncio. A turn
    should not wait for it.
    """
    anyio.Event()
