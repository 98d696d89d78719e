"""What goes wrong with messages, posts and connections when it is asked for, and who is told.

The gateway passes every message through `deliver` and tells of connections; posts come
through a middleware in front of the management API. Which faults happen is decided in
`samwire.faults`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from samwire.faults.faults import Faults
from samwire.faults.latency import Delays, Latency
from samwire.gateway.connections import Connection, Connections
from samwire.gateway.events import Caller

Observe = Callable[[str, Mapping[str, Any]], None]
"""Takes the kind of something that happened, and what is known of it."""

_REFUSALS = {
    403: ("ForbiddenException", '{"message": "Forbidden"}'),
    410: ("GoneException", ""),
    429: ("LimitExceededException", '{"message": "Too Many Requests"}'),
    500: ("InternalServerErrorException", '{"message": "Internal server error"}'),
}


class Traffic:
    """Between the gateway and its clients.

    Args:
        observe: told of connections, messages and posts.
        latency: that is added to handshakes, messages and posts.
    """

    def __init__(
        self, connections: Connections, faults: Faults, observe: Observe, latency: Latency
    ) -> None:
        self._connections = connections
        self._faults = faults
        self._observe = observe
        self._delays = Delays(latency)
        self._held: dict[str, list[asyncio.Event]] = {}

    async def arrive(self) -> None:
        """Wait for as long as a handshake is on its way."""
        await _pause(self._delays.next_s("handshake_ms"))

    def opened(self, connection: Connection) -> None:
        """Note that a handshake is complete."""
        self._tell("connected", connection.caller, user_agent=connection.caller.user_agent)

    def refused(self, caller: Caller, status: int) -> None:
        """Note that a handshake was refused."""
        self._tell("refused", caller, status=status)

    def closed(self, caller: Caller, code: int, reason: str) -> None:
        """Note that a connection is gone."""
        self._tell("disconnected", caller, code=code, reason=reason)

    def answered(self, caller: Caller, frame: str) -> None:
        """Note a frame that the gateway itself sends: an error, or what a two-way route
        returned."""
        self._tell("answer", caller, body=frame, bytes=len(frame.encode()))

    async def deliver(
        self, connection: Connection, body: str, handle: Callable[[], Awaitable[None]]
    ) -> None:
        """Have a client's message handled: as it comes, late, twice, or after the next."""
        self._tell("message", connection.caller, body=body, bytes=len(body.encode()))
        connection_id = connection.caller.connection_id
        trouble = self._faults.message(connection_id)
        overtaken = self._held.pop(connection_id, [])
        if trouble.drop:
            connection.drop()
        if trouble.hold_s is not None:
            await self._hold(connection_id, trouble.hold_s)
        await _pause(trouble.delay_s + self._delays.next_s("message_ms"))
        try:
            await asyncio.gather(*(handle() for _ in range(trouble.copies)))
        finally:
            for event in overtaken:
                event.set()

    def middleware(self) -> Middleware:
        """Return a middleware for the application that serves the management API."""

        @web.middleware
        async def posts(request: web.Request, handler: Handler) -> web.StreamResponse:
            connection_id = request.match_info.get("connection")
            if connection_id is None:
                return await handler(request)
            began = time.monotonic()
            body = await request.read()
            await _pause(self._delays.next_s("post_ms"))
            response = await self._managed(request, handler, connection_id)
            fields = {
                "connection_id": connection_id,
                "status": response.status,
                "duration_ms": round((time.monotonic() - began) * 1000, 3),
            }
            if request.method == "POST":
                fields |= {"body": body.decode(errors="replace"), "bytes": len(body)}
            self._observe(f"{request.method.lower()}_connection", fields)
            return response

        return posts

    async def _managed(
        self, request: web.Request, handler: Handler, connection_id: str
    ) -> web.StreamResponse:
        if request.method != "POST":
            return await handler(request)
        trouble = self._faults.post(connection_id)
        await _pause(trouble.delay_s)
        if trouble.status is not None:
            kind, text = _REFUSALS[trouble.status]
            headers = {"x-amzn-ErrorType": kind, "Content-Type": "application/json"}
            return web.Response(status=trouble.status, text=text, headers=headers)
        if trouble.drop:
            for connection in self._connections.all():
                if connection.caller.connection_id == connection_id:
                    connection.drop()
            return web.Response(status=200)
        return await handler(request)

    async def _hold(self, connection_id: str, hold_s: float) -> None:
        """Wait until a later message of the connection has been handled, but not for long."""
        event = asyncio.Event()
        self._held.setdefault(connection_id, []).append(event)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), hold_s)
        waiting = self._held.get(connection_id, [])
        if event in waiting:
            waiting.remove(event)
        if not waiting:
            self._held.pop(connection_id, None)

    def _tell(self, kind: str, caller: Caller, **fields: Any) -> None:
        names = {"connection_id": caller.connection_id, "stage": caller.stage}
        self._observe(kind, {**names, **fields})


async def _pause(seconds: float) -> None:
    if seconds:  # even a sleep of nothing would let others overtake
        await asyncio.sleep(seconds)
