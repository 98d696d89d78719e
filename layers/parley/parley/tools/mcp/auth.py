"""How a request to an MCP server says who asks: by a bearer token, or an AWS signature."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING

import httpx

from parley.tools.mcp.context import McpContext
from parley.tools.mcp_server import McpServer
from parley.tools.tool import ToolFailed

if TYPE_CHECKING:
    from botocore.credentials import Credentials

SERVICE = "bedrock-agentcore"
_REGION_IN_HOST = re.compile(r"\.([a-z]{2}(?:-[a-z]+)+-\d+)\.(?:amazonaws\.com|api\.aws)")


def build_auth(
    server: McpServer, context: McpContext, find_credentials: Callable[[], Credentials | None]
) -> httpx.Auth | None:
    """Return what puts the server's credentials on a request; None for a server without."""
    if server.auth == "bearer":
        return BearerAuth(server.secret, context)
    if server.auth == "sigv4":
        return SigV4Auth(region_of(server.url) or context.region, find_credentials)
    return None


def region_of(url: str) -> str:
    """Return the AWS region in the host of a URL; empty if there is none."""
    found = _REGION_IN_HOST.search(httpx.URL(url).host)
    return found[1] if found else ""


class BearerAuth(httpx.Auth):
    """Sends a token of the tools' secrets. After a 401 it reads the token once again.

    Args:
        secret: the token's name.
        context: reads it.
    """

    def __init__(self, secret: str, context: McpContext) -> None:
        self._secret = secret
        self._context = context

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send a request, and send it again if the token has been replaced.

        Raises:
            ToolFailed: there is no token, or it cannot be in a header.
        """
        token = await self._read(fresh=False)
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == 401:
            renewed = await self._read(fresh=True)
            if renewed != token:
                request.headers["Authorization"] = f"Bearer {renewed}"
                yield request

    async def _read(self, *, fresh: bool) -> str:
        token = await self._context.read_secret(self._secret, fresh=fresh)
        if not (token.isascii() and token.isprintable() and token.strip()):
            fields = {"cause": "no_token", "secret": self._secret}
            raise ToolFailed("refused", acted=False, log_fields=fields)
        return token


class SigV4Auth(httpx.Auth):
    """Signs requests with the function's own credentials, as AgentCore takes them.

    Args:
        region: where the server is.
        find_credentials: gives the credentials.
    """

    requires_request_body = True

    def __init__(self, region: str, find_credentials: Callable[[], Credentials | None]) -> None:
        self._region = region
        self._find_credentials = find_credentials

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Sign a request.

        Raises:
            ToolFailed: there are no credentials, or no region.
        """
        request.headers.update(await asyncio.to_thread(self._sign, request))
        yield request

    def _sign(self, request: httpx.Request) -> dict[str, str]:
        # Half of botocore: only who signs pays for it.
        from botocore.auth import SigV4Auth as Signer
        from botocore.awsrequest import AWSRequest

        credentials = self._find_credentials()
        if credentials is None or not self._region:
            raise ToolFailed("refused", acted=False, log_fields={"cause": "no_credentials"})
        signed = AWSRequest(
            method=request.method,
            url=str(request.url),
            data=request.content,
            # Not what a proxy may change on the way.
            headers={"Host": request.headers["Host"]},
        )
        Signer(credentials.get_frozen_credentials(), SERVICE, self._region).add_auth(signed)
        return {name: value for name, value in signed.headers.items() if name != "Host"}
