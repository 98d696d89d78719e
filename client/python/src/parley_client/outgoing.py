"""The way out: messages go over the connection there is, or wait until there is one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from parley_client.backlog import Backlog
from parley_client.errors import ConnectionLost
from parley_client.messages import ClientMessage
from parley_client.websocket_transport import WebSocketTransport


class Outgoing:
    """Sends in order, and nothing between a connection's `init` and its `ready`.

    Args:
        backlog: keeps what cannot be sent yet.
        on_sent: told each message that was handed to a connection, and when (loop time).
    """

    def __init__(self, backlog: Backlog, on_sent: Callable[[ClientMessage, float], None]) -> None:
        self._backlog = backlog
        self._on_sent = on_sent
        self._transport: WebSocketTransport | None = None

    def hold(self) -> None:
        """From now on messages wait."""
        self._transport = None

    def uses(self, transport: WebSocketTransport) -> bool:
        """Whether messages go out over this connection."""
        return self._transport is transport

    def waits(self, message: ClientMessage) -> bool:
        """Whether this very message waits."""
        return self._backlog.holds(message)

    async def post(self, message: ClientMessage, *, always: bool = False) -> None:
        """Send a message, or keep it; with `always` it is kept whatever the bounds.

        Raises:
            QueueFull: it can neither be sent nor kept.
        """
        while (transport := self._transport) is not None:
            try:
                await self._send(transport, message)
                return
            except ConnectionLost:
                if self._transport is transport:
                    self.hold()
        self._backlog.add(message, always=always)

    async def resume(self, transport: WebSocketTransport, again: Sequence[ClientMessage]) -> None:
        """Send what may be lost, then what has waited; from then on, everything at once.

        Raises:
            ConnectionLost: this connection has closed too; what waits still waits.
        """
        for message in again:
            await self._send(transport, message)
        while (message_ := self._backlog.first) is not None:
            await self._send(transport, message_)
            self._backlog.drop_first()
        self._transport = transport

    async def _send(self, transport: WebSocketTransport, message: ClientMessage) -> None:
        await transport.send(message)
        self._on_sent(message, asyncio.get_running_loop().time())
