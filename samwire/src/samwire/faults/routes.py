"""Faults over HTTP: PUT a plan to `/_local/faults`, GET it with its counts, DELETE it."""

from __future__ import annotations

from aiohttp import web

from samwire.faults.faults import Faults
from samwire.faults.plan import BadPlan, Plan, read_plan

PATH = "/_local/faults"


def routes(faults: Faults) -> list[web.RouteDef]:
    """Return the routes."""

    async def show(_request: web.Request) -> web.Response:
        return web.json_response(faults.described())

    async def replace(request: web.Request) -> web.Response:
        try:
            faults.replace(read_plan(await request.read()))
        except BadPlan as problem:
            return web.json_response({"message": str(problem)}, status=400)
        return web.json_response(faults.described())

    async def remove(_request: web.Request) -> web.Response:
        faults.replace(Plan())
        return web.json_response(faults.described())

    return [web.get(PATH, show), web.put(PATH, replace), web.delete(PATH, remove)]
