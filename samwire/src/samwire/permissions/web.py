"""Permissions in front of the Invoke API and `@connections`, and a way to change them.

`GET /_local/permissions` shows what every role may do; `PUT` with the same shape, all or
some of the roles, replaces that from the next call on.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from samwire.permissions.answers import refusal
from samwire.permissions.calls.access import Access
from samwire.permissions.calls.compute import invoke, manage_connections
from samwire.permissions.calls.http import HttpCall
from samwire.permissions.guard import Guard
from samwire.permissions.identities import Directory, Role
from samwire.permissions.policies import PolicyError

CONTROL_PATH = "/_local/permissions"


def permissions(
    guard: Guard, account_id: str, api_ids: Mapping[str, str], log: Callable[[str], None]
) -> Middleware:
    """Return the middleware.

    Args:
        api_ids: of the APIs, by the stage that they are served at.
        log: told the sentence of every refusal.
    """

    @web.middleware
    async def ask_first(request: web.Request, handler: Handler) -> web.StreamResponse:
        asked = _asked(request, account_id, api_ids)
        if asked is not None:
            call, access = asked
            session = guard.session(call)
            denial = session and guard.denial(call, session, [access])
            if denial:
                refused = refusal(access.action.partition(":")[0], denial)
                log(refused.sentence)
                return web.Response(
                    status=refused.status, body=refused.body, headers=refused.headers
                )
        return await handler(request)

    return ask_first


def control(guard: Guard, publish: Callable[[Directory], Awaitable[None]]) -> list[web.RouteDef]:
    """Return the routes that show and change permissions.

    Args:
        publish: told of every change, for guards elsewhere.
    """

    async def show(_request: web.Request) -> web.Response:
        return web.json_response({"roles": guard.directory.as_json()["roles"]})

    async def change(request: web.Request) -> web.Response:
        try:
            data = json.loads(await request.text())
            given = data.get("roles") if isinstance(data, dict) else None
            if not isinstance(given, dict):
                raise PolicyError("roles must be an object: what each may do, by its name.")
            unknown = [name for name in given if name not in guard.directory.roles]
            if unknown:
                raise PolicyError(f"The template has no role {unknown[0]}.")
            guard.replace({name: Role.from_json(name, role) for name, role in given.items()})
        except (PolicyError, ValueError) as error:
            return web.json_response({"message": str(error)}, status=400)
        await publish(guard.directory)
        return web.Response(status=204)

    return [web.get(CONTROL_PATH, show), web.put(CONTROL_PATH, change)]


def _asked(
    request: web.Request, account_id: str, api_ids: Mapping[str, str]
) -> tuple[HttpCall, Access] | None:
    """Return the request and the permission it needs; None if it needs none."""
    matched = request.match_info
    invokes = request.path.endswith("/invocations") and "function" in matched
    if not invokes and "connection" not in matched:
        return None
    call = HttpCall(
        method=request.method,
        path=request.path,
        query=request.query_string,
        headers={name.lower(): value for name, value in request.headers.items()},
        body=b"",
        source_ip=request.remote or "",
        account_id=account_id,
    )
    if invokes:
        return call, invoke(call, matched["function"], request.query.get("Qualifier", ""))
    stage = matched.get("stage", "")
    api_id = api_ids.get(stage)
    return None if api_id is None else (call, manage_connections(call, api_id, stage))
