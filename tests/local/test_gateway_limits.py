"""The gateway at its limits, through real sockets; each stack has one that is soon reached."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.local.app_stack import FIXTURES, RunningApp, running_app
from tests.local.conftest import eventually
from tests.local.probe_stack import running_probe

MAPPING = FIXTURES / "mapping" / "template.yaml"
TOKEN = FIXTURES / "apps" / "token" / "template.yaml"
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def usual(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningApp]:
    """The application with the limits of AWS."""
    with running_app(MAPPING, tmp_path_factory.mktemp("usual")) as app:
        yield app


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def assumed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningApp]:
    """The application with what may be assumed of connections that are idle for a second."""
    options = ["--idle-timeout", "1"]
    for setting in ("pings-keep-alive", "expiry-code=4001", "expiry-reason=idle"):
        options += ["--assume", setting]
    with running_app(MAPPING, tmp_path_factory.mktemp("assumed"), *options) as app:
        yield app


async def ping(socket: ClientConnection) -> dict[str, Any]:
    """What the route that needs no function answers."""
    await socket.send(json.dumps({"action": "ping"}))
    return dict(json.loads(await asyncio.wait_for(socket.recv(), 10)))


async def refusal(url: str, **more: Any) -> int:
    """The status of a handshake that is refused."""
    with pytest.raises(InvalidStatus) as refused:
        await connect(url, **more)
    return refused.value.response.status_code


async def test_too_many_new_connections_are_429(tmp_path: Path) -> None:
    with running_app(MAPPING, tmp_path, "--connection-rate", "1") as app:
        url = app.url("Api")
        async with connect(url):
            assert await refusal(url) == 429


async def test_too_much_of_a_head_is_refused(usual: RunningApp) -> None:
    url = usual.url("Api")
    assert await refusal(url, additional_headers={"X-Large": "x" * 10_240}) == 431
    assert await refusal(f"{url}?x={'x' * 4096}") == 414
    async with connect(f"{url}?x={'x' * 4000}") as socket:
        assert "pong" in await ping(socket)


async def test_a_message_of_more_than_32_kb_is_remarked_on_once(usual: RunningApp) -> None:
    def remarks() -> int:
        return usual.log.read_text().count("sent a message of more than 32 KB")

    before = remarks()
    async with connect(usual.url("Api")) as socket:
        for fill in ("x" * 32_000, "Ж" * 17_000, "Ж" * 17_000):
            await socket.send(json.dumps({"action": "ping", "fill": fill}, ensure_ascii=False))
            assert "pong" in await ping(socket)
    assert remarks() == before + 1


async def test_messages_and_posts_share_what_the_account_has(tmp_path: Path) -> None:
    options = ("--request-rate", "0.001", "--request-burst", "2")
    with running_app(MAPPING, tmp_path, *options) as app:
        async with connect(app.url("Api")) as socket:
            mine = (await ping(socket))["pong"]
            api = app.management("Api")
            await asyncio.to_thread(api.post_to_connection, ConnectionId=mine, Data="hello")
            assert await socket.recv() == "hello"
            with pytest.raises(api.exceptions.LimitExceededException) as refused:
                await asyncio.to_thread(api.post_to_connection, ConnectionId=mine, Data="no")
            answer = await ping(socket)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert list(answer) == ["message", "connectionId", "requestId"]
    assert answer["message"] == "Too Many Requests"


async def test_a_client_that_does_not_read_is_posted_to_no_more_and_can_be_closed(
    usual: RunningApp,
) -> None:
    async with connect(usual.url("Api")) as socket:
        mine = (await ping(socket))["pong"]
        api = usual.management("Api")
        socket.transport.pause_reading()

        def post_until_it_is_full() -> None:
            for _ in range(300):
                api.post_to_connection(ConnectionId=mine, Data="x" * 128_000)

        with pytest.raises(api.exceptions.LimitExceededException):
            await asyncio.wait_for(asyncio.to_thread(post_until_it_is_full), 30)
        deleting = asyncio.to_thread(api.delete_connection, ConnectionId=mine)
        answer = await asyncio.wait_for(deleting, 10)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
        with pytest.raises(api.exceptions.GoneException):
            await asyncio.to_thread(api.get_connection, ConnectionId=mine)
        socket.transport.abort()


async def test_without_concurrency_a_message_is_an_error(tmp_path: Path) -> None:
    options = ("--concurrency", "1")
    with running_probe(tmp_path, *options) as probe:
        async with connect(probe.bare_url) as socket:
            for _ in range(2):
                await socket.send(json.dumps({"action": "run"}))  # takes a second
            answer = json.loads(await socket.recv())
    assert answer["message"] == "Internal server error"


@pytest.mark.parametrize(
    "malformed",
    [
        *("no id", "abc", "test-connection", "1", "undefined", "None", "x" * 200, "ü", "%", "=="),
        "123e4567-e89b-12d3-a456-426614174000",
        *("PJqB0fHsqRcCHlw", "PJqB0fHsqRcCHlw==", "PJqB0fHsqRcCHl=", "PJqB0fHsqRcCHlww"),
        *("PJqB0fHsqRcCHl+=", "PJqB0fHsqRcC Hlw=", "PJqB0fHsqRcCHlw=\n", "PJqB0fHsqRcCHlw=x"),
    ],
)
async def test_a_malformed_connection_id_is_a_bad_request(
    usual: RunningApp, malformed: str
) -> None:
    api = usual.management("Api")
    for call, more in (("post_to_connection", {"Data": "x"}), ("get_connection", {})):
        with pytest.raises(api.exceptions.ClientError) as refused:
            await asyncio.to_thread(getattr(api, call), ConnectionId=malformed, **more)
        assert refused.value.response["Error"]["Code"] == "BadRequestException"
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


@pytest.mark.parametrize("gone", ["PJqB0fHsqRcCHlw=", "HXT_RfBnPHcCIIg=", "JC1dgf9yoAMCK-g="])
async def test_a_well_formed_connection_id_of_nobody_is_gone(usual: RunningApp, gone: str) -> None:
    api = usual.management("Api")
    with pytest.raises(api.exceptions.GoneException):
        await asyncio.to_thread(api.get_connection, ConnectionId=gone)


async def keep_pinging(socket: ClientConnection, seconds: float) -> None:
    """Ping five times a second."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + seconds
    while loop.time() < ends:
        await asyncio.wait_for(await socket.ping(), 5)
        await asyncio.sleep(0.2)


