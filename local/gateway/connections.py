"""Open connections, and what the `@connections` management API does with them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from aiohttp import web

from local.gateway.events import Caller
from local.gateway.identifiers import now_ms


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

    @property
    def open(self) -> bool:
        """Whether something can still be sent."""
        return not self.socket.closed and self.closing is None

    async def send(self, frame: str) -> bool:
        """Write a text frame, in the order of the calls; False if the socket is closed."""
        async with self._writing:
            if not self.open:
                return False
            self.last_active_ms = now_ms()
            try:
                await self.socket.send_str(frame)
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
            await self.socket.close(code=code, message=reason.encode())

    def drop(self) -> None:
        """Cut it without a close frame, as a lost network does."""
        if isinstance(self.transport, asyncio.WriteTransport):
            self.transport.abort()


class Connections:
    """The open connections of all APIs, by connection id."""

    def __init__(self) -> None:
        self._open: dict[str, Connection] = {}

    def add(self, connection: Connection) -> None:
        """A handshake is complete."""
        self._open[connection.caller.connection_id] = connection

    def remove(self, connection: Connection) -> None:
        """A connection is gone."""
        self._open.pop(connection.caller.connection_id, None)

    def find(self, api_id: str, connection_id: str) -> Connection | None:
        """An open connection of an API."""
        found = self._open.get(connection_id)
        if found is None or found.caller.api_id != api_id or not found.open:
            return None
        return found

    def all(self) -> list[Connection]:
        """Every open connection."""
        return list(self._open.values())
