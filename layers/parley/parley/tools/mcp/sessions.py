"""Requests of 2025-11-25 and before: they belong to a session, which `initialize` opens."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from parley.tools.mcp.failures import Refused, lost
from parley.tools.mcp.messages import CLIENT_INFO, LEGACY, result_of
from parley.tools.mcp.wire import Wire

_MAX_BYTES = 64 * 1024
"""Of the answer to `initialize`, which has instructions for the model."""
_LOST_SESSION = (400, 404)
"""404, says the specification; some servers answer 400. Neither names the request: what does may
come from a tool that has run, and to send it again would run it twice."""


@dataclass(frozen=True, slots=True)
class _Session:
    headers: Mapping[str, str]
    has_id: bool


class SessionRequests:
    """Asks one endpoint, in one session for all. A lost one is opened anew."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._ids = itertools.count(1)
        self._lock = asyncio.Lock()
        self._session: _Session | None = None

    async def ask(
        self, method: str, params: Mapping[str, Any], *, max_bytes: int
    ) -> Mapping[str, Any]:
        """Return the result of a request.

        Raises:
            RpcError: it is an error.
            Refused, ToolFailed, httpx.HTTPError: see `Wire.ask`.
        """
        session = await self._open(None)
        try:
            return await self._ask(session, method, params, max_bytes)
        except Refused as refused:
            is_lost = refused.status in _LOST_SESSION and not refused.is_of_tool
            if not (session.has_id and is_lost):
                raise
        return await self._ask(await self._open(session), method, params, max_bytes)

    async def _ask(
        self, session: _Session, method: str, params: Mapping[str, Any], max_bytes: int
    ) -> Mapping[str, Any]:
        message, _ = await self._wire.ask(
            next(self._ids),
            {"method": method, "params": params},
            session.headers,
            max_bytes=max_bytes,
            resumes=True,
        )
        return result_of(message)

    async def _open(self, lost_session: _Session | None) -> _Session:
        """Return the session; a new one if there is none, or only the lost one."""
        async with self._lock:
            if self._session is None or self._session is lost_session:
                self._session = None
                self._session = await self._initialize()
            return self._session

    async def _initialize(self) -> _Session:
        params = {"protocolVersion": LEGACY[0], "capabilities": {}, "clientInfo": CLIENT_INFO}
        message, received = await self._wire.ask(
            next(self._ids), {"method": "initialize", "params": params}, {}, max_bytes=_MAX_BYTES
        )
        version = result_of(message).get("protocolVersion")
        if version not in LEGACY:
            raise lost("protocol_version")
        headers = {"MCP-Protocol-Version": str(version)}
        if session_id := received.get("mcp-session-id"):
            headers["Mcp-Session-Id"] = session_id
        await self._wire.tell({"method": "notifications/initialized"}, headers)
        return _Session(headers, bool(session_id))
