"""MCP servers for tests: the SDK's own, and one that answers as a test says."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

import uvicorn
from aiohttp import web
from mcp.server import MCPServer
from mcp.server.mcpserver import Context, Image
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel, Field

from parley.tools.kinds.mcp import McpTool, build_list, build_tool
from parley.tools.mcp.tool_list import McpToolList
from parley.tools.mcp_server import McpServer
from parley.tools.tool import Invocation

KEY = "session.turn.0.1"
NOT_INITIALIZED = {
    "jsonrpc": "2.0",
    "id": "server-error",
    "error": {"code": -32600, "message": "Bad Request: Missing session ID"},
}
"""What mcp 1.30.0 answers to a request of 2026-07-28, with status 400."""


@dataclass
class Deployment:
    """What the tools need of a deployment: an `McpContext`."""

    secrets: dict[str, list[str]] = field(default_factory=dict)
    private_hosts: frozenset[str] = frozenset({"127.0.0.1"})
    region: str = ""
    logged: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    async def read_secret(self, name: str, *, fresh: bool = False) -> str:
        values = self.secrets.get(name, [""])
        if fresh and len(values) > 1:
            del values[0]
        return values[0]

    def log(self, event: str, fields: dict[str, Any]) -> None:
        self.logged.append((event, fields))


@contextlib.asynccontextmanager
async def tools_of(
    url: str, context: Deployment | None = None, **options: Any
) -> AsyncIterator[McpToolList]:
    """The tools of a server, not fetched yet."""
    server = McpServer(**{"name": "shop", "url": url, **options})
    listed = build_list(server, context or Deployment())
    try:
        yield listed
    finally:
        await listed.close()


def tool(listed: McpToolList, name: str) -> McpTool:
    """What runs a listed tool."""
    spec = next(each for each in listed.specs if each.name == name)
    return build_tool(spec, Deployment())


def invocation(timeout_s: float = 10, **arguments: Any) -> Invocation:
    return Invocation(KEY, arguments, timeout_s)


@dataclass
class Request:
    """What a server was sent."""

    method: str
    headers: dict[str, str]
    body: dict[str, Any]


class SdkServer:
    """The SDK's server on a real socket, in each form: by revision, and by how it answers."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[Request] = []
        self.began, self.cancelled = threading.Event(), threading.Event()
        root = logging.getLogger()
        handlers, level = root.handlers[:], root.level
        self._apps = {
            kind: self._build().streamable_http_app(json_response=kind == "json")
            for kind in ("json", "stream")
        }
        # The SDK sets the whole process's log up.
        root.handlers[:] = handlers
        root.setLevel(level)

    def _build(self) -> MCPServer:
        server = MCPServer("shop", log_level="CRITICAL")

        @server.tool()
        async def add(a: int, b: int) -> int:
            """Add two numbers."""
            return a + b

        @server.tool(structured_output=False)
        async def order_status(order: str) -> str:
            if order != "A-1":
                raise ToolError(f"No order {order}.")
            return "It is on its way."

        @server.tool()
        async def by_region(
            region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})],
        ) -> str:
            return f"In {region}."

        @server.tool(structured_output=False)
        async def picture() -> list[Any]:
            return ["A picture:", Image(data=b"png", format="png")]

        class Table(BaseModel):
            seats: int

        @server.tool(structured_output=False)
        async def form(ctx: Context) -> str:
            answer = await ctx.elicit("How many?", Table)
            return answer.action

        @server.tool(structured_output=False)
        async def slow() -> str:
            self.began.set()
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
            return "Late."

        @server.tool(structured_output=False)
        async def large() -> str:
            return "x" * 300_000

        return server

    @contextlib.contextmanager
    def running(self) -> Iterator[SdkServer]:
        config = uvicorn.Config(self, port=0, log_level="critical", lifespan="on")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive(), "the SDK's server starts"
                thread.join(0.01)
            self.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
            yield self
        finally:
            server.should_exit = server.force_exit = True
            thread.join()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        body = b""
        more = scope["method"] == "POST"
        while more:
            message = await receive()
            body, more = body + message["body"], message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.requests.append(Request(scope["method"], headers, json.loads(body or b"{}")))
        era, _, kind = scope["path"].strip("/").partition("-")
        if era == "old" and headers.get("mcp-protocol-version") == "2026-07-28":
            answer = json.dumps(NOT_INITIALIZED).encode()
            kinds = [(b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": 400, "headers": kinds})
            await send({"type": "http.response.body", "body": answer})
            return
        bodies = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def again() -> Any:
            return next(bodies, None) or await receive()

        await self._apps[kind]({**scope, "path": "/mcp"}, again, send)

    async def _live(self, receive: Any, send: Any) -> None:
        async with contextlib.AsyncExitStack() as stack:
            await receive()
            for app in self._apps.values():
                await stack.enter_async_context(app.router.lifespan_context(app))
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


@dataclass
class ScriptedServer:
    """A server that answers as a test says."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)

    def called(self, method: str) -> list[Request]:
        return [each for each in self.requests if each.body.get("method") == method]


Handler = Callable[[web.Request, dict[str, Any]], Any]
"""Given a request and its message: a response, or the result of an answer."""


@contextlib.asynccontextmanager
async def scripted(handler: Handler) -> AsyncIterator[ScriptedServer]:
    """A server that answers with what a handler returns."""
    server = ScriptedServer()

    async def handle(request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read() or b"{}")
        headers = {name.lower(): value for name, value in request.headers.items()}
        server.requests.append(Request(request.method, headers, body))
        found = handler(request, body)
        if asyncio.iscoroutine(found):
            found = await found
        if isinstance(found, web.StreamResponse):
            return found
        return web.json_response({"jsonrpc": "2.0", "id": body.get("id"), **found})

    app = web.Application()
    app.router.add_route("*", "/mcp", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert runner.addresses
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/mcp"
    try:
        yield server
    finally:
        await runner.cleanup()


def listing(*names: str, **more: Any) -> dict[str, Any]:
    """The result of `tools/list`."""
    tools = [{"name": name, "inputSchema": {"type": "object"}} for name in names]
    return {"result": {"resultType": "complete", "tools": tools, "ttlMs": 0, **more}}


def said(text: str) -> dict[str, Any]:
    """The result of `tools/call`."""
    return {"result": {"resultType": "complete", "content": [{"type": "text", "text": text}]}}
