"""Requests that are signed for AgentCore, recomputed by the published steps of Signature V4."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Any

import httpx
import pytest
from botocore.credentials import Credentials

from parley.tools.kinds import mcp
from parley.tools.mcp.auth import region_of
from tests.unit.tools.mcp_servers import (
    Deployment,
    Request,
    invocation,
    listing,
    said,
    scripted,
    tool,
    tools_of,
)

SECRET, TOKEN = "a-secret-key", "a-session-token"
AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=AKID/(\d{8})/eu-west-1/bedrock-agentcore/aws4_request, "
    r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})"
)


def signature_of(request: Request, date: str, names: str, body: bytes) -> str:
    """The signature that AWS computes of a request to /mcp."""
    signed = "".join(f"{name}:{request.headers[name]}\n" for name in names.split(";"))
    digest = hashlib.sha256(body).hexdigest()
    canonical = f"POST\n/mcp\n\n{signed}\n{names}\n{digest}"
    scope = f"{date}/eu-west-1/bedrock-agentcore/aws4_request"
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{request.headers['x-amz-date']}\n{scope}\n{hashed}"
    key = f"AWS4{SECRET}".encode()
    for part in (*scope.split("/"), text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key.hex()


async def test_every_request_is_signed_with_the_functions_credentials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mcp, "find_credentials", lambda: Credentials("AKID", SECRET, TOKEN))
    bodies: list[bytes] = []

    async def handle(request: Any, message: dict[str, Any]) -> Any:
        bodies.append(await request.read())
        return listing("act") if message["method"] == "tools/list" else said("Done.")

    context = Deployment(region="eu-west-1")
    async with (
        scripted(handle) as server,
        tools_of(server.url, context, auth="sigv4") as listed,
    ):
        await listed.refresh()
        assert (await tool(listed, "shop_act").call(invocation())).value == "Done."
    assert len(bodies) == 2
    for request, body in zip(server.requests, bodies, strict=True):
        found = AUTHORIZATION.fullmatch(request.headers["authorization"])
        assert found, request.headers["authorization"]
        date, names, signature = found.groups()
        assert {"host", "x-amz-date", "x-amz-security-token"} <= set(names.split(";"))
        assert request.headers["x-amz-security-token"] == TOKEN
        assert signature == signature_of(request, date, names, body)


async def test_a_function_without_credentials_asks_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mcp, "find_credentials", lambda: None)
    context = Deployment(region="eu-west-1")
    async with (
        scripted(lambda *_: listing("act")) as server,
        tools_of(server.url, context, auth="sigv4") as listed,
    ):
        await listed.refresh()
    assert server.requests == []
    assert context.logged[0][1]["cause"] == "no_credentials"


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://gw-1.gateway.bedrock-agentcore.us-east-1.amazonaws.com/mcp", "us-east-1"),
        ("https://bedrock-agentcore.ap-southeast-2.amazonaws.com/runtimes/x", "ap-southeast-2"),
        ("https://mcp.example.com/mcp", ""),
    ],
)
def test_the_region_is_the_one_in_the_host(url: str, region: str) -> None:
    assert httpx.URL(url).host
    assert region_of(url) == region
