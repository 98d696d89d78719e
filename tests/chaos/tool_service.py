"""Where the soak's tools are: webhooks, MCP and what the Lambda asks, over one ledger.

The stand-ins' code speaks the protocols. What goes wrong is planned call by call.
"""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from parley_standins.fault_injection import Dropped, ignore_dropped, reset_connection
from parley_standins.faults import Controls
from parley_standins.request_log import RequestLog
from parley_standins.tool_ledger import Ledger, ToolRefused
from parley_standins.tool_mcp import McpServer
from parley_standins.tool_runs import FailedWith, ToolRuns, ToolSettings
from parley_standins.tool_webhook import Webhooks
from tests.chaos.booked import Book, Refused
from tests.chaos.tool_plan import CallPlan

TOOL = "book_table"


@dataclass(frozen=True, slots=True)
class BookedRuns(ToolRuns):
    """Runs of the one tool there is, in the soak's own ledger."""

    book: Book

    async def run(
        self,
        request: web.Request,
        name: str,
        arguments: Mapping[str, Any],
        key: str,
        *,
        needs_client: bool = False,
    ) -> dict[str, Any]:
        """Book a table, and fail as planned; see `ToolRuns`."""
        if name != TOOL:
            raise KeyError(name)

        def gone() -> bool:
            return needs_client and (request.transport is None or request.transport.is_closing())

        try:
            answer = await self.book.book(arguments, gone)
        except Refused:
            if gone():
                raise Dropped from None
            raise ToolRefused("There is no table.") from None
        fail(request, self.book.call(arguments))
        return answer


def fail(request: web.Request, call: CallPlan) -> None:
    """Do what is planned for after the effect."""
    if call.fault == "status":
        raise FailedWith(500)
    if call.fault == "cut":
        reset_connection(request)


@asynccontextmanager
async def served(app: web.Application, at: socket.socket, **options: Any) -> AsyncIterator[None]:
    """Serve an application at a socket that listens."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1, **options)
    await runner.setup()
    try:
        await web.SockSite(runner, at).start()
        yield
    finally:
        await runner.cleanup()


def build_app(book: Book) -> web.Application:
    """The tools' services."""
    runs = BookedRuns(Ledger(), Controls(ToolSettings()), book)
    recorder = RequestLog()

    async def effect(request: web.Request) -> web.Response:
        """What the Lambda does."""
        try:
            answer = await runs.run(request, TOOL, json.loads(await request.read()), "")
        except ToolRefused as refused:
            return web.json_response({"refused": str(refused)})
        except FailedWith as failed:
            return web.Response(status=failed.status)
        return web.json_response(answer)

    app = web.Application(middlewares=[ignore_dropped])
    app.add_routes([web.post("/effect", effect)])
    app.add_routes(Webhooks(runs, recorder).routes())
    app.add_routes(McpServer("", runs, recorder).routes())
    return app
