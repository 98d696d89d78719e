"""Serves a WSGI application over connections that are kept alive, one request after the other.

werkzeug's own server, which moto comes with, ends every connection after one answer. AWS keeps
them, and SDKs count on it: a new connection costs a call more than its work does.

One request at a time makes each as atomic as it is on AWS: moto itself has no lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from aiohttp import web
from multidict import CIMultiDict

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_MAX_HEADER_BYTES = 65_536
"""As Python's own server has it: presigned URLs are long."""
_MAX_BODY_BYTES = 6 * 1024**3
"""More than S3 takes at once."""


@contextlib.asynccontextmanager
async def serving(
    app: Wsgi, host: str, port: int, delay: Callable[[Mapping[str, Any]], float] = lambda _: 0.0
) -> AsyncIterator[int]:
    """Serve while entered; gives the port.

    Args:
        port: 0 for any.
        delay: how much later a request, by its environ, is answered than it could be, in seconds.

    Raises:
        OSError: the port is taken.
    """

    async def answer(request: web.Request) -> web.Response:
        environ = _environ(request, await request.read())
        try:
            answered = _answered(app, environ)
            if delay_s := delay(environ):
                await asyncio.sleep(delay_s)
            return answered
        except Exception:
            traceback.print_exc()
            return web.Response(status=500, text="Internal Server Error")

    site = web.Application(client_max_size=_MAX_BODY_BYTES)
    site.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(
        site,
        access_log=None,
        auto_decompress=False,  # what is stored is what was sent
        max_line_size=_MAX_HEADER_BYTES,
        max_field_size=_MAX_HEADER_BYTES,
        keepalive_timeout=3600,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def _environ(request: web.Request, body: bytes) -> dict[str, Any]:
    """Return the request in the words of PEP 3333, and with what werkzeug adds to them."""
    path, _, query = request.raw_path.partition("?")
    host, port = request.get_extra_info("sockname")[:2]
    caller, caller_port = request.get_extra_info("peername")[:2]
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "REQUEST_URI": request.raw_path,
        "RAW_URI": request.raw_path,
        "REMOTE_ADDR": caller,
        "REMOTE_PORT": caller_port,
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(body)),
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in request.headers.items():
        key = "HTTP_" + name.upper().replace("-", "_")
        if key not in ("HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING"):
            environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ


def _answered(app: Wsgi, environ: dict[str, Any]) -> web.Response:
    """Return what the application answers."""
    begun: list[tuple[str, list[tuple[str, str]]]] = []
    written: list[bytes] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], _exception: object = None
    ) -> Callable[[bytes], None]:
        begun.append((status, headers))
        return written.append

    parts = app(environ, start_response)
    try:
        written.extend(parts)
    finally:
        if close := getattr(parts, "close", None):
            close()
    code, _, reason = begun[-1][0].partition(" ")
    headers = CIMultiDict(begun[-1][1])
    return web.Response(body=b"".join(written), status=int(code), reason=reason, headers=headers)