async def test_a_ping_does_not_count_as_a_message(tmp_path: Path) -> None:
    with running_app(MAPPING, tmp_path, "--idle-timeout", "1") as app:
        socket = await connect(app.url("Api"), ping_interval=None)
        with pytest.raises(ConnectionClosed) as closed:
            await keep_pinging(socket, 10)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1001, "Going away")


async def test_a_ping_may_be_assumed_to_count(assumed: RunningApp) -> None:
    async with connect(assumed.url("Api"), ping_interval=None) as socket:
        await keep_pinging(socket, 2)
        assert "pong" in await ping(socket)


async def test_the_close_at_the_idle_limit_may_be_assumed(assumed: RunningApp) -> None:
    async with connect(assumed.url("Api")) as socket:
        await asyncio.wait_for(socket.wait_closed(), 10)
    assert (socket.close_code, socket.close_reason) == (4001, "idle")


async def test_messages_may_be_taken_one_after_the_other(tmp_path: Path) -> None:
    with running_probe(tmp_path, "--serialize") as probe:
        async with connect(probe.url) as socket:
            await socket.send(json.dumps({"do": {"it": ["late"]}}))  # answered after 300 ms
            await socket.send(json.dumps({"do": {"it": ["echo"]}}))
            assert "message" in json.loads(await socket.recv())
            assert "event" in json.loads(await socket.recv())


async def test_what_a_lost_connection_is_told_may_be_assumed(tmp_path: Path) -> None:
    options = ("--assume", "lost-code=1001", "--assume", "lost-reason=Going away")
    with running_app(TOKEN, tmp_path, *options, "--assume", "lost-delay-s=0.3") as app:
        protocols: Any = ["chat", "token-of-ann"]
        socket = await connect(app.url("Api"), subprotocols=protocols)
        socket.transport.abort()
        await socket.wait_closed()
        await asyncio.to_thread(eventually, lambda: told(app))
        assert told(app) == [(1001, "Going away")]


def told(app: RunningApp) -> list[tuple[int, str]]:
    """Codes and reasons that `$disconnect` was told."""
    contexts = [event["requestContext"] for event in app.printed("DISCONNECT")]
    return [(c["disconnectStatusCode"], c["disconnectReason"]) for c in contexts]


def connects(folder: Path) -> Path:
    """A template whose `$connect` takes too long, and one that may be asked once."""
    (folder / "code").mkdir()
    (folder / "code" / "connect.py").write_text(CONNECT)
    template = folder / "template.yaml"
    template.write_text(CONNECTS)
    return template


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def connecting(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningApp]:
    """The application whose `$connect` routes are limited."""
    folder = tmp_path_factory.mktemp("connecting")
    with running_app(connects(folder), folder) as app:
        yield app


async def test_a_connect_that_takes_too_long_is_504(connecting: RunningApp) -> None:
    assert await refusal(connecting.url("Slow")) == 504


async def test_a_throttled_connect_route_is_429(connecting: RunningApp) -> None:
    async with connect(connecting.url("Throttled")):
        assert await refusal(connecting.url("Throttled")) == 429


async def test_the_status_of_a_connect_that_takes_too_long_may_be_assumed(tmp_path: Path) -> None:
    options = ("--assume", "connect-timeout-status=500")
    with running_app(connects(tmp_path), tmp_path, *options) as app:
        assert await refusal(app.url("Slow")) == 500


CONNECT = """
import time


def slow(event, context):
    time.sleep(2)


def quick(event, context):
    return {"statusCode": 200}
"""
CONNECTS = """
Transform: AWS::Serverless-2016-10-31
Globals:
  Function: {CodeUri: code/, Runtime: python3.13, Timeout: 5}
Resources:
  SlowFunction:
    Type: AWS::Serverless::Function
    Properties: {Handler: connect.slow}
  QuickFunction:
    Type: AWS::Serverless::Function
    Properties: {Handler: connect.quick}
  Slow:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      StageName: dev
      RouteSelectionExpression: $request.body.action
      Routes: {$connect: {FunctionArn: !GetAtt SlowFunction.Arn, IntegrationTimeout: 1000}}
  Throttled:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      StageName: dev
      DefaultRouteSettings: {ThrottlingRateLimit: 0.001, ThrottlingBurstLimit: 1}
      RouteSelectionExpression: $request.body.action
      Routes: {$connect: {FunctionArn: !GetAtt QuickFunction.Arn}}
"""
