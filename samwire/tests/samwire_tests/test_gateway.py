"""The gateway through real sockets: what API Gateway does, this does."""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from samwire_tests.conftest import App, eventually

IDENTIFIER = re.compile(r"^[A-Za-z0-9_-]{15}=$")


async def test_the_handshake_waits_for_the_handler(app: App) -> None:
    began = time.monotonic()
    async with connect(app.url + "?wait=0.7"):
        assert time.monotonic() - began >= 0.7


async def test_until_the_handshake_is_complete_the_connection_is_gone(app: App) -> None:
    def pending() -> list[str]:
        events = app.events("CONNECT")
        mine = [e for e in events if (e.get("queryStringParameters") or {}).get("wait") == "2.5"]
        return [event["requestContext"]["connectionId"] for event in mine]

    api = app.client("apigatewaymanagementapi")
    connecting = asyncio.create_task(connect(app.url + "?wait=2.5").__aenter__())
    await asyncio.to_thread(eventually, pending)
    with pytest.raises(api.exceptions.GoneException):
        await asyncio.to_thread(api.post_to_connection, ConnectionId=pending()[0], Data="early")
    socket = await connecting
    await asyncio.to_thread(api.post_to_connection, ConnectionId=pending()[0], Data="now")
    assert await socket.recv() == "now"
    await socket.close()


@pytest.mark.parametrize("status", [400, 401, 403, 501])
async def test_a_refused_handshake_has_the_handlers_status(app: App, status: int) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"{app.url}?status={status}")
    assert refused.value.response.status_code == status


async def test_any_2xx_accepts(app: App) -> None:
    async with connect(app.url + "?status=201") as socket:
        assert (await asyncio.wait_for(await socket.ping(), 5)) >= 0


async def test_a_handler_that_raises_is_502(app: App) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(app.url + "?raise=1")
    assert refused.value.response.status_code == 502


async def test_an_unknown_stage_is_403(app: App) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(app.url.replace("/prod", "/nosuch"))
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("wrong", ["Sec-WebSocket-Key", "Sec-WebSocket-Version", "Connection"])
def test_a_handshake_that_is_none_is_400_and_connects_nobody(app: App, wrong: str) -> None:
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
        wrong: "close",
    }
    url = app.url.replace("ws:", "http:") + f"?wrong={wrong}"
    assert httpx.get(url, headers=headers).status_code == 400
    connects = [event.get("queryStringParameters") for event in app.events("CONNECT")]
    assert {"wrong": wrong} not in connects


async def test_a_url_may_end_with_a_slash(app: App) -> None:
    async with connect(app.url + "/?greeting=hello") as socket:
        await socket.send('{"action": "ask"}')
        assert json.loads(await socket.recv()) == {"you_asked": {"action": "ask"}}
    with pytest.raises(InvalidStatus) as refused:
        await connect(app.url.replace("/prod", "/nosuch/"))
    assert refused.value.response.status_code == 403


async def test_a_subprotocol_is_answered_only_if_the_handler_does(app: App) -> None:
    protocols: Any = ["a", "b"]  # a str is one, as its type does not say
    async with connect(app.url, subprotocols=protocols) as socket:
        assert socket.subprotocol is None
    async with connect(app.url + "?protocol=b", subprotocols=protocols) as socket:
        assert socket.subprotocol == "b"


async def test_events_have_the_keys_that_aws_sends(app: App) -> None:
    async with connect(app.url + "?token=t", user_agent_header=None) as socket:
        await socket.send('{"action": "hello"}')
        await socket.send('{"action": "look"}')
        await socket.recv()
        await socket.close(code=4001, reason="enough")
    event = next(e for e in app.events("CONNECT") if "token" in str(e.get("queryStringParameters")))
    context = event["requestContext"]
    connection_id = context["connectionId"]
    assert list(event) == [
        *("headers", "multiValueHeaders", "queryStringParameters"),
        *("multiValueQueryStringParameters", "requestContext", "isBase64Encoded"),
    ]
    assert event["multiValueQueryStringParameters"] == {"token": ["t"]}
    assert {"Connection", "Upgrade"}.isdisjoint(event["headers"])
    assert context["identity"] == {"sourceIp": "127.0.0.1"}, "no user agent, no key"
    assert context["requestId"] == context["extendedRequestId"]
    assert IDENTIFIER.match(connection_id)
    assert re.match(r"^\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000$", context["requestTime"])
    (message, *_) = app.events("MESSAGE", connection_id)
    assert list(message) == ["requestContext", "body", "isBase64Encoded"]
    assert message["requestContext"]["routeKey"] == "$default"
    assert IDENTIFIER.match(message["requestContext"]["messageId"])
    eventually(lambda: app.events("DISCONNECT", connection_id))
    (closed,) = app.events("DISCONNECT", connection_id)
    assert closed["headers"].keys() == {"Host", "x-api-key", "X-Forwarded-For", "x-restapi"}
    assert closed["requestContext"]["disconnectStatusCode"] == 4001
    assert closed["requestContext"]["disconnectReason"] == "enough"


