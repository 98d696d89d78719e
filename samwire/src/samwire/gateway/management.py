"""The `@connections` management API, as boto3 and signed HTTP requests use it."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiohttp import web

from samwire.gateway.authorizers import method_arn
from samwire.gateway.connections import BufferFull, Connection, Connections
from samwire.gateway.identifiers import iso_time
from samwire.gateway.options import Assumptions
from samwire.gateway.request_authorization import Access, NotAllowed
from samwire.gateway.throttle import Throttle
from samwire.template.api_model import WebSocketApi

MAX_PAYLOAD_BYTES = 128 * 1024
_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{15}=")
"""11 bytes as base64url with padding, as every id is that was seen on AWS."""

Handler = Callable[[web.Request], Awaitable[web.Response]]
Call = Callable[[web.Request, Connection], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True)
class ManagementApi:
    """The management API of one address.

    Attributes:
        apis: by stage.
    """

    apis: Mapping[str, WebSocketApi]
    connections: Connections
    throttle: Throttle
    access: Access
    assumptions: Assumptions
    region: str

    def routes(self) -> list[web.RouteDef]:
        """Return its routes. aiohttp has decoded `%40` and `%3D` by then."""
        path = "/{stage}/@connections/{connection}"
        return [
            web.route("*", "/@connections/{connection}", _without_stage),
            web.post(path, self._found(self._post)),
            web.get(path, self._found(_get)),
            web.delete(path, self._found(self._delete)),
        ]

    def _found(self, call: Call) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            api = self.apis.get(request.match_info["stage"])
            if api is None:
                return _refusal(403, "ForbiddenException", _message("Forbidden"))
            connection_id = request.match_info["connection"]
            refused = await self._refused(api, request, connection_id)
            if refused is not None:
                return refused
            connection = self.connections.find(api.api_id, connection_id)
            return self._gone() if connection is None else await call(request, connection)

        return handle

    async def _refused(
        self, api: WebSocketApi, request: web.Request, connection_id: str
    ) -> web.Response | None:
        """Return the answer to a request that goes no further."""
        rest = f"{request.method}/@connections/{connection_id}"
        resource = method_arn(self.region, api.api_id, api.stage, rest)
        body = await request.read()
        try:
            self.access.check(request.method, request.raw_path, request.headers, body, resource)
        except NotAllowed as refusal:
            return _refusal(403, "ForbiddenException", _message(str(refusal)))
        if not self.throttle.request():
            return self._limited()
        if not _is_well_formed(connection_id):
            status = self.assumptions.malformed_id_status
            if status == 410:
                return self._gone()
            said = _message(f"Invalid connectionId: {connection_id}")
            return _refusal(status, "BadRequestException", said)
        return None

    async def _post(self, request: web.Request, connection: Connection) -> web.Response:
        body = await request.read()
        if len(body) > MAX_PAYLOAD_BYTES:
            return _refusal(413, "PayloadTooLargeException", self.assumptions.too_large_body)
        errors = "replace" if self.assumptions.binary_post == "replace" else "strict"
        try:
            text = body.decode(errors=errors)
        except UnicodeDecodeError:
            return _refusal(400, "BadRequestException", _message("The data is no text"))
        try:
            sent = await connection.send(text)
        except BufferFull:
            return self._limited()
        return web.Response(status=200) if sent else self._gone()

    async def _delete(self, _request: web.Request, connection: Connection) -> web.Response:
        assumed = self.assumptions
        told = (1000, "Connection Closed Normally")
        await connection.close(assumed.delete_code, assumed.delete_reason, told=told)
        return web.Response(status=204)

    def _limited(self) -> web.Response:
        return _refusal(429, "LimitExceededException", self.assumptions.limit_body)

    def _gone(self) -> web.Response:
        """Return 410. Its body is empty, and boto3 needs the header to name the exception."""
        return _refusal(410, "GoneException", self.assumptions.gone_body)


async def _without_stage(_request: web.Request) -> web.Response:
    return _refusal(403, "ForbiddenException", _message("Forbidden"))


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


def _is_well_formed(connection_id: str) -> bool:
    """Return whether it may be one of API Gateway's identifiers."""
    return _IDENTIFIER.fullmatch(connection_id) is not None


def _message(text: str) -> str:
    return json.dumps({"message": text})


def _refusal(status: int, kind: str, body: str) -> web.Response:
    headers = {"x-amzn-ErrorType": kind}
    if not body:
        return web.Response(status=status, headers=headers)
    return web.Response(status=status, text=body, content_type="application/json", headers=headers)
