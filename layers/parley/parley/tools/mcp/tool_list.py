"""The tools that one server lists, kept for as long as an environment lives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from parley.tools.mcp.client import McpClient
from parley.tools.mcp.context import McpContext
from parley.tools.mcp.failures import failure_of
from parley.tools.mcp.listed_tools import ListedTool, checkable, read_tools
from parley.tools.mcp_server import McpServer
from parley.tools.tool import ToolFailed, ToolSpec

KIND = "mcp"
FIRST_WAIT_S = 2.0
"""How long the first turn of an environment waits for the list."""
LIST_TIMEOUT_S = 10.0
MIN_TTL_S = 60.0
"""The SDK's servers say 0 unless they are told otherwise."""
MAX_TTL_S = 86_400.0
RETRY_S = 15.0
"""After a list that could not be had."""
MAX_PAGES = 20
MAX_BYTES = 1024 * 1024
"""Of a page: servers with a hundred tools have a tenth of it."""
MAX_DROPPED = 64
"""So many tools are logged that cannot be offered: a server may list thousands."""
LOGGED_NAME_CHARS = 128


class McpToolList:
    """The tools of one server.

    A turn waits for the list once in an environment, and not for long. After that the list is
    fetched beside turns, and what was listed last is kept.

    Args:
        server: as the deployment declares it.
        client: asks it.
        context: takes the log.
    """

    def __init__(self, server: McpServer, client: McpClient, context: McpContext) -> None:
        self._server = server
        self.client = client
        self._context = context
        self._tools: Mapping[str, ListedTool] = {}
        self._specs: Sequence[ToolSpec] = ()
        self._due_at = 0.0
        self._has_waited = False
        self._fetch: asyncio.Task[None] | None = None
        self._dropped: set[tuple[str, str]] = set()

    @property
    def specs(self) -> Sequence[ToolSpec]:
        """Return the tools, as they were listed last."""
        return self._specs

    def find(self, name: str) -> ListedTool | None:
        """Return a tool by the name that the model knows; None if it is listed no more."""
        return self._tools.get(name)

    async def refresh(self) -> None:
        """Fetch the list if it is due. Never raise: a list that cannot be had is kept or empty."""
        if time.monotonic() >= self._due_at and (self._fetch is None or self._fetch.done()):
            self._fetch = asyncio.create_task(self._update())
        if not self._has_waited and self._fetch is not None:
            await asyncio.wait({self._fetch}, timeout=FIRST_WAIT_S)
            self._has_waited = True

    def expire(self) -> None:
        """Have the list fetched with the next turn: a call has found that it is old."""
        self._due_at = 0.0

    async def close(self) -> None:
        """Fetch nothing more, and close the connections."""
        if self._fetch is not None:
            self._fetch.cancel()
            await asyncio.wait({self._fetch})
        await self.client.close()

    async def _update(self) -> None:
        try:
            async with asyncio.timeout(LIST_TIMEOUT_S):
                listed, ttl_s = await self._read_pages()
            self._take(listed)
        except Exception as error:  # whatever a stranger's server does, turns go on
            self._due_at = time.monotonic() + RETRY_S
            failure = failure_of(error)
            self._log("mcp_list_failed", reason=failure.reason, **failure.log_fields)
            return
        self._due_at = time.monotonic() + max(ttl_s, MIN_TTL_S)

    async def _read_pages(self) -> tuple[list[Any], float]:
        """Return what is listed, and for how long that holds, in s."""
        listed: list[Any] = []
        ttl_s = MAX_TTL_S
        params: dict[str, Any] = {}
        for _ in range(MAX_PAGES):
            page = await self.client.ask("tools/list", params, max_bytes=MAX_BYTES)
            tools = page.get("tools")
            if not isinstance(tools, list):
                raise ToolFailed("unavailable", acted=False, log_fields={"cause": "no_list"})
            listed += tools
            ttl_s = min(ttl_s, _ttl_s(page))
            cursor = page.get("nextCursor")
            if not isinstance(cursor, str):
                return listed, ttl_s
            params = {"cursor": cursor}
        self._log("mcp_list_cut", pages=MAX_PAGES)
        return listed, ttl_s

    def _take(self, listed: Sequence[Any]) -> None:
        self._tools = read_tools(self._server, listed, self._drop)
        self._specs = [self._spec_of(tool) for tool in self._tools.values()]

    def _spec_of(self, tool: ListedTool) -> ToolSpec:
        server = self._server
        return ToolSpec(
            offer=tool.offer,
            kind=KIND,
            target=server.url,
            effect=server.effect,
            say=server.say,
            timeout_s=server.timeout_s,
            title=tool.title,
            show=server.show,
            options={"list": self},
            checked=checkable(tool.offer.schema),
        )

    def _drop(self, tool: str, reason: str) -> None:
        tool = tool[:LOGGED_NAME_CHARS].encode(errors="replace").decode()
        if (tool, reason) in self._dropped or len(self._dropped) == MAX_DROPPED:
            return
        self._dropped.add((tool, reason))  # once, and not with every fetch
        self._log("mcp_tool_dropped", tool=tool, reason=reason)

    def _log(self, event: str, **fields: Any) -> None:
        self._context.log(event, {"server": self._server.name, **fields})


def _ttl_s(page: Mapping[str, Any]) -> float:
    ttl_ms = page.get("ttlMs")
    if not isinstance(ttl_ms, int | float) or not ttl_ms > 0:  # also what is no number at all
        return 0.0
    return min(ttl_ms / 1000, MAX_TTL_S)
