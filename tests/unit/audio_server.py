"""What a test's script answers as an audio endpoint."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

from parley.errors import ProviderError
from tests.unit.chat_server import Answer, Request


def sound(
    *parts: bytes,
    kind: str = "audio/wav",
    then: str = "end",
    gate: asyncio.Event | None = None,
) -> Answer:
    """Sound, a chunk for every part; afterwards it ends, is cut, or stalls.

    Args:
        gate: waited for before the first part.
    """

    async def answer(writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head.encode())
        await writer.drain()
        if gate is not None:
            await gate.wait()
        for part in parts:
            writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            await writer.drain()
        if then == "end":
            writer.write(b"0\r\n\r\n")
        elif then == "cut":
            writer.transport.abort()

    return answer


async def silence(_writer: asyncio.StreamWriter) -> None:
    """An answer that never comes."""


def fields(request: Request) -> dict[str, str]:
    """The fields of a form, without its file."""
    boundary = request.headers["content-type"].partition("boundary=")[2].encode()
    found = {}
    for part in request.body.lower().split(b"--" + boundary)[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        if b"filename" not in head:
            name = head.partition(b'name="')[2].partition(b'"')[0].decode()
            found[name] = content.removesuffix(b"\r\n").decode()
    return found


def file_in(request: Request) -> bytes:
    """The file of a form."""
    boundary = request.headers["content-type"].partition("boundary=")[2].encode()
    (part,) = (
        one
        for one in re.split(b"--" + re.escape(boundary), request.body, flags=re.IGNORECASE)
        if b'filename="speech.wav"' in one
    )
    content: bytes = part.partition(b"\r\n\r\n")[2]
    return content.removesuffix(b"\r\n")


def error_body(**named: Any) -> str:
    """An error as OpenAI has it."""
    return json.dumps({"error": {"message": "secret words", "type": None, **named}})


def described(error: ProviderError) -> tuple[str, str, str]:
    """What a failure is: its code, kind and reason."""
    return error.code, error.kind, error.cause.reason
