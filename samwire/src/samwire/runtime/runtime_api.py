"""The Lambda Runtime API of one environment ("Using the Lambda runtime API").

Each environment has its own port, so that a request says by itself who asks, and a key in the
path that only its own process knows: every event, with the tokens in it, goes through here. Raw
HTTP/1.1 on asyncio streams: this is on the way of every invocation, and only four requests are
ever made.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from multidict import CIMultiDict

from samwire.cross_site import find_cross_site_refusal
from samwire.runtime.call import Result

MAX_LINE_BYTES = 2 * 1024 * 1024
"""Of a request: the runtime client says in a header of up to 1 MB what went wrong."""
_BASE = "2018-06-01/runtime/"
_KEY_BYTES = 24
_METHODS = {
    "invocation/next": "GET",
    "restore/next": "GET",
    "init/error": "POST",
    "restore/error": "POST",
}
"""Of the endpoints that name no invocation ("Using the Lambda runtime API")."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """One event on its way to a function."""

    request_id: str
    event: bytes
    deadline_ms: int
    arn: str
    trace_id: str
    client_context: str = ""


class RuntimeApi:
    """Serves one environment.

    `next_asked` is set when the runtime client waits for its first or next event.

    Args:
        idle: called when the runtime client asks for its first or next event.
    """

    def __init__(self, idle: Callable[[], None]) -> None:
        self._idle = idle
        self._key = secrets.token_urlsafe(_KEY_BYTES)
        self.next_asked = asyncio.Event()
        self.init_error: Result | None = None
        self.init_failed = asyncio.Event()
        self._invocation: asyncio.Future[Invocation] | None = None
        self._result: asyncio.Future[Result] | None = None
        self._running_id = ""
        """Of the invocation that the runtime client has taken and not yet answered."""
        self._has_begun = False
        self._socket: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def start(self) -> str:
        """Listen; return `host:port/key` for `AWS_LAMBDA_RUNTIME_API`."""
        self._invocation = asyncio.get_running_loop().create_future()
        # Our own socket: start_server leaves one of its own open when it is cancelled.
        self._socket = socket.create_server(("127.0.0.1", 0))
        host, port = self._socket.getsockname()
        self._server = await asyncio.start_server(
            self._serve, sock=self._socket, limit=MAX_LINE_BYTES
        )
        return f"{host}:{port}/{self._key}"

    async def close(self) -> None:
        """Stop listening, and leave who is connected: an event that never comes is waited for."""
        if self._server is not None:
            self._server.close()
        elif self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
        for connection in self._serving:
            connection.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def invoke(self, invocation: Invocation) -> Result:
        """Hand an event over and wait for what becomes of it."""
        loop = asyncio.get_running_loop()
        assert self._invocation is not None
        self._result = loop.create_future()
        self._invocation.set_result(invocation)
        return await self._result

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        assert connection is not None
        self._serving.add(connection)
        connection.add_done_callback(self._serving.discard)
        # Cancelled when the stack stops while the runtime client waits for its next event.
        ended = (ConnectionError, asyncio.IncompleteReadError, ValueError, asyncio.CancelledError)
        with contextlib.suppress(*ended):
            while line := await reader.readline():
                method, path, _ = line.decode().split(" ", 2)
                headers = await _headers(reader)
                endpoint = self._endpoint(path, headers)
                if endpoint is None:  # its body is not read: the connection ends here
                    _refuse(writer, 403, "Forbidden", "Only the function's own process may ask.")
                    break
                body = await _body(reader, headers)
                await self._answer(method, endpoint, body, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    def _endpoint(self, path: str, headers: Mapping[str, str]) -> str | None:
        """Return what is asked for; None if it is not the environment's own process that asks."""
        if find_cross_site_refusal(headers) is not None:
            return None
        key, _, rest = path.removeprefix("/").partition("/")
        is_own = hmac.compare_digest(key.encode(), self._key.encode())
        return rest.removeprefix(_BASE) if is_own and rest.startswith(_BASE) else None

    async def _answer(
        self, method: str, endpoint: str, body: bytes, writer: asyncio.StreamWriter
    ) -> None:
        kind, _, rest = endpoint.partition("/")
        request_id, _, answer = rest.partition("/")
        of_invocation = kind == "invocation" and answer in ("response", "error")
        wanted = "POST" if of_invocation else _METHODS.get(endpoint)
        if wanted is None:
            _refuse(writer, 404, "NotFound", "There is no such path.")
        elif method != wanted:
            _refuse(writer, 405, "MethodNotAllowed", f"The method must be {wanted}.")
        elif of_invocation:
            self._settle(request_id, Result(body, error=answer == "error"), writer)
        elif endpoint == "invocation/next":
            await self._next(writer)
        elif endpoint == "restore/next":  # SnapStart: the snapshot is taken and restored here
            _write(writer, 200, b"")
        elif self._has_begun:
            _refuse(writer, 403, "InvalidStateTransition", "The function has initialised.")
        else:
            self.init_error = Result(body, error=True)
            self.init_failed.set()
            _write(writer, 202, b"{}")
        await writer.drain()

    async def _next(self, writer: asyncio.StreamWriter) -> None:
        assert self._invocation is not None
        self._has_begun = True
        self.next_asked.set()
        self._idle()
        invocation = await self._invocation
        self._invocation = asyncio.get_running_loop().create_future()
        self._running_id = invocation.request_id
        self.next_asked.clear()
        extra = {
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": invocation.arn,
            "Lambda-Runtime-Trace-Id": invocation.trace_id,
        }
        if invocation.client_context:
            extra["Lambda-Runtime-Client-Context"] = invocation.client_context
        _write(writer, 200, invocation.event, extra)

    def _settle(self, request_id: str, result: Result, writer: asyncio.StreamWriter) -> None:
        """Take what became of the invocation that runs; statuses and types are Lambda's own."""
        if not self._running_id:
            _refuse(writer, 403, "InvalidStateTransition", "No invocation waits for an answer.")
            return
        if not hmac.compare_digest(request_id.encode(), self._running_id.encode()):
            _refuse(writer, 400, "InvalidRequestID", "Invalid request ID")
            return
        self._running_id = ""
        if self._result is not None and not self._result.done():
            self._result.set_result(result)
        _write(writer, 202, b"{}")


def _write(
    writer: asyncio.StreamWriter, status: int, body: bytes, extra: Mapping[str, str] | None = None
) -> None:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in (extra or {}).items()]
    lines.append(f"Content-Length: {len(body)}")
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)


def _refuse(writer: asyncio.StreamWriter, status: int, kind: str, message: str) -> None:
    _write(writer, status, json.dumps({"errorMessage": message, "errorType": kind}).encode())


async def _headers(reader: asyncio.StreamReader) -> CIMultiDict[str]:
    headers: CIMultiDict[str] = CIMultiDict()
    while (line := (await reader.readline()).decode().strip()) != "":
        name, _, value = line.partition(":")
        headers[name.strip()] = value.strip()
    return headers


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return await reader.readexactly(int(headers.get("content-length", "0")))
    parts = []
    while size := int((await reader.readline()).split(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        await reader.readline()
    await _headers(reader)  # trailers
    return b"".join(parts)
