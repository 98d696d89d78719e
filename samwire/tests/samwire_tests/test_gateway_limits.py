"""The gateway at its limits, through real sockets; each stack has some that are soon reached."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from samwire_tests.app_stack import FIXTURES, RunningApp, running_app
from samwire_tests.conftest import eventually
from samwire_tests.probe_stack import Probe, running_probe

TEMPLATE = FIXTURES / "limits" / "template.yaml"
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def usual(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningApp]:
    """The application with the limits of AWS."""
    with running_app(TEMPLATE, tmp_path_factory.mktemp("usual")) as app:
        yield app


ASSUMED = (
    *("pings-keep-alive", "expiry-code=4001", "expiry-reason=idle", "connect-timeout-status=500"),
    *("lost-code=1001", "lost-reason=Going away", "lost-delay-s=0.3"),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def assumed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningApp]:
    """The application with what may be assumed; connections are idle after a second."""
    options = ["--idle-timeout", "1", *(word for a in ASSUMED for word in ("--assume", a))]
    with running_app(TEMPLATE, tmp_path_factory.mktemp("assumed"), *options) as app:
        yield app


@dataclass
class Scarce:
    """An application that takes a connection a second and two requests, and a connection."""

    app: RunningApp
    socket: ClientConnection


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scarce(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scarce]:
    options = ("--connection-rate", "1", "--request-rate", "0.001", "--request-burst", "2")
    with running_app(TEMPLATE, tmp_path_factory.mktemp("scarce"), *options) as app:
        async with connect(app.url("Api")) as socket:
            yield Scarce(app, socket)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def busy(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Probe]:
    """The probe, which takes messages one after the other and runs two functions at once.

    A third is reserved by one that nobody asks.
    """
    options = ("--concurrency", "3", "--serialize")
    with running_probe(tmp_path_factory.mktemp("busy"), *options) as probe:
        yield probe


async def ping(socket: ClientConnection) -> dict[str, Any]:
    """What the route that needs no function answers."""
    await socket.send(json.dumps({"action": "ping"}))
    return dict(json.loads(await asyncio.wait_for(socket.recv(), 10)))


async def refusal(url: str, **more: Any) -> int:
    """The status of a handshake that is refused."""
    with pytest.raises(InvalidStatus) as refused:
        await connect(url, **more)
    return refused.value.response.status_code


async def test_too_many_new_connections_are_429(scarce: Scarce) -> None:
    loop = asyncio.get_running_loop()
    url, began = scarce.app.url("Api"), loop.time()
    async with contextlib.AsyncExitStack() as opened:
        shaking = [opened.enter_async_context(connect(url)) for _ in range(10)]
        found = await asyncio.gather(*shaking, return_exceptions=True)
        allowed = 1 + loop.time() - began
    refused = [each for each in found if isinstance(each, BaseException)]
    assert 10 - len(refused) <= allowed
    for each in refused:
        assert isinstance(each, InvalidStatus)
        assert each.response.status_code == 429


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


async def test_messages_and_posts_share_what_the_account_has(scarce: Scarce) -> None:
    socket, api = scarce.socket, scarce.app.management("Api")
    mine = (await ping(socket))["pong"]
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


async def test_messages_may_be_taken_one_after_the_other(busy: Probe) -> None:
    async with connect(busy.url) as socket:
        await socket.send(json.dumps({"do": {"it": ["late"]}}))  # answered after 300 ms
        await socket.send(json.dumps({"do": {"it": ["echo"]}}))
        assert "message" in json.loads(await socket.recv())
        assert "event" in json.loads(await socket.recv())


# After the test above: functions that still run would leave it no concurrency.
async def test_without_concurrency_a_message_is_an_error(busy: Probe) -> None:
    async with contextlib.AsyncExitStack() as open_sockets:
        sockets = [await open_sockets.enter_async_context(connect(busy.bare_url)) for _ in range(3)]
        for socket in sockets:
            await socket.send(json.dumps({"action": "run"}))  # takes a second, and has no answer
        received = [asyncio.ensure_future(socket.recv()) for socket in sockets]
        done, waiting = await asyncio.wait(
            received, timeout=10, return_when=asyncio.FIRST_COMPLETED
        )
        for future in waiting:
            future.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    assert {json.loads(future.result())["message"] for future in done} == {"Internal server error"}


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
    with running_app(TEMPLATE, tmp_path, "--idle-timeout", "1") as app:
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


async def test_what_a_lost_connection_is_told_may_be_assumed(assumed: RunningApp) -> None:
    socket = await connect(assumed.url("Told"))
    socket.transport.abort()
    await socket.wait_closed()
    await asyncio.to_thread(eventually, lambda: told(assumed))
    assert told(assumed) == [(1001, "Going away")]


def told(app: RunningApp) -> list[tuple[int, str]]:
    """Codes and reasons that `$disconnect` was told."""
    contexts = [event["requestContext"] for event in app.printed("DISCONNECT")]
    return [(c["disconnectStatusCode"], c["disconnectReason"]) for c in contexts]


async def test_a_connect_that_takes_too_long_is_504(usual: RunningApp) -> None:
    assert await refusal(usual.url("Slow")) == 504


async def test_a_throttled_connect_route_is_429(usual: RunningApp) -> None:
    async with connect(usual.url("Throttled")):
        assert await refusal(usual.url("Throttled")) == 429


async def test_the_status_of_a_connect_that_takes_too_long_may_be_assumed(
    assumed: RunningApp,
) -> None:
    assert await refusal(assumed.url("Slow")) == 500
