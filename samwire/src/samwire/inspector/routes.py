"""The inspector over HTTP: its page at `/_local`, and the journal as server-sent events."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from aiohttp import web

from samwire.inspector.journal import Journal

PREFIX = "/_local"
_PAGE = Path(__file__).parent / "page"
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
KEEP_ALIVE_S = 15.0
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""What it shows was sent by whoever connects: nothing of it may run."""


def routes(journal: Journal) -> list[web.RouteDef]:
    """Return the routes."""

    async def to_page(_request: web.Request) -> web.Response:
        raise web.HTTPFound(f"{PREFIX}/")

    async def page(request: web.Request) -> web.Response:
        path = _PAGE / (request.match_info.get("file") or "index.html")
        if path.suffix not in _TYPES or path.parent != _PAGE or not path.is_file():
            return web.Response(status=404, text="Not found")
        return web.Response(
            text=path.read_text(),
            content_type=_TYPES[path.suffix],
            headers=_HEADERS,
        )

    async def events(request: web.Request) -> web.StreamResponse:
        return await _follow(journal, request)

    async def entries(request: web.Request) -> web.Response:
        found = journal.after(_number(request.query.get("after", "")))
        return web.Response(text=f"[{','.join(found)}]", content_type="application/json")

    return [
        web.get(PREFIX, to_page),
        web.get(f"{PREFIX}/", page),
        web.get(f"{PREFIX}/events", events),
        web.get(f"{PREFIX}/events.json", entries),
        web.get(f"{PREFIX}/page/{{file}}", page),
    ]


async def _follow(journal: Journal, request: web.Request) -> web.StreamResponse:
    """Send entries as they come; a browser that comes back names the last one it has.

    The event `live` tells that it has all there were when it came.
    """
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
    )
    await response.prepare(request)
    queue = journal.follow(_number(request.headers.get("Last-Event-ID", "")))
    missed = queue.qsize()
    try:
        while journal.follows(queue) or not queue.empty():
            if missed == 0:
                await response.write(b"event: live\ndata:\n\n")
            missed -= 1
            try:
                entry = await asyncio.wait_for(queue.get(), KEEP_ALIVE_S)
            except TimeoutError:
                await response.write(b": still here\n\n")
                continue
            number = json.loads(entry)["id"]
            await response.write(f"id: {number}\ndata: {entry}\n\n".encode())
    except ConnectionResetError:
        pass
    finally:
        journal.leave(queue)
    return response


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0
