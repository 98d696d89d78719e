"""A TCP relay that can be cut, or go silent: what a phone's network does to a WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Link:
    """One connection through the relay: the client's end and the server's."""

    def __init__(self, *ends: asyncio.StreamWriter) -> None:
        self.ends = ends
        self.silent = False

    def abort(self) -> None:
        """Break both ends, without a goodbye."""
        for end in self.ends:
            end.transport.abort()


class Wire:
    """One client's way to a server."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._links: set[Link] = set()
        self._closed_until_s = 0.0
        self._cut_next = False
        self._serving: set[asyncio.Task[None]] = set()
        self.port = 0
        self.cuts = 0
        self.silences = 0

    def cut(self, *, away_s: float = 0.0, again: bool = False) -> None:
        """Break what is open, without a goodbye.

        Args:
            away_s: how long nothing new gets through.
            again: break the next connection too, shortly after it has begun to talk.
        """
        self.cuts += 1 + again
        self._closed_until_s = asyncio.get_running_loop().time() + away_s
        self._cut_next = again
        for link in self._links:
            link.abort()

    def fall_silent(self) -> None:
        """From now on carry nothing over what is open, and tell neither end."""
        self.silences += 1
        for link in self._links:
            link.silent = True

    async def close(self) -> None:
        """Break everything, and wait until every connection is over."""
        for link in self._links:
            link.abort()
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
        link = Link(writer, there)
        self._links.add(link)
        ways = [
            asyncio.create_task(self._relay(there_reader, writer, link, cut_soon=cut_soon)),
            asyncio.create_task(self._relay(reader, there, link)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        if link.silent:  # one end has given up; the other one does not hear of it
            await asyncio.wait(ways)
        self._links.discard(link)
        link.abort()
        await asyncio.gather(*ways)

    async def _relay(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        link: Link,
        *,
        cut_soon: bool = False,
    ) -> None:
        pieces = 0
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                if link.silent:
                    continue
                pieces += 1
                if cut_soon and pieces == 2:  # the handshake's answer, and then `ready`
                    link.abort()
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
        await wire.close()
