"""The services behind tools as one application: webhooks, MCP, their ledger, the control API.

`GET /_control/ledger` tells how often each tool ran and had its effect, `DELETE` forgets it.
"""

from __future__ import annotations

import msgspec
from aiohttp import web

from parley_standins.browser_guard import refuse_pages
from parley_standins.control_api import ControlApi
from parley_standins.engines import Engines
from parley_standins.fault_injection import ignore_dropped
from parley_standins.faults import Controls
from parley_standins.request_log import RequestLog
from parley_standins.tool_ledger import Ledger
from parley_standins.tool_mcp import McpServer
from parley_standins.tool_runs import ToolRuns, ToolSettings
from parley_standins.tool_webhook import Webhooks

MAX_BODY_BYTES = 1024 * 1024


def build_app(api_key: str, _engines: Engines | None = None) -> web.Application:
    """Return the application.

    Args:
        api_key: the one that MCP takes, if it wants any.
    """
    recorder, ledger = RequestLog(), Ledger()
    controls = Controls(ToolSettings())
    runs = ToolRuns(ledger, controls)
    app = web.Application(
        middlewares=[refuse_pages, ignore_dropped], client_max_size=MAX_BODY_BYTES
    )
    app.add_routes(ControlApi(controls, recorder).routes())
    app.add_routes(_ledger_routes(ledger))
    app.add_routes(Webhooks(runs, recorder).routes())
    app.add_routes(McpServer(api_key, runs, recorder).routes())
    return app


def _ledger_routes(ledger: Ledger) -> list[web.RouteDef]:
    async def show(_request: web.Request) -> web.Response:
        body = msgspec.json.encode(ledger.described())
        return web.Response(body=body, content_type="application/json")

    async def forget(request: web.Request) -> web.Response:
        ledger.clear()
        return await show(request)

    return [web.get("/_control/ledger", show), web.delete("/_control/ledger", forget)]
