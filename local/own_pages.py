"""Keeps other sites' pages away from an application of aiohttp; see `local.strangers`.

A module of its own: moto's process, which keeps them away as well, has no use for aiohttp.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from local.strangers import stranger


def own_pages_only(concerns: Callable[[web.Request], bool]) -> Middleware:
    """A middleware that answers 403 to strangers.

    Args:
        concerns: which requests are for this machine alone.
    """

    @web.middleware
    async def keep_out(request: web.Request, handler: Handler) -> web.StreamResponse:
        refused = stranger(request.headers) if concerns(request) else None
        if refused:
            return web.json_response({"message": refused}, status=403)
        return await handler(request)

    return keep_out
