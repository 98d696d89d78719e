"""Keeps other sites' pages away from an application of aiohttp; see `samwire.cross_site`.

A module of its own: moto's process, which keeps them away as well, has no use for aiohttp.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from samwire.cross_site import CrossSiteRules, Surface, find_cross_site_refusal


def cross_site_middleware(
    surface: Callable[[web.Request], Surface] = lambda _request: Surface.PRIVATE,
    rules: CrossSiteRules | None = None,
) -> Middleware:
    """Return a middleware that answers 403 to the pages of other sites.

    Args:
        surface: what a request is for; by default all are for this machine alone.
    """
    allowed = rules or CrossSiteRules()

    @web.middleware
    async def keep_out(request: web.Request, handler: Handler) -> web.StreamResponse:
        refused = find_cross_site_refusal(
            request.headers, surface(request), allowed, request.method, request.scheme
        )
        if refused:
            return web.json_response({"message": refused}, status=403)
        return await handler(request)

    return keep_out
