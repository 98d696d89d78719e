"""Takes execution environments away when asked: `DELETE /_local/environments[/FUNCTION]`.

Lambda does so whenever it likes, and a function must bear it; here it can be tried. `PUT` takes
them away as well, and gives the next ones other variables, as a deployment would. `POST …/kill`
kills those that run, in the middle of their invocations.
"""

from __future__ import annotations

import json

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

    async def set_variables(request: web.Request) -> web.Response:
        try:
            variables = _variables(await request.text())
            service.set_variables(request.match_info["name"], variables)
        except ValueError as invalid:
            return web.json_response({"message": str(invalid)}, status=400)
        except UnknownFunction as unknown:
            return web.json_response({"message": str(unknown)}, status=404)
        return web.Response(status=204)

    async def kill(request: web.Request) -> web.Response:
        try:
            killed = await service.kill_running(request.match_info["name"])
        except UnknownFunction as unknown:
            return web.json_response({"message": str(unknown)}, status=404)
        return web.json_response({"killed": killed})

    return [
        web.delete(PATH, renew),
        web.post(f"{PATH}/{{name}}/kill", kill),
        web.delete(f"{PATH}/{{name}}", renew),
        web.put(f"{PATH}/{{name}}", set_variables),
    ]


def _variables(text: str) -> dict[str, str]:
    """Read `{"Variables": {"NAME": "value"}}`, as Lambda's UpdateFunctionConfiguration takes it.

    Raises:
        ValueError: it is something else.
    """
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    variables = content.get("Variables") if isinstance(content, dict) else None
    if not isinstance(variables, dict) or not all(isinstance(v, str) for v in variables.values()):
        raise ValueError('Wanted: {"Variables": {"NAME": "value"}}')
    return variables
