"""Authorizers of `$connect`, through an application that has one."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from samwire_tests.app_stack import FIXTURES, RunningApp, running_app
from samwire_tests.conftest import eventually


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    template = FIXTURES / "apps" / "token" / "template.yaml"
    options = ("--prewarm", "1")
    with running_app(template, tmp_path_factory.mktemp("token"), *options) as running:
        yield running


async def joined(app: RunningApp, token: str, query: str = "") -> ClientConnection:
    """A connection with a token."""
    offered = [Subprotocol("chat"), Subprotocol(token)]
    return await connect(app.url("Api") + query, subprotocols=offered)


async def status_of(app: RunningApp, token: str) -> int:
    """What a handshake that is refused is answered."""
    with pytest.raises(InvalidStatus) as refused:
        await joined(app, token)
    return refused.value.response.status_code


async def test_who_is_allowed_gets_in_with_the_protocol_that_is_no_token(app: RunningApp) -> None:
    async with await joined(app, "token-of-ann") as socket:
        assert socket.subprotocol == "chat"


@pytest.mark.parametrize(
    ("token", "status"),
    [
        ("someone-else", 403),
        ("wrong-resource", 403),
        ("unauthorized", 401),
        ("broken", 500),
        ("nobody", 500),
        ("nested", 500),
        ("no-policy", 500),
    ],
)
async def test_who_is_refused_gets_a_status(app: RunningApp, token: str, status: int) -> None:
    assert await status_of(app, token) == status


@pytest.mark.parametrize("token", ["everything", "stage"])
async def test_a_policy_may_have_wildcards(app: RunningApp, token: str) -> None:
    async with await joined(app, token) as socket:
        assert socket.subprotocol == "chat"


async def test_without_its_identity_source_a_handshake_is_401_and_nobody_is_asked(
    app: RunningApp,
) -> None:
    before = len(app.printed("AUTHORIZER"))
    with pytest.raises(InvalidStatus) as refused:
        await connect(app.url("Api"))
    assert refused.value.response.status_code == 401
    assert len(app.printed("AUTHORIZER")) == before


async def test_a_refused_handshake_never_reaches_connect(app: RunningApp) -> None:
    before = len(app.printed("CONNECT"))
    await status_of(app, "someone-else")
    async with await joined(app, "token-of-bob"):
        assert len(app.printed("CONNECT")) == before + 1


async def test_the_authorizer_sees_the_whole_handshake(app: RunningApp) -> None:
    async with await joined(app, "token-of-ann", "?room=1&room=2") as socket:
        await socket.send('{"action": "whoami"}')
        await socket.recv()
    event = app.printed("AUTHORIZER")[-1]
    context = event["requestContext"]
    assert list(event) == [
        *("type", "methodArn", "headers", "multiValueHeaders", "queryStringParameters"),
        *("multiValueQueryStringParameters", "stageVariables", "requestContext"),
    ]
    assert event["type"] == "REQUEST"
    arn = f"arn:aws:execute-api:us-east-1:123456789012:{context['apiId']}/live/$connect"
    assert event["methodArn"] == arn
    assert event["headers"]["Connection"] == "upgrade"
    assert event["headers"]["Upgrade"] == "websocket"
    assert event["headers"]["content-length"] == "0"
    assert event["queryStringParameters"] == {"room": "2"}
    assert event["multiValueQueryStringParameters"] == {"room": ["1", "2"]}
    assert event["stageVariables"] == {"audience": "everyone"}
    assert context["eventType"] == "CONNECT"
    assert context["connectionId"] == app.printed("CONNECT")[-1]["requestContext"]["connectionId"]


async def test_what_it_says_is_in_every_later_event(app: RunningApp) -> None:
    async with await joined(app, "token-of-ann") as socket:
        await socket.send('{"action": "whoami"}')
        told: dict[str, Any] = json.loads(await socket.recv())
        connected = app.printed("CONNECT")[-1]["requestContext"]
    assert isinstance(told.pop("integrationLatency"), int)
    assert told == {"name": "Ann", "level": 7, "admin": True, "principalId": "ann"}
    assert list(connected)[:2] == ["routeKey", "authorizer"]

    def left() -> list[dict[str, Any]]:
        contexts = [event["requestContext"] for event in app.printed("DISCONNECT")]
        return [c for c in contexts if c["connectionId"] == connected["connectionId"]]

    await asyncio.to_thread(eventually, left)
    assert left()[0]["authorizer"] == connected["authorizer"]


async def test_each_connection_asks_again_and_a_disconnect_does_not(app: RunningApp) -> None:
    before = len(app.printed("AUTHORIZER"))
    for _ in range(2):
        async with await joined(app, "token-of-ann"):
            pass
    gone = len(app.printed("DISCONNECT"))
    await asyncio.to_thread(eventually, lambda: len(app.printed("DISCONNECT")) >= gone)
    assert len(app.printed("AUTHORIZER")) == before + 2


async def test_the_handshake_waits_for_the_authorizer(app: RunningApp) -> None:
    began = time.monotonic()
    assert await status_of(app, "slow") == 403
    assert time.monotonic() - began >= 0.5


def test_header_names_of_identity_sources_have_no_case(app: RunningApp) -> None:
    before = len(app.printed("AUTHORIZER"))
    parts = urllib.parse.urlsplit(app.url("Api"))
    client = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
        "sec-websocket-protocol": "chat, someone-else",
    }
    client.request("GET", parts.path, headers=headers)
    client.getresponse()
    client.close()
    assert len(app.printed("AUTHORIZER")) == before + 1
