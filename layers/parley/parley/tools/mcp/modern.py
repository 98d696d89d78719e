"""Requests of 2026-07-28: each says all of itself, and there is no session."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from parley.tools.mcp.headers import header_value
from parley.tools.mcp.messages import CLIENT_INFO, MODERN, result_of
from parley.tools.mcp.wire import Wire

_META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": CLIENT_INFO,
    "io.modelcontextprotocol/clientCapabilities": {},
}


class ModernRequests:
    """Asks one endpoint. To cancel a request closes its connection, which cancels the tool."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._ids = itertools.count(1)

    async def ask(
        self,
        method: str,
        params: Mapping[str, Any],
        headers: Mapping[str, str],
        *,
        max_bytes: int,
    ) -> Mapping[str, Any]:
        """Return the result of a request.

        Args:
            headers: of the call's parameters.

        Raises:
            RpcError: it is an error.
            Refused, ToolFailed, httpx.HTTPError: see `Wire.ask`.
        """
        own = {"MCP-Protocol-Version": MODERN, "Mcp-Method": method, **headers}
        if "name" in params:
            own["Mcp-Name"] = header_value(params["name"])
        full = {**params, "_meta": {**params.get("_meta", {}), **_META}}
        message, _ = await self._wire.ask(
            next(self._ids), {"method": method, "params": full}, own, max_bytes=max_bytes
        )
        return result_of(message)
