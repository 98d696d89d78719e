"""Serves WebSocket APIs: handshakes, messages, closes, and the frames about errors.

A handshake is held until `$connect` has answered. Every message of a connection is
invoked by itself, concurrently with those before it, as API Gateway does.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from local.gateway.connections import Connection, Connections
from local.gateway.events import Caller, connect_event, disconnect_event, message_event
from local.gateway.identifiers import new_id, now_ms
from local.gateway.selection import selected_key
from local.gateway.traffic import Traffic
from local.runtime.call import Result
from local.runtime.service import LambdaService, Throttled, UnknownFunction
from local.template.model import Route, WebSocketApi

MAX_MESSAGE_BYTES = 128 * 1024
FRAME_BYTES = 32 * 1024
"""API Gateway's limit of one frame. Browsers cannot choose their frames, and published
samples exceed it, so a larger message is remarked on and let through."""
CLOSE_TIMEOUT_S = 2.0
ABNORMAL = (1006, "")
"""What `$disconnect` is told of a connection that was lost without a close frame."""


@dataclass(frozen=True, slots=True)
class Limits:
    """API Gateway's limits ("Amazon API Gateway quotas"); shorter ones make them testable.

    Attributes:
        idle_s: without a message in either direction for this long, a connection is closed.
        duration_s: no connection lives longer.
    """

    idle_s: float = 600.0
    duration_s: float = 7200.0


class WebSocketGateway:
    """Serves the WebSocket APIs of a stack.

    Args:
        apis: by stage; one API for each stage.
        domain_name: what events say the API's host is.
        log: told what the gateway did.
        traffic: what messages pass through, and who is told of connections.
    """

    def __init__(
        self,
        apis: dict[str, WebSocketApi],
        service: LambdaService,
        connections: Connections,
        domain_name: str,
        limits: Limits,
        log: Callable[[str], None],
        traffic: Traffic,
    ) -> None:
        self._apis = apis
        self._service = service
        self._connections = connections
        self._domain_name = domain_name
        self._limits = limits
        self._log = log
        self._traffic = traffic
        self._running: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """A request to `/{stage}`."""
        api = self._apis.get(request.match_info["stage"])
        if api is None:
            return web.json_response({"message": "Forbidden"}, status=403)
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return web.Response(status=426)
        caller = self._caller(api, request)
        status, protocol = await self._connect(api, caller, request)
        if not 200 <= status < 300:
            self._log(f"{caller.connection_id} refused with {status}")
            self._traffic.refused(caller, status)
            return web.Response(status=status)
        socket = web.WebSocketResponse(
            compress=False,
            max_msg_size=MAX_MESSAGE_BYTES + 1,  # aiohttp refuses what is as large as this
            timeout=CLOSE_TIMEOUT_S,
        )
        if protocol:
            # As the handler returned it, whether or not the client asked for it: aiohttp
            # itself would send only what the client offered.
            socket.headers["Sec-WebSocket-Protocol"] = protocol
        if request.transport is None or request.transport.is_closing():
            self._log(f"{caller.connection_id} left during $connect")
            self._start(self._disconnect(api, caller, *ABNORMAL))
            return socket
        await socket.prepare(request)
        connection = Connection(caller, socket, transport=request.transport)
        self._connections.add(connection)
        self._log(f"{caller.connection_id} connected")
        self._traffic.opened(connection)
        watching = asyncio.create_task(self._watch(connection))
        code, reason = ABNORMAL
        try:
            code, reason = await self._receive(api, connection)
        finally:
            watching.cancel()
            self._connections.remove(connection)
            self._log(f"{caller.connection_id} disconnected {code} {reason}")
            self._traffic.closed(caller, code, reason)
            if not self._stopping:
                self._start(self._disconnect(api, caller, code, reason))
        return socket

    async def stop(self) -> None:
        """Close all connections and drop what still runs."""
        self._stopping = True
        closes = [
            asyncio.wait_for(connection.close(1001, "Going away"), 0.3)
            for connection in self._connections.all()
        ]
        await asyncio.gather(*closes, return_exceptions=True)
        for task in self._running:
            task.cancel()

    def _caller(self, api: WebSocketApi, request: web.Request) -> Caller:
        return Caller(
            connection_id=new_id(),
            connected_at_ms=now_ms(),
            api_id=api.api_id,
            stage=api.stage,
            domain_name=self._domain_name,
            source_ip=request.remote or "127.0.0.1",
            user_agent=request.headers.get("User-Agent"),
            stage_variables=api.stage_variables,
        )

    async def _connect(
        self, api: WebSocketApi, caller: Caller, request: web.Request
    ) -> tuple[int, str]:
        """The status of the handshake, and the subprotocol that the handler chose."""
        route = api.routes.get("$connect")
        if route is None:
            return 200, ""
        port = request.transport.get_extra_info("sockname")[1] if request.transport else 0
        event = connect_event(
            caller, request.headers, request.query, port=port, secure=request.secure
        )
        try:
            result = await self._invoke(route, event)
        except Throttled:
            return 429, ""
        except UnknownFunction:
            return 500, ""
        except TimeoutError:
            return 504, ""
        return (502, "") if result.error else _answer(_object(result))

    async def _receive(self, api: WebSocketApi, connection: Connection) -> tuple[int, str]:
        """Take messages until the connection is closed; code and reason for `$disconnect`."""
        socket = connection.socket
        while True:
            message = await socket.receive()
            if message.type is WSMsgType.TEXT:
                connection.last_active_ms = now_ms()
                self._remark_on(connection, message.data)
                handle = functools.partial(self._message, api, connection, message.data)
                self._start(self._traffic.deliver(connection, message.data, handle))
            elif message.type is WSMsgType.BINARY:
                await connection.close(WSCloseCode.UNSUPPORTED_DATA, "Binary is not supported")
                return 1003, "Binary is not supported"
            elif message.type is WSMsgType.CLOSE:
                if connection.closing:
                    return connection.closing
                if not message.data:
                    return 1005, "Client-side close frame status not set"
                return int(message.data), str(message.extra or "")
            elif message.type is WSMsgType.ERROR:
                return int(getattr(message.data, "code", ABNORMAL[0])), ""
            elif message.type in (WSMsgType.CLOSING, WSMsgType.CLOSED):
                return connection.closing or ABNORMAL

    async def _message(self, api: WebSocketApi, connection: Connection, body: str) -> None:
        key = selected_key(api.route_selection_expression, body)
        route = api.routes.get(key) if not key.startswith(("$connect", "$disconnect")) else None
        route = route or api.routes.get("$default")
        if route is None:
            await self._error(connection, "Forbidden", new_id())
            return
        event = message_event(connection.caller, route.key, body)
        request_id = event["requestContext"]["requestId"]
        try:
            result = await self._invoke(route, event)
        except TimeoutError:
            await self._error(connection, "Endpoint request timed out", request_id)
            return
        except (Throttled, UnknownFunction):
            await self._error(connection, "Internal server error", request_id)
            return
        if result.error:
            await self._error(connection, "Internal server error", request_id)
        elif route.two_way:
            frame = str(_object(result).get("body") or "")
            self._traffic.answered(connection.caller, frame)
            await connection.send(frame)

    async def _disconnect(self, api: WebSocketApi, caller: Caller, code: int, reason: str) -> None:
        route = api.routes.get("$disconnect")
        if route is not None:
            with contextlib.suppress(Throttled, UnknownFunction, TimeoutError):
                await self._invoke(route, disconnect_event(caller, code, reason))

    async def _invoke(self, route: Route, event: dict[str, Any]) -> Result:
        """Invoke; the function goes on when the integration's time is up."""
        payload = json.dumps(event, separators=(",", ":")).encode()
        working = asyncio.ensure_future(self._service.invoke(route.function, payload))
        return await asyncio.wait_for(asyncio.shield(working), route.timeout_s)

    async def _error(self, connection: Connection, message: str, request_id: str) -> None:
        """API Gateway's own error frame, spaced as it spaces it."""
        frame = (
            f'{{"message": "{message}", "connectionId":"{connection.caller.connection_id}", '
            f'"requestId":"{request_id}"}}'
        )
        self._traffic.answered(connection.caller, frame)
        await connection.send(frame)

    def _remark_on(self, connection: Connection, body: str) -> None:
        if len(body) > FRAME_BYTES and not connection.warned:
            connection.warned = True
            self._log(
                f"{connection.caller.connection_id} sent a message of more than 32 KB: API "
                "Gateway closes the connection (1009) if that comes in one frame"
            )

    async def _watch(self, connection: Connection) -> None:
        """Close a connection that is idle or too old."""
        limits = self._limits
        ends_ms = connection.caller.connected_at_ms + limits.duration_s * 1000
        while True:
            idle_ms = connection.last_active_ms + limits.idle_s * 1000
            wait_ms = min(idle_ms, ends_ms) - now_ms()
            if wait_ms <= 0:
                await connection.close(1001, "Going away")
                return
            await asyncio.sleep(wait_ms / 1000)

    def _start(self, coroutine: Any) -> None:
        task = asyncio.create_task(coroutine)
        self._running.add(task)
        task.add_done_callback(self._running.discard)


def _answer(answer: dict[str, Any]) -> tuple[int, str]:
    """Status and subprotocol of a handshake; 502 for what is no proxy response."""
    status, headers = answer.get("statusCode"), answer.get("headers") or {}
    if not isinstance(status, int) or not 200 <= status < 600 or not isinstance(headers, dict):
        return 502, ""
    named = {str(name).lower(): str(value) for name, value in headers.items()}
    return status, named.get("sec-websocket-protocol", "")


def _object(result: Result) -> dict[str, Any]:
    try:
        found = json.loads(result.payload)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
