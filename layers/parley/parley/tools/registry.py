"""The kinds of tools, by what a tool's entry in the file names.

A kind is a module with `build_tool`, which takes the tool's `ToolSpec` and a `ToolContext`. It is
imported when a tool of its kind is first called: nobody's cold start pays for another.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from parley.tools.mcp_server import McpServer
from parley.tools.tool import Tool, ToolSpec
from parley.tools.toolbox import ToolList

LAMBDA, HTTP, MCP = "lambda", "http", "mcp"

KINDS = {
    LAMBDA: "parley.tools.kinds.lambda_function",
    HTTP: "parley.tools.kinds.webhook",
    MCP: "parley.tools.kinds.mcp",
}
"""The module of each kind. What a turn runs itself is not among them: `toolbox.CLIENT` and
`toolbox.BUILT_IN`."""


class SecretReader(Protocol):
    """Reads the tools' secret."""

    async def __call__(self, name: str, *, fresh: bool = False) -> str:
        """Return an entry by its name; empty if it is not there.

        Args:
            fresh: read it again, also where one is kept: it may have been rotated.
        """


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What tools are built from.

    Attributes:
        stack: the deployment's name; its own tools are functions `STACK-tool-…`.
        read_secret: reads an entry of the tools' secret.
        private_hosts: hosts, or hosts with their port, that may be private or without TLS.
        log: gets what fails; takes an event name and fields.
        region: the function's, of AWS.
    """

    stack: str
    read_secret: SecretReader
    private_hosts: frozenset[str]
    log: Callable[[str, dict[str, Any]], None]
    region: str = ""


def build_tool(spec: ToolSpec, context: ToolContext) -> Tool:
    """Build what runs a tool."""
    tool: Tool = _module(spec.kind).build_tool(spec, context)
    return tool


def build_list(server: McpServer, context: ToolContext) -> ToolList:
    """Build the list of an MCP server's tools."""
    found: ToolList = _module(MCP).build_list(server, context)
    return found


def _module(kind: str) -> Any:
    return importlib.import_module(KINDS[kind])
