"""Serves WebSocket APIs: handshakes, messages, closes, and the frames about errors.

A handshake is held until `$connect` has answered. Every message of a connection is
invoked by itself, concurrently with those before it, as API Gateway does.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from samwire.gateway.connections import CLOSE_TIMEOUT_S, BufferFull, Connection, Connections
from samwire.gateway.events import Caller, disconnect_event, message_event
from samwire.gateway.frames import FRAME_BYTES, MeteredProtocol
from samwire.gateway.handshake import Handshakes
from samwire.gateway.identifiers import new_id, now_ms
from samwire.gateway.integrations import IntegrationFault, Integrations, IntegrationTimeout
from samwire.gateway.models import violation
from samwire.gateway.options import Assumptions, Limits
from samwire.gateway.request_authorization import Access
from samwire.gateway.selection import selected_key
from samwire.gateway.throttle import Throttle
from samwire.gateway.traffic import Traffic
from samwire.runtime.service import LambdaService, Throttled
from samwire.template.api_model import Route, WebSocketApi

MAX_MESSAGE_BYTES = 128 * 1024

# aiohttp warns of subprotocols that are not answered by naming them, and one may be a token.
logging.getLogger("aiohttp.websocket").setLevel(logging.ERROR)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class WebSocketGateway:
    """Serves the WebSocket APIs of a stack.

    Args:
        log: told what the gateway did.
        traffic: what messages pass through, and who is told of connections.
    """

    def __init__(
        self,
        service: LambdaService,
        connections: Connections,
        throttle: Throttle,
        access: Access,
        limits: Limits,
        assumptions: Assumptions,
        region: str,
        log: Callable[[str], None],
        traffic: Traffic,
    ) -> None:
        self._integrations = Integrations(service, json_template=assumptions.json_template)
        self._handshakes = Handshakes(self._integrations, throttle, access, assumptions, region)
        self._connections = connections
        self._throttle = throttle
        self._limits = limits
        self._assumptions = assumptions
        self._log = log
        self._traffic = traffic
        self._running: set[asyncio.Task[None]] = set()
        self._is_stopping = False

    def handler(self, apis: Mapping[str, WebSocketApi]) -> Handler:
        """Answer requests to `/{stage}` of one address, by stage."""

        async def handle(request: web.Request) -> web.StreamResponse:
            api = apis.get(request.match_info["stage"])
            if api is None:
                return web.json_response({"message": "Forbidden"}, status=403)
            if request.headers.get("Upgrade", "").lower() != "websocket":
                return web.Response(status=426)
            if not web.WebSocketResponse().can_prepare(request):
                return web.json_response({"message": "Bad Request"}, status=400)
            return await self._serve(api, request)

        return handle

    async def stop(self) -> None:
        """Close all connections and drop what still runs."""
        self._is_stopping = True
        closes = [
            asyncio.wait_for(connection.close(1001, "Going away"), 0.3)
            for connection in self._connections.all()
        ]
        await asyncio.gather(*closes, return_exceptions=True)
        for task in self._running:
            task.cancel()

    # --- connections ----------------------------------------------------------------

    async def _serve(self, api: WebSocketApi, request: web.Request) -> web.StreamResponse:
        await self._traffic.arrive()
        verdict = await self._handshakes.decide(api, _caller(api, request), request)
        caller = verdict.caller
        if not verdict.accepted:
            self._log(f"{caller.connection_id} refused with {verdict.status} {verdict.reason}")
            self._traffic.refused(caller, verdict.status)
            if verdict.advice:  # AWS has no such body; nor does it miss what is missing here
                body = {"message": "Internal server error", "advice": verdict.advice}
                return web.json_response(body, status=verdict.status)
            return web.Response(status=verdict.status)
        socket = web.WebSocketResponse(
            autoping=False,
            compress=self._assumptions.compression,
            max_msg_size=MAX_MESSAGE_BYTES + 1,  # aiohttp refuses what is as large as this
            timeout=CLOSE_TIMEOUT_S,
        )
        if verdict.protocol:
            # As the handler returned it, whether or not the client asked for it: aiohttp
            # itself would send only what the client offered.
            socket.headers["Sec-WebSocket-Protocol"] = verdict.protocol
        if request.transport is None or request.transport.is_closing():
            self._log(f"{caller.connection_id} left during $connect")
            self._start(self._disconnect(api, caller, *self._lost))
            return socket
        connection = Connection(caller, socket, transport=request.transport)
        if self._assumptions.strict_frames:
            self._meter(connection, request.transport)
        await socket.prepare(request)
        self._connections.add(connection)
        self._log(f"{caller.connection_id} connected")
        self._traffic.opened(connection)
        watch_task = asyncio.create_task(self._watch(connection))
        code, reason = self._lost
        try:
            code, reason = await self._receive(api, connection)
        finally:
            watch_task.cancel()
            self._connections.remove(connection)
            self._log(f"{caller.connection_id} disconnected {code} {reason}")
            self._traffic.closed(caller, code, reason)
            if not self._is_stopping:
                self._start(self._disconnect(api, caller, code, reason))
        return socket

    @property
    def _lost(self) -> tuple[int, str]:
        """What `$disconnect` is told of a connection that was lost without a close frame."""
        return self._assumptions.lost_code, self._assumptions.lost_reason

    def _meter(self, connection: Connection, transport: asyncio.Transport) -> None:
        def too_large() -> None:
            self._start(connection.close(WSCloseCode.MESSAGE_TOO_BIG, ""))

        transport.set_protocol(MeteredProtocol(transport.get_protocol(), too_large))

    async def _watch(self, connection: Connection) -> None:
        """Close a connection that is idle or too old."""
        limits = self._limits
        ends_ms = connection.caller.connected_at_ms + limits.duration_s * 1000
        while True:
            idle_ms = connection.last_active_ms + limits.idle_s * 1000
            wait_ms = min(idle_ms, ends_ms) - now_ms()
            if wait_ms <= 0:
                assumed = self._assumptions
                await connection.close(assumed.expiry_code, assumed.expiry_reason)
                return
            await asyncio.sleep(wait_ms / 1000)

    async def _disconnect(self, api: WebSocketApi, caller: Caller, code: int, reason: str) -> None:
        route = api.routes.get("$disconnect")
        if route is None:
            return
        if (code, reason) == self._lost:
            await asyncio.sleep(self._assumptions.lost_delay_s)
        with contextlib.suppress(Throttled, IntegrationFault, IntegrationTimeout):
            event = disconnect_event(caller, code, reason)
            await self._integrations.call(route.integration, event)

    # --- messages -------------------------------------------------------------------

    async def _receive(self, api: WebSocketApi, connection: Connection) -> tuple[int, str]:
        """Take messages until the connection is closed; code and reason for `$disconnect`."""
        in_order = asyncio.Lock()
        while True:
            message = await connection.socket.receive()
            if message.type is WSMsgType.TEXT:
                connection.last_active_ms = now_ms()
                if connection.closing is None:
                    self._remark_on(connection, message.data)
                    route = _route(api, message.data)
                    key = route.key if route is not None else ""
                    # Made here: a message that is delayed or comes twice is one message.
                    event = message_event(connection.caller, key, message.data)
                    handle = functools.partial(
                        self._message, api, connection, route, event, in_order
                    )
                    self._start(self._traffic.deliver(connection, message.data, handle))
            elif message.type is WSMsgType.PING:
                if self._assumptions.pings_keep_alive:
                    connection.last_active_ms = now_ms()
                await connection.socket.pong(message.data)
            elif message.type is WSMsgType.BINARY:
                await connection.close(WSCloseCode.UNSUPPORTED_DATA, "Binary is not supported")
                return 1003, "Binary is not supported"
            elif (ended := _ended(message)) is not None:
                return connection.closing or (self._lost if ended is _LOST else ended)

    async def _message(
        self,
        api: WebSocketApi,
        connection: Connection,
        route: Route | None,
        event: dict[str, Any],
        in_order: asyncio.Lock,
    ) -> None:
        try:
            async with in_order if self._assumptions.serialize else contextlib.nullcontext():
                await self._answer(api, connection, route, event)
        except Exception as problem:  # whatever it is, who has sent the message is told
            self._log(f"{connection.caller.connection_id} failed: {problem!r}")
            request_id = event["requestContext"]["requestId"]
            await self._error(connection, "Internal server error", request_id)

    async def _answer(
        self,
        api: WebSocketApi,
        connection: Connection,
        route: Route | None,
        event: dict[str, Any],
    ) -> None:
        request_id = event["requestContext"]["requestId"]
        if route is None:
            await self._error(connection, "Forbidden", request_id)
            return
        body = event["body"]
        if not self._throttle.route((api.api_id, api.stage, route.key), route.rate):
            await self._error(connection, self._assumptions.throttle_message, request_id)
            return
        wrong = violation(route, body)
        if wrong:
            self._log(f"{connection.caller.connection_id} {route.key}: {wrong}")
            await self._say(connection, _bad_request(event["requestContext"]))
            return
        try:
            answer = await self._integrations.call(route.integration, event)
            if answer.error and route.integration.is_proxy:
                await self._error(connection, "Internal server error", request_id)
            elif self._is_two_way(route):
                reply = self._integrations.reply(route.integration, answer, event)
                await self._say(connection, reply)
        except IntegrationTimeout:
            await self._error(connection, "Endpoint request timed out", request_id)
        except (Throttled, IntegrationFault) as fault:
            self._log(f"{connection.caller.connection_id} {route.key}: {fault}")
            await self._error(connection, "Internal server error", request_id)

    def _is_two_way(self, route: Route) -> bool:
        return route.two_way or (route.wants_reply and self._assumptions.two_way)

    async def _error(self, connection: Connection, message: str, request_id: str) -> None:
        """Return API Gateway's own error frame, spaced as it spaces it."""
        await self._say(
            connection,
            f'{{"message": {json.dumps(message)}, '
            f'"connectionId":"{connection.caller.connection_id}", "requestId":"{request_id}"}}',
        )

    async def _say(self, connection: Connection, frame: str) -> None:
        """Send a frame of the gateway's own: an error, or what a two-way route answered."""
        self._traffic.answered(connection.caller, frame)
        try:
            await connection.send(frame)
        except BufferFull:
            self._log(f"{connection.caller.connection_id} does not read: a frame is lost")

    def _remark_on(self, connection: Connection, body: str) -> None:
        if not connection.warned and len(body.encode()) > FRAME_BYTES:
            connection.warned = True
            self._log(
                f"{connection.caller.connection_id} sent a message of more than 32 KB: API "
                "Gateway closes the connection (1009) if that comes in one frame"
            )

    def _start(self, coroutine: Awaitable[None]) -> None:
        task = asyncio.ensure_future(coroutine)
        self._running.add(task)
        task.add_done_callback(self._running.discard)


