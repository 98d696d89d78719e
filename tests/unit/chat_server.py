"""An HTTP server that plays an endpoint by a test's script: of chats, speech or transcripts."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from parley.providers.http_client import make_http_client
from parley.providers.llm import ReplyPiece

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


def http_client() -> httpx.AsyncClient:
    """A client as the functions have it."""
    return make_http_client()


def spoken(piece: ReplyPiece) -> str:
    """A piece of a reply that calls no tools."""
    assert isinstance(piece, str)
    return piece


@dataclass
class Request:
    """What the endpoint was asked; a body that is no JSON as bytes."""

    line: str
    headers: dict[str, str]
    body: Any = None


@dataclass
class Endpoint:
    """An HTTP server that answers each request by the next script; the last one repeats."""

    answers: list[Answer]
    url: str = ""
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    tasks: list[asyncio.Task[Any] | None] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        self.tasks.append(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                authorization = [line for line in head if line.startswith("Authorization")]
                headers["authorization"] = "".join(authorization).partition(": ")[2]
                is_json = body and headers.get("content-type", "").startswith("application/json")
                self.requests.append(
                    Request(head[0], headers, json.loads(body) if is_json else body or None)
                )
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                await answer(writer)
                await writer.drain()


@contextlib.asynccontextmanager
async def endpoint(*answers: Answer) -> AsyncIterator[Endpoint]:
    """An endpoint that is there."""
    found = Endpoint(list(answers))
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/"
    try:
        yield found
    finally:
        server.close()
        for writer in found.writers:
            writer.transport.abort()
        await asyncio.gather(*filter(None, found.tasks))


def plain(
    status: str, body: str = "{}", pairs: Sequence[tuple[str, str]] = (), **headers: str
) -> Answer:
    """An answer in one piece.

    Args:
        pairs: more headers, of which some may come twice.
    """

    async def answer(writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        lines += [f"{name}: {value}" for name, value in pairs]
        writer.write("\r\n".join([*lines, "", body]).encode())

    return answer


def stream(*parts: str | bytes, then: str = "end", size: int = 0) -> Answer:
    """Server-sent events; afterwards the stream ends, is cut, or says nothing more.

    Args:
        size: bytes per chunk; 0: a chunk per part.
    """

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        whole = [part.encode() if isinstance(part, str) else part for part in parts]
        if size:
            joined = b"".join(whole)
            whole = [joined[at : at + size] for at in range(0, len(joined), size)]
        for chunk in whole:
            writer.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            await writer.drain()
        if then == "end":
            writer.write(b"0\r\n\r\n")
        elif then == "cut":
            writer.transport.abort()

    return answer


def dripping(first: str, again: str, every_s: float = 0.1) -> Answer:
    """A stream that begins, and then says the same for as long as anybody listens."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        await stream(first, then="stall")(writer)
        while not writer.is_closing():
            writer.write(f"{len(again):x}\r\n{again}\r\n".encode())
            await writer.drain()
            await asyncio.sleep(every_s)

    return answer


def event(content: object = None, **choice: Any) -> str:
    """One event of a stream."""
    delta = {} if content is None else {"content": content}
    return "data: " + json.dumps({"choices": [{"index": 0, "delta": delta, **choice}]}) + "\n\n"
