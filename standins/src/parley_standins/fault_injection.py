"""Doing what a fault says, at the level of HTTP and TCP.

What is particular to a protocol (an error frame, a cut after so many tokens) is done
where that protocol is spoken; this is what all servers share.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from typing import NoReturn

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_POLL_S = 0.05
_TIMER_STEP_S = 0.0012
"""epoll counts whole milliseconds, so the event loop's own timers are up to that late."""


class Dropped(Exception):
    """The connection was reset on purpose; nothing can be answered any more."""


def reset_connection(request: web.BaseRequest) -> NoReturn:
    """Reset the TCP connection under a request.

    Raises:
        Dropped: always.
    """
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        if connection is not None:
            # Without lingering, closing sends RST instead of FIN.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    raise Dropped


async def stall(request: web.BaseRequest) -> NoReturn:
    """Say nothing more until the client gives up.

    Raises:
        Dropped: when it has.
    """
    while (transport := request.transport) is not None and not transport.is_closing():  # noqa: ASYNC110 - aiohttp has no event for it
        await asyncio.sleep(_POLL_S)
    raise Dropped


async def sleep_until(deadline: float) -> None:
    """Wait for a time of `time.monotonic()`, to a fraction of a millisecond.

    A time that is past costs nothing.
    """
    remaining = deadline - time.monotonic() - _TIMER_STEP_S
    if remaining > 0:
        await asyncio.sleep(remaining)
    while time.monotonic() < deadline:  # noqa: ASYNC110 - waits for a time, not for an event
        await asyncio.sleep(0)


@web.middleware
async def ignore_dropped(request: web.Request, handler: Handler) -> web.StreamResponse:
    """End requests whose connection was reset, without a line in the log."""
    try:
        return await handler(request)
    except Dropped:
        request.protocol.force_close()
        return web.Response()
    except ConnectionError:
        # The client has gone; there is nobody left to answer.
        return web.Response()