async def test_a_close_without_a_code_is_1005(app: App) -> None:
    async with connect(app.url) as socket:
        await socket.send(json.dumps({"action": "look"}))
        await socket.recv()
        socket.protocol.send_close()
        socket.transport.write(b"".join(socket.protocol.data_to_send()))
        await socket.wait_closed()
    eventually(
        lambda: any(
            e["requestContext"]["disconnectStatusCode"] == 1005
            and e["requestContext"]["disconnectReason"] == "Client-side close frame status not set"
            for e in app.events("DISCONNECT")
        )
    )


async def test_messages_of_one_connection_overtake_each_other(app: App) -> None:
    async with connect(app.url) as socket:
        await socket.send(json.dumps({"action": "slow", "seconds": 1.5, "data": "first"}))
        await socket.send(json.dumps({"action": "post", "data": "second"}))
        assert [await socket.recv(), await socket.recv()] == ["second", "first"]


async def test_what_a_one_way_handler_returns_is_not_sent(app: App) -> None:
    async with connect(app.url) as socket:
        await socket.send("anything")
        await socket.send(json.dumps({"action": "post", "data": "only this"}))
        assert await socket.recv() == "only this"


async def test_a_route_with_a_response_sends_the_body(app: App) -> None:
    async with connect(app.url) as socket:
        await socket.send(json.dumps({"action": "ask", "n": 1}))
        assert json.loads(await socket.recv()) == {"you_asked": {"action": "ask", "n": 1}}


async def test_what_a_handler_posts_comes_before_what_it_returns(app: App) -> None:
    async with connect(app.url) as socket:
        await socket.send(json.dumps({"action": "ask", "post": "posted"}))
        assert await socket.recv() == "posted"
        assert "you_asked" in json.loads(await socket.recv())


async def test_error_frames_are_spaced_as_aws_spaces_them(app: App) -> None:
    async with connect(app.url) as socket:
        await socket.send(json.dumps({"action": "raise"}))
        frame = str(await socket.recv())
        assert re.match(
            r'^\{"message": "Internal server error", "connectionId":"[A-Za-z0-9_-]{15}=", '
            r'"requestId":"[A-Za-z0-9_-]{15}="\}$',
            frame,
        )
        await socket.send(json.dumps({"action": "post", "data": "still open"}))
        assert await socket.recv() == "still open"


async def test_a_post_to_a_connection_that_is_gone_raises_gone(app: App) -> None:
    async with connect(app.url) as socket, connect(app.url) as other:
        await other.send(json.dumps({"action": "look"}))
        await other.recv()
        others = {e["requestContext"]["connectionId"] for e in app.events("MESSAGE")}
        await other.close()
        await socket.send(json.dumps({"action": "look"}))
        await socket.recv()
        mine = {e["requestContext"]["connectionId"] for e in app.events("MESSAGE")} - others
        gone = next(iter(others - mine))
        await socket.send(json.dumps({"action": "try", "to": gone}))
        assert await socket.recv() == "GoneException"


async def test_get_connection_says_when_it_was_made(app: App) -> None:
    async with connect(app.url) as socket:
        await socket.send(json.dumps({"action": "look"}))
        found = json.loads(await socket.recv())
        assert found["Identity"]["SourceIp"] == "127.0.0.1"
        assert found["ConnectedAt"] <= found["LastActiveAt"]


async def test_delete_closes_the_connection_and_disconnect_fires(app: App) -> None:
    async with connect(app.url) as socket:
        await socket.send(json.dumps({"action": "delete"}))
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1000
    eventually(
        lambda: any(
            e["requestContext"]["disconnectReason"] == "Connection Closed Normally"
            for e in app.events("DISCONNECT")
        )
    )


async def test_binary_frames_are_refused_with_1003(app: App) -> None:
    async with connect(app.url) as socket:
        await socket.send(b"\x00")
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1003


async def test_a_message_beyond_128_kb_closes_with_1009(app: App) -> None:
    async with connect(app.url) as socket:
        await socket.send("x" * (128 * 1024 + 1))
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


async def test_wss_works_with_the_stacks_own_authority(app: App) -> None:
    import ssl

    context = ssl.create_default_context(cafile=app.info["ca_bundle"])
    async with connect(app.info["wss_url"], ssl=context) as socket:
        await socket.send(json.dumps({"action": "post", "data": "over TLS"}))
        assert await socket.recv() == "over TLS"