_LOST = (1006, "")


def _ended(message: WSMessage) -> tuple[int, str] | None:
    """Return how a connection has ended; None if it has not."""
    if message.type is WSMsgType.CLOSE:
        if not message.data:
            return 1005, "Client-side close frame status not set"
        return int(message.data), str(message.extra or "")
    if message.type is WSMsgType.ERROR:
        code = getattr(message.data, "code", None)
        return _LOST if code is None else (int(code), "")
    return _LOST if message.type in (WSMsgType.CLOSING, WSMsgType.CLOSED) else None


def _route(api: WebSocketApi, body: str) -> Route | None:
    key = selected_key(api.route_selection_expression, body)
    route = api.routes.get(key) if not key.startswith(("$connect", "$disconnect")) else None
    return route or api.routes.get("$default")


def _bad_request(context: Mapping[str, str]) -> str:
    """Return the frame about a message that does not fit its model, spaced as API Gateway does."""
    return (
        f'{{"message" : "Bad request body", "connectionId": "{context["connectionId"]}", '
        f'"messageId": "{context["messageId"]}"}}'
    )


def _caller(api: WebSocketApi, request: web.Request) -> Caller:
    return Caller(
        connection_id=new_id(),
        connected_at_ms=now_ms(),
        api_id=api.api_id,
        stage=api.stage,
        domain_name=api.domain_name,
        source_ip=request.remote or "127.0.0.1",
        user_agent=request.headers.get("User-Agent"),
        stage_variables=api.stage_variables,
    )
