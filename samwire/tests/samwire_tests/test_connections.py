"""A connection whose client does not read: sending and closing take their time, and no more."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from samwire.gateway import connections
from samwire.gateway.connections import BufferFull, Connection
from samwire.gateway.events import Caller

CALLER = Caller("id=", 0, "api", "dev", "localhost", "127.0.0.1", None, {})
FRAME = "x" * 100_000
HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@dataclass
class Pair:
    """A connection, its client, and the handler that receives what the client sends."""

    connection: Connection
    client: socket.socket
    ended: asyncio.Event


@pytest.fixture
async def pair(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pair]:
    monkeypatch.setattr(connections, "SEND_TIMEOUT_S", 0.2)
    monkeypatch.setattr(connections, "CLOSE_TIMEOUT_S", 0.2)
    made: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()
    ended = asyncio.Event()

    async def serve(request: web.Request) -> web.WebSocketResponse:
        opened = web.WebSocketResponse(autoping=False, timeout=0.2)
        await opened.prepare(request)
        made.set_result(Connection(CALLER, opened, transport=request.transport))
        try:
            async for _ in opened:
                pass
        finally:
            ended.set()
        return opened

    app = web.Application()
    app.router.add_get("/", serve)
    async with TestServer(app) as server:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", server.port))
            client.sendall(HANDSHAKE)
            yield Pair(await made, client, ended)


async def soon(doing: Awaitable[object]) -> object:
    """What is done, which takes a moment and not for ever."""
    return await asyncio.wait_for(doing, 5)


async def fill(pair: Pair) -> int:
    """Send until no more is taken; how many frames were."""
    for count in range(200):
        try:
            assert await soon(pair.connection.send(FRAME))
        except BufferFull:
            return count
    raise AssertionError("there is no end to the buffer")


def read(client: socket.socket, size: int) -> int:
    """Read so much, if there is so much; how much was read."""
    client.settimeout(1)
    found = 0
    with contextlib.suppress(TimeoutError):
        while found < size and (data := client.recv(1 << 20)):
            found += len(data)
    return found


async def test_a_client_that_does_not_read_fills_its_buffer(pair: Pair) -> None:
    sent = await fill(pair)
    assert sent > 1
    with pytest.raises(BufferFull):
        await soon(pair.connection.send(FRAME))
    assert pair.connection.open
    wanted = sent * len(FRAME)
    found = await asyncio.to_thread(read, pair.client, 2 * wanted)
    assert wanted <= found < wanted + len(FRAME), "what was taken arrives, and nothing else"
    assert await soon(pair.connection.send(FRAME)), "there is room again"


async def test_a_client_that_does_not_read_is_closed(pair: Pair) -> None:
    await fill(pair)
    await soon(pair.connection.close(1000, ""))
    await soon(pair.ended.wait())
    assert not pair.connection.open


async def test_who_stops_waiting_for_the_close_leaves_nothing_behind(pair: Pair) -> None:
    await fill(pair)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(pair.connection.close(1001, "Going away"), 0.05)
    await soon(pair.ended.wait())
