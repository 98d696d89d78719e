"""A TCP relay that can be cut: what a phone's network does between a client and API Gateway."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Wire:
    """One client's way to a server."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._writers: set[asyncio.StreamWriter] = set()
        self._closed_until_s = 0.0
        self._cut_next = False
        self._serving: set[asyncio.Task[None]] = set()
        self.port = 0
        self.cuts = 0

    def cut(self, *, away_s: float = 0.0, again: bool = False) -> None:
        """Break what is open, without a goodbye.

        Args:
            away_s: how long nothing new gets through.
            again: break the next connection too, shortly after it has begun to talk.
        """
        self.cuts += 1 + again
        self._closed_until_s = asyncio.get_running_loop().time() + away_s
        self._cut_next = again
        self._abort()

    def _abort(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def idle(self) -> None:
        """Wait until every connection is over."""
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay one connection."""
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        if asyncio.get_running_loop().time() < self._closed_until_s:
            writer.transport.abort()
            return
        cut_soon, self._cut_next = self._cut_next, False
        there_reader, there = await asyncio.open_connection(self._host, self._port)
        self._writers |= {writer, there}
        ways = [
            asyncio.create_task(self._relay(there_reader, writer, cut_soon=cut_soon)),
            asyncio.create_task(self._relay(reader, there)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for each in (writer, there):
            self._writers.discard(each)
            each.transport.abort()
        await asyncio.gather(*ways)

    async def _relay(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, cut_soon: bool = False
    ) -> None:
        pieces = 0
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                pieces += 1
                if cut_soon and pieces == 2:  # the handshake's answer, and then `ready`
                    self._abort()
                    return
                writer.write(data)
                await writer.drain()


@asynccontextmanager
async def relayed(host: str, port: int) -> AsyncIterator[Wire]:
    """A relay to a server, on a port of its own."""
    wire = Wire(host, port)
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        server.close()
        wire.cut()
        await wire.idle()
