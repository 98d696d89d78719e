"""Takes execution environments away when asked: `DELETE /_local/environments[/FUNCTION]`.

Lambda does so whenever it likes, and a function must bear it; here it can be tried.
"""

from __future__ import annotations

from aiohttp import web

from samwire.runtime.service import LambdaService, UnknownFunction

PATH = "/_local/environments"


def routes(service: LambdaService) -> list[web.RouteDef]:
    """Return the routes."""

    async def renew(request: web.Request) -> web.Response:
        try:
            service.renew(request.match_info.get("name", ""))
        except UnknownFunction as unknown:
            return web.json_response({"message": str(unknown)}, status=404)
        return web.Response(status=204)

    return [web.delete(PATH, renew), web.delete(f"{PATH}/{{name}}", renew)]
