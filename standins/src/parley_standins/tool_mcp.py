"""MCP over streamable HTTP, at `/mcp`: 2026-07-28, which has no sessions, and 2025-11-25.

It lists and calls the ledger's tools. It has no stream of its own, and asks a client nothing.
"""

from __future__ import annotations

import hmac
import json
import uuid
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from parley_standins.control_api import begin_record
from parley_standins.request_log import RequestLog
from parley_standins.tool_ledger import TOOLS, LedgerTool, ToolRefused
from parley_standins.tool_runs import FailedWith, ToolOddities, ToolRuns

MODERN, LEGACY = "2026-07-28", "2025-11-25"
INFO = {"name": "parley-standins", "version": "1"}
CAPABILITIES = {"tools": {"listChanged": False}}
KEY_ENDS = "idempotency-key"
"""Ends the name in `_meta` of a call's key. MCP itself has none."""

HEADER_MISMATCH, UNSUPPORTED_VERSION = -32020, -32022
INVALID_REQUEST, UNKNOWN_METHOD, INVALID_PARAMS = -32600, -32601, -32602
_META = "io.modelcontextprotocol/"


class RpcRefused(Exception):
    """A request that is answered with a JSON-RPC error."""

    def __init__(self, status: int, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.status = status
        self.error = {"code": code, "message": message} | ({} if data is None else {"data": data})


class McpServer:
    """The handlers.

    Args:
        api_key: the one that it takes, if it wants any.
    """

    def __init__(self, api_key: str, runs: ToolRuns, recorder: RequestLog) -> None:
        self._api_key = api_key
        self._runs = runs
        self._recorder = recorder
        self._sessions: set[str] = set()

    def routes(self) -> list[web.RouteDef]:
        """Return routes to add to an application."""
        return [web.post("/mcp", self._post), web.delete("/mcp", self._delete)]

    @property
    def _oddities(self) -> ToolOddities:
        return self._runs.controls.settings.oddities

    async def _delete(self, request: web.Request) -> web.Response:
        self._sessions.discard(request.headers.get("Mcp-Session-Id", ""))
        return web.Response(status=204)

    async def _post(self, request: web.Request) -> web.StreamResponse:
        record = begin_record(self._recorder, request)
        message: Any = None
        try:
            message = await self._read(request)
            record.body = message
            response = await self._answer(request, message)
        except RpcRefused as refused:
            self._recorder.refusals[f"mcp {refused.error['code']}"] += 1
            given = message.get("id") if isinstance(message, dict) else None
            body = {"jsonrpc": "2.0", "id": given, "error": refused.error}
            response = web.json_response(body, status=refused.status)
        except FailedWith as failed:
            response = web.json_response({"error": str(failed)}, status=failed.status)
        record.end(status=response.status)
        return response

    async def _read(self, request: web.Request) -> dict[str, Any]:
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self._oddities.mcp_key and not hmac.compare_digest(
            bearer.encode(), self._api_key.encode()
        ):
            raise FailedWith(401)
        accepts = request.headers.get("Accept", "")
        if not ("application/json" in accepts and "text/event-stream" in accepts):
            message = (
                "Not Acceptable: Client must accept both application/json and text/event-stream"
            )
            raise RpcRefused(406, INVALID_REQUEST, message)
        try:
            message = json.loads(await request.read())
        except ValueError:
            raise RpcRefused(400, -32700, "Parse error") from None
        if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
            raise RpcRefused(400, INVALID_REQUEST, "Invalid request")
        return message

    async def _answer(self, request: web.Request, message: dict[str, Any]) -> web.StreamResponse:
        method, params = str(message.get("method")), message.get("params") or {}
        if "id" not in message:
            return web.Response(status=202)
        version = request.headers.get("MCP-Protocol-Version", "")
        if method == "initialize":
            return self._initialize(message["id"], params)
        if version == LEGACY and LEGACY in self._oddities.versions:
            session = request.headers.get("Mcp-Session-Id", "")
            if session not in self._sessions:
                raise RpcRefused(404, INVALID_REQUEST, "Session not found")
            is_modern = False
        else:
            self._check_modern(request, method, params, version)
            is_modern = True
        result = await self._result(request, method, params, is_modern)
        return await self._respond(request, message["id"], method, result)

    def _check_modern(
        self, request: web.Request, method: str, params: Mapping[str, Any], version: str
    ) -> None:
        supported = list(self._oddities.versions)
        if MODERN not in supported and not version.startswith("2026"):
            raise RpcRefused(400, INVALID_REQUEST, "Bad Request: Missing session ID")
        if version not in supported:
            data = {"supported": supported, "requested": version}
            raise RpcRefused(400, UNSUPPORTED_VERSION, "Unsupported protocol version", data)
        meta = params.get("_meta") or {}
        named = {"Mcp-Method": method, "MCP-Protocol-Version": meta.get(f"{_META}protocolVersion")}
        if method == "tools/call":
            named["Mcp-Name"] = params.get("name")
        for header, value in named.items():
            if request.headers.get(header) != value:
                raise RpcRefused(400, HEADER_MISMATCH, f"{header} does not match the body")
        if not isinstance(meta.get(f"{_META}clientCapabilities"), dict):
            message = f"_meta.{_META}clientCapabilities is missing"
            raise RpcRefused(400, INVALID_PARAMS, message)

    def _initialize(self, given: object, params: Mapping[str, Any]) -> web.Response:
        if LEGACY not in self._oddities.versions:
            data = {"supported": [MODERN], "requested": params.get("protocolVersion")}
            raise RpcRefused(400, UNSUPPORTED_VERSION, "Unsupported protocol version", data)
        session = uuid.uuid4().hex
        self._sessions.add(session)
        result = {"protocolVersion": LEGACY, "capabilities": CAPABILITIES, "serverInfo": INFO}
        body = {"jsonrpc": "2.0", "id": given, "result": result}
        return web.json_response(body, headers={"Mcp-Session-Id": session})

    async def _result(
        self, request: web.Request, method: str, params: Mapping[str, Any], is_modern: bool
    ) -> dict[str, Any]:
        match method:
            case "server/discover" if is_modern:
                result = self._discovered()
            case "tools/list":
                result = self._listed(params.get("cursor"), is_modern)
            case "tools/call":
                result = await self._called(request, params, is_modern)
            case "ping":
                result = {}
            case _:
                status = 404 if is_modern else 200
                raise RpcRefused(status, UNKNOWN_METHOD, f"Method not found: {method}")
        return {**result, "resultType": "complete"} if is_modern else result

    def _discovered(self) -> dict[str, Any]:
        return {
            "supportedVersions": list(self._oddities.versions),
            "capabilities": CAPABILITIES,
            "_meta": {f"{_META}serverInfo": INFO},
            "serverInfo": INFO,
            "ttlMs": 0,
            "cacheScope": "private",
        }

    def _listed(self, cursor: object, is_modern: bool) -> dict[str, Any]:
        tools = list(TOOLS.values())
        at = int(cursor) if isinstance(cursor, str) and cursor.isdecimal() else 0
        size = self._oddities.page_size or len(tools)
        result: dict[str, Any] = {"tools": [_listed_tool(tool) for tool in tools[at : at + size]]}
        if at + size < len(tools):
            result["nextCursor"] = str(at + size)
        if is_modern:
            result |= {"ttlMs": 60_000, "cacheScope": "public"}
        return result

    async def _called(
        self, request: web.Request, params: Mapping[str, Any], is_modern: bool
    ) -> dict[str, Any]:
        name, arguments = params.get("name"), params.get("arguments") or {}
        if not isinstance(name, str) or not isinstance(arguments, dict):
            raise RpcRefused(400, INVALID_PARAMS, "Invalid params")
        meta = params.get("_meta") or {}
        keys = [str(value) for key, value in meta.items() if key.lower().endswith(KEY_ENDS)]
        try:
            # Since 2026-07-28 a closed connection cancels the call; before that it runs to its end.
            answer = await self._runs.run(
                request, name, arguments, keys[0] if keys else "", needs_client=is_modern
            )
        except KeyError:
            return _failed(f"Unknown tool: {name}")
        except ToolRefused as refused:
            return _failed(str(refused))
        content = [{"type": "text", "text": json.dumps(answer)}]
        return {"content": content, "structuredContent": answer, "isError": False}

    async def _respond(
        self, request: web.Request, given: object, method: str, result: dict[str, Any]
    ) -> web.StreamResponse:
        body = {"jsonrpc": "2.0", "id": given, "result": result}
        if method != "tools/call" or not self._oddities.events:
            return web.json_response(body)
        response = web.StreamResponse(headers={"Cache-Control": "no-cache"})
        response.content_type = "text/event-stream"
        await response.prepare(request)
        await response.write(
            f": a comment\n\nevent: message\ndata: {json.dumps(body)}\n\n".encode()
        )
        await response.write_eof()
        return response


def _listed_tool(tool: LedgerTool) -> dict[str, Any]:
    return {
        "name": tool.name,
        "description": tool.description,
        "inputSchema": tool.schema,
        "annotations": {
            "readOnlyHint": tool.effect == "read",
            "idempotentHint": tool.effect == "idempotent",
        },
    }


def _failed(text: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}], "isError": True}
