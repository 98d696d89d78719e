"""A server that takes webhooks, as aiohttp serves it."""

from __future__ import annotations

import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass
class Received:
    """A request, and how many connections there had been."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connections: int

    @property
    def arguments(self) -> Any:
        """The body, as JSON."""
        return json.loads(self.body)


@dataclass
class Receiver:
    """The server; each request gets the next answer, and the last one repeats."""

    answers: list[Answer]
    port: int = 0
    requests: list[Received] = field(default_factory=list)
    protocols: list[object] = field(default_factory=list)

    @property
    def host(self) -> str:
        """Where it is, as `PrivateToolHosts` has it."""
        return f"127.0.0.1:{self.port}"

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        if request.protocol not in self.protocols:
            self.protocols.append(request.protocol)
        body = await request.read()
        received = Received(request.method, request.raw_path, headers, body, len(self.protocols))
        self.requests.append(received)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return await answer(request)


@contextlib.asynccontextmanager
async def receiving(
    *answers: Answer, tls: ssl.SSLContext | None = None, port: int = 0
) -> AsyncIterator[Receiver]:
    """A server on a port of 127.0.0.1."""
    receiver = Receiver(list(answers))
    runner = web.ServerRunner(web.Server(receiver.serve), shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls)
    await site.start()
    receiver.port = runner.addresses[0][1]
    try:
        yield receiver
    finally:
        await runner.cleanup()


def json_answer(value: Any, status: int = 200) -> Answer:
    """An answer of JSON."""

    async def answer(_request: web.BaseRequest) -> web.StreamResponse:
        return web.json_response(value, status=status)

    return answer


def text_answer(text: str, status: int = 200, **headers: str) -> Answer:
    """An answer of text."""

    async def answer(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=text, status=status, headers=headers)

    return answer


async def broken(request: web.BaseRequest) -> web.StreamResponse:
    """No answer: the connection breaks."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()
