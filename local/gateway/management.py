"""The `@connections` management API, as boto3 and signed HTTP requests use it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from aiohttp import web

from local.gateway.connections import Connection, Connections
from local.gateway.identifiers import iso_time
from local.template.model import WebSocketApi

MAX_PAYLOAD_BYTES = 128 * 1024

Handler = Callable[[web.Request], Awaitable[web.Response]]


def routes(apis: dict[str, WebSocketApi], connections: Connections) -> list[web.RouteDef]:
    """The routes of the management API. aiohttp has decoded `%40` and `%3D` by then."""

    def found(handler: Callable[[web.Request, Connection], Awaitable[web.Response]]) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            api = apis.get(request.match_info["stage"])
            if api is None:
                return _refusal(403, "ForbiddenException", "Forbidden")
            if "Authorization" not in request.headers:
                return _refusal(403, "ForbiddenException", "Missing Authentication Token")
            connection = connections.find(api.api_id, request.match_info["connection"])
            if connection is None:
                return _gone()
            return await handler(request, connection)

        return handle

    async def without_stage(_request: web.Request) -> web.Response:
        return _refusal(403, "ForbiddenException", "Forbidden")

    path = "/{stage}/@connections/{connection}"
    return [
        web.route("*", "/@connections/{connection}", without_stage),
        web.post(path, found(_post)),
        web.get(path, found(_get)),
        web.delete(path, found(_delete)),
    ]


async def _post(request: web.Request, connection: Connection) -> web.Response:
    body = await request.read()
    if len(body) > MAX_PAYLOAD_BYTES:
        return _refusal(413, "PayloadTooLargeException", "Payload too large")
    sent = await connection.send(body.decode(errors="replace"))
    return web.Response(status=200) if sent else _gone()


async def _get(_request: web.Request, connection: Connection) -> web.Response:
    identity = {"sourceIp": connection.caller.source_ip}
    if connection.caller.user_agent is not None:
        identity["userAgent"] = connection.caller.user_agent
    return web.json_response(
        {
            "connectedAt": iso_time(connection.caller.connected_at_ms),
            "identity": identity,
            "lastActiveAt": iso_time(connection.last_active_ms),
        }
    )


async def _delete(_request: web.Request, connection: Connection) -> web.Response:
    await connection.close(1000, "", told=(1000, "Connection Closed Normally"))
    return web.Response(status=204)


def _gone() -> web.Response:
    """410; its body is empty, and boto3 needs the header to name the exception."""
    return web.Response(status=410, headers={"x-amzn-ErrorType": "GoneException"})


def _refusal(status: int, kind: str, message: str) -> web.Response:
    return web.Response(
        status=status,
        text=json.dumps({"message": message}),
        content_type="application/json",
        headers={"x-amzn-ErrorType": kind},
    )
