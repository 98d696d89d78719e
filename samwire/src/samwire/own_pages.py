"""Keeps other sites' pages away from an application of aiohttp; see `samwire.strangers`.

A module of its own: moto's process, which keeps them away as well, has no use for aiohttp.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from samwire.strangers import Doors, Surface, stranger


def own_pages_only(
    surface: Callable[[web.Request], Surface] = lambda _request: Surface.PRIVATE,
    doors: Doors | None = None,
) -> Middleware:
    """Return a middleware that answers 403 to strangers.

    Args:
        surface: what a request is for; by default all are for this machine alone.
    """
    opened = doors or Doors()

    @web.middleware
    async def keep_out(request: web.Request, handler: Handler) -> web.StreamResponse:
        refused = stranger(
            request.headers, surface(request), opened, request.method, request.scheme
        )
        if refused:
            return web.json_response({"message": refused}, status=403)
        return await handler(request)

    return keep_out
