"""Tools of MCP servers: their lists, and their calls."""

from __future__ import annotations

import asyncio
from typing import Any

from parley.aws.clients import find_credentials
from parley.tools.call_context import outside_key
from parley.tools.guarded_client import guarded_client
from parley.tools.mcp.auth import build_auth
from parley.tools.mcp.call_answers import answer_of
from parley.tools.mcp.client import McpClient
from parley.tools.mcp.context import McpContext
from parley.tools.mcp.failures import failure_of
from parley.tools.mcp.headers import parameter_headers
from parley.tools.mcp.messages import IDEMPOTENCY_KEY
from parley.tools.mcp.tool_list import KIND, McpToolList
from parley.tools.mcp.wire import Wire
from parley.tools.mcp_server import McpServer
from parley.tools.tool import Answer, Invocation, ToolFailed, ToolSpec

__all__ = ["KIND", "McpTool", "build_list", "build_tool"]

MAX_BYTES = 256 * 1024
"""Of a call's answer, with all that comes before it."""


def build_list(server: McpServer, context: McpContext) -> McpToolList:
    """Return the tools that a server lists. Nothing is asked yet."""
    http = guarded_client(context.private_hosts, server.timeout_s)
    auth = build_auth(server, context, find_credentials)
    wire = Wire(http, server.url, auth, server.timeout_s)
    return McpToolList(server, McpClient(wire), context)


def build_tool(spec: ToolSpec, _context: McpContext) -> McpTool:
    """Return what runs a listed tool."""
    return McpTool(spec.name, spec.options["list"])


class McpTool:
    """Runs calls of one tool of a server.

    Args:
        name: as the model knows it.
        listed: the list that it is on.
    """

    def __init__(self, name: str, listed: McpToolList) -> None:
        self._name = name
        self._list = listed

    async def call(self, invocation: Invocation) -> Answer:
        """Run it. A cancelled call closes its connection, which cancels the tool.

        Raises:
            ToolFailed: it gave no result.
        """
        tool = self._list.find(self._name)
        if tool is None:  # another turn of this environment has fetched the list meanwhile
            raise ToolFailed("not_found", acted=False, log_fields={"cause": "not_listed"})
        params: dict[str, Any] = {
            "name": tool.own_name,
            "arguments": dict(invocation.arguments),
            "_meta": {IDEMPOTENCY_KEY: outside_key(invocation.key)},
        }
        headers = parameter_headers(tool.parameters, invocation.arguments)
        try:
            async with asyncio.timeout(invocation.timeout_s):
                result = await self._list.client.ask(
                    "tools/call", params, headers, max_bytes=MAX_BYTES
                )
        except TimeoutError as error:
            raise failure_of(error) from None
        except ToolFailed as error:
            if error.log_fields.get("code") in _LIST_IS_OLD:
                self._list.expire()
            raise
        return answer_of(result)


_LIST_IS_OLD = (-32020, -32601, -32602)
"""Headers of parameters, a method or a tool that is not what was listed."""
