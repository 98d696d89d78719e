"""A WebSocket server that plays a speech service by a test's script."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

Script = Callable[["Peer"], Awaitable[None]]
Pairs = Mapping[str, str] | Sequence[tuple[str, str]]
"""Headers; of the second form, some may come twice."""


class Peer:
    """The service's side of one socket."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection
        request = connection.request
        assert request is not None
        self.path = request.path
        self.headers = request.headers

    async def receive(self) -> dict[str, Any]:
        """The next frame."""
        frame: dict[str, Any] = json.loads(await self._connection.recv())
        return frame

    async def receive_raw(self) -> str | bytes:
        """The next frame as it is: text, or the bytes of a binary one."""
        return await self._connection.recv()

    async def send(self, *frames: object) -> None:
        """Frames: text and bytes as they are, anything else as JSON."""
        for frame in frames:
            raw = frame if isinstance(frame, str | bytes) else json.dumps(frame)
            await self._connection.send(raw)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close in good order."""
        await self._connection.close(code, reason)

    async def gone(self) -> None:
        """Wait until the client has left."""
        await self._connection.wait_closed()

    def stall(self) -> None:
        """Read nothing more, as a service that is out of reach."""
        self._connection.transport.pause_reading()

    def cut(self) -> None:
        """Break the TCP connection."""
        self._connection.transport.abort()


class SpeechServer:
    """Plays a script on every connection; keeps the peers.

    Attributes:
        refusal: HTTP status and headers that the handshake is answered with, instead.
        refusal_body: what is in that answer.
        headers: of the handshake's answer.
    """

    def __init__(self) -> None:
        self.script: Script | None = None
        self.refusal: tuple[int, Pairs] | None = None
        self.refusal_body = b"{}"
        self.headers: Pairs = {}
        self.peers: list[Peer] = []
        self.url = ""

    async def __aenter__(self) -> SpeechServer:
        self._server: Server = await serve(
            self._serve,
            "127.0.0.1",
            0,
            process_request=self._answer,
            process_response=self._add_headers,
            compression=None,
        )
        port = next(iter(self._server.sockets)).getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_exception: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    def _answer(self, _connection: ServerConnection, _request: Request) -> Response | None:
        if self.refusal is None:
            return None
        status, headers = self.refusal
        found = Headers()
        _add(found, headers)
        return Response(status, HTTPStatus(status).phrase, found, self.refusal_body)

    def _add_headers(
        self, _connection: ServerConnection, _request: Request, response: Response
    ) -> None:
        _add(response.headers, self.headers)

    async def _serve(self, connection: ServerConnection) -> None:
        peer = Peer(connection)
        self.peers.append(peer)
        assert self.script is not None
        with contextlib.suppress(Exception):
            await self.script(peer)
            await peer.gone()


def _add(headers: Headers, pairs: Pairs) -> None:
    for name, value in pairs.items() if isinstance(pairs, Mapping) else pairs:
        headers[name] = value


@contextlib.asynccontextmanager
async def playing(script: Script | None = None) -> AsyncIterator[SpeechServer]:
    """A server that plays `script`."""
    async with SpeechServer() as server:
        server.script = script
        yield server


def closed_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def stalled_port() -> AsyncIterator[int]:
    """A port that takes connections and never says anything on them."""
    writers: list[asyncio.StreamWriter] = []

    async def keep(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    server = await asyncio.start_server(keep, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()


async def silence(peer: Peer) -> None:
    """A script that never says anything."""
    await peer.gone()
