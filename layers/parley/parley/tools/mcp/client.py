"""One MCP server, whichever revision it speaks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from parley.tools.mcp.failures import Refused, failure_of
from parley.tools.mcp.messages import LEGACY, UNSUPPORTED_VERSION, RpcError
from parley.tools.mcp.modern import ModernRequests
from parley.tools.mcp.sessions import SessionRequests
from parley.tools.mcp.wire import Wire

_HARMLESS = "tools/list"
_NO_MODERN_SERVER = (400, 404, 405)


class McpClient:
    """Asks one server, and remembers the revision that it speaks.

    Args:
        wire: to its endpoint.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._modern = ModernRequests(wire)
        self._sessions = SessionRequests(wire)
        self._is_modern: bool | None = None

    async def ask(
        self,
        method: str,
        params: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
        *,
        max_bytes: int,
    ) -> Mapping[str, Any]:
        """Return the result of a request.

        Args:
            headers: of a call's parameters.
            max_bytes: how large the answer may be.

        Raises:
            ToolFailed: there is none.
        """
        try:
            if self._is_modern is not False:
                try:
                    result = await self._modern.ask(
                        method, params, headers or {}, max_bytes=max_bytes
                    )
                except (Refused, RpcError) as error:
                    if not self._asks_for_a_session(error, method):
                        raise
                else:
                    self._is_modern = True
                    return result
            result = await self._sessions.ask(method, params, max_bytes=max_bytes)
        except (Refused, RpcError, httpx.HTTPError, httpx.InvalidURL) as error:
            self._forget_if_replaced(error)
            raise failure_of(error) from error
        self._is_modern = False
        return result

    async def close(self) -> None:
        """Close the connections."""
        await self._wire.close()

    def _asks_for_a_session(self, error: Refused | RpcError, method: str) -> bool:
        """Return whether a server that refused a modern request may take it in a session."""
        refused = error.error if isinstance(error, Refused) else error
        if refused is not None and refused.code == UNSUPPORTED_VERSION:
            return any(version in LEGACY for version in refused.supported)
        if method != _HARMLESS and (isinstance(error, RpcError) or error.is_of_tool):
            return False  # a tool may have run, and would run twice
        if isinstance(error, Refused):
            return error.status in _NO_MODERN_SERVER and not error.is_modern
        # Some old servers answer 200 before they are initialized.
        return self._is_modern is None and not error.is_modern

    def _forget_if_replaced(self, error: Exception) -> None:
        """Try everything anew next time, if an old server has become a new one."""
        if isinstance(error, Refused) and error.is_modern and self._is_modern is False:
            self._is_modern = None
