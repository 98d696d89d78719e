"""Open connections, and what the `@connections` management API does with them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from samwire.gateway.events import Caller
from samwire.gateway.identifiers import now_ms

CLOSE_TIMEOUT_S = 2.0
"""How long a client may take to read what is left, and then to agree to a close."""
SEND_TIMEOUT_S = 2.0
"""How long a post waits for a client that is slow to read."""
BUFFER_BYTES = 64 * 1024
"""What may wait for a client besides what the system's own buffers hold."""


class BufferFull(Exception):
    """The client has not read what was sent before; nothing more is taken."""


@dataclass(eq=False)
class Connection:
    """One open WebSocket.

    Attributes:
        closing: code and reason for `$disconnect`, when it was the gateway that closed.
        warned: whether a large message has been remarked on.
        transport: beneath the socket; None where it is not known.
    """

    caller: Caller
    socket: web.WebSocketResponse
    last_active_ms: int = field(default_factory=now_ms)
    closing: tuple[int, str] | None = None
    warned: bool = False
    transport: asyncio.BaseTransport | None = None
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _going_on: set[asyncio.Task[object]] = field(default_factory=set)

    @property
    def open(self) -> bool:
        """Whether something can still be sent."""
        return not self.socket.closed and self.closing is None

    async def send(self, frame: str) -> bool:
        """Write a text frame, in the order of the calls; False if the socket is closed.

        Raises:
            BufferFull: the client does not read.
        """
        async with self._writing:
            if not self.open:
                return False
            if self._unsent_bytes > BUFFER_BYTES:
                raise BufferFull
            self.last_active_ms = now_ms()
            # What takes time is the wait for the client: the frame is written before it.
            try:
                await self._waited(self.socket.send_str(frame), SEND_TIMEOUT_S)
            except (ConnectionError, RuntimeError):
                return False
            return True

    async def close(self, code: int, reason: str, *, told: tuple[int, str] | None = None) -> None:
        """Close it from our side; waits for the client to agree, for a moment.

        Args:
            told: what `$disconnect` is told, if that differs from the close frame.
        """
        if self.closing is None:
            self.closing = told or (code, reason)
            closing = self.socket.close(code=code, message=reason.encode())
            try:
                await self._waited(closing, 2 * CLOSE_TIMEOUT_S)
            finally:
                if self._unsent_bytes:  # a transport that is closed waits until they are read
                    self.drop()

    async def _waited(self, doing: Coroutine[Any, Any, object], limit_s: float) -> None:
        """Wait until something is done, but not for long; it goes on then.

        Cancelled it must not be: aiohttp lets all who wait for a client share one future.
        """
        task = asyncio.create_task(doing)
        self._going_on.add(task)
        task.add_done_callback(self._done)
        if (await asyncio.wait([task], timeout=limit_s))[0]:
            task.result()

    def _done(self, task: asyncio.Task[object]) -> None:
        self._going_on.discard(task)
        if not task.cancelled():
            task.exception()  # of one that went on, nobody asks for it

    @property
    def _unsent_bytes(self) -> int:
        if not isinstance(self.transport, asyncio.WriteTransport):
            return 0
        return self.transport.get_write_buffer_size()

    def drop(self) -> None:
        """Cut it without a close frame, as a lost network does."""
        if isinstance(self.transport, asyncio.WriteTransport):
            self.transport.abort()


class Connections:
    """The open connections of all APIs, by connection id."""

    def __init__(self) -> None:
        self._open: dict[str, Connection] = {}

    def add(self, connection: Connection) -> None:
        """Add a connection whose handshake is complete."""
        self._open[connection.caller.connection_id] = connection

    def remove(self, connection: Connection) -> None:
        """Remove a connection that is gone."""
        self._open.pop(connection.caller.connection_id, None)

    def find(self, api_id: str, connection_id: str) -> Connection | None:
        """Return an open connection of an API."""
        found = self._open.get(connection_id)
        if found is None or found.caller.api_id != api_id or not found.open:
            return None
        return found

    def all(self) -> list[Connection]:
        """Return every open connection."""
        return list(self._open.values())
