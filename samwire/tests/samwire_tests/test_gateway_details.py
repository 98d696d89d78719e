"""What API Gateway does at the edges: handshakes, identifiers, limits, errors, posts."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from samwire_tests.conftest import eventually
from samwire_tests.probe_stack import Probe, probe_here, running_probe

ECHO = json.dumps({"do": {"it": ["echo"]}})
MAX_BYTES = 128 * 1024


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    (folder / "site" / "deep").mkdir(parents=True)
    (folder / "secret.txt").write_text("not served")
    (folder / "site" / "index.html").write_text("<p>hello")
    (folder / "site" / "deep" / "app.mjs").write_text("export {}")
    return folder / "site"


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory, page: Path) -> Iterator[Probe]:
    options = ("--static-dir", str(page), "--prewarm", "1")
    with running_probe(tmp_path_factory.mktemp("probe"), *options) as running:
        yield running


async def ask(socket: ClientConnection, **more: Any) -> dict[str, Any]:
    """What the handler saw of a message."""
    await socket.send(json.dumps({"do": {"it": ["echo"]}, **more}))
    return dict(json.loads(await socket.recv()))


def answering(url: str, answer: Any) -> str:
    return f"{url}?answer={urllib.parse.quote(json.dumps(answer))}"


# --- handshakes -------------------------------------------------------------------------


async def test_connect_sees_the_headers_that_aws_adds(probe: Probe) -> None:
    headers = {"X-Mine": "a", "x-forwarded-for": "1.2.3.4"}
    async with connect(probe.url, additional_headers=headers) as socket:
        connection_id = (await ask(socket))["event"]["requestContext"]["connectionId"]
    event = next(
        e for e in probe.events("CONNECT") if e["requestContext"]["connectionId"] == connection_id
    )
    found = event["headers"]
    assert found["Host"] == event["requestContext"]["domainName"]
    assert found["X-Mine"] == "a"
    assert found["X-Forwarded-For"] == "1.2.3.4, 127.0.0.1"
    assert found["X-Forwarded-Proto"] == "http"
    assert found["X-Forwarded-Port"] == str(urllib.parse.urlsplit(probe.url).port)
    assert found["X-Amzn-Trace-Id"].startswith("Root=1-")
    assert event["multiValueHeaders"] == {name: [value] for name, value in found.items()}


async def test_stage_variables_are_in_every_event(probe: Probe) -> None:
    async with connect(probe.url) as socket:
        event = (await ask(socket))["event"]
    assert list(event) == ["stageVariables", "requestContext", "body", "isBase64Encoded"]
    assert event["stageVariables"] == {"colour": "green"}


async def test_ids_of_one_connection_end_alike(probe: Probe) -> None:
    async with connect(probe.url) as socket:
        context = (await ask(socket))["event"]["requestContext"]
    assert context["messageId"] != context["connectionId"]
    assert context["messageId"][-7:] == context["connectionId"][-7:]


@pytest.mark.parametrize(
    "answer",
    [None, "ok", {}, {"statusCode": "200"}, {"statusCode": 42}, {"statusCode": 200, "headers": 1}],
    ids=str,
)
async def test_an_answer_that_is_none_is_502(probe: Probe, answer: Any) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(answering(probe.url, answer))
    assert refused.value.response.status_code == 502


async def test_a_refusal_carries_no_body_and_no_headers_of_the_handler(probe: Probe) -> None:
    answer = {"statusCode": 401, "headers": {"X-Why": "because"}, "body": "no"}
    with pytest.raises(InvalidStatus) as refused:
        await connect(answering(probe.url, answer))
    assert refused.value.response.status_code == 401
    assert "X-Why" not in refused.value.response.headers
    assert not refused.value.response.body


def test_a_subprotocol_that_nobody_asked_for_is_answered_all_the_same(probe: Probe) -> None:
    answer = {"statusCode": 200, "headers": {"sec-websocket-protocol": "mine"}}
    status, headers = handshake(answering(probe.url, answer))
    assert status == 101
    assert headers["Sec-WebSocket-Protocol"] == "mine"


def test_compression_is_not_negotiated(probe: Probe) -> None:
    status, headers = handshake(
        probe.url, {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}
    )
    assert status == 101
    assert "Sec-WebSocket-Extensions" not in headers


def test_a_plain_get_is_told_to_upgrade(probe: Probe) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(probe.url.replace("ws:", "http:"))
    assert refused.value.code == 426
    refused.value.close()


async def test_what_is_served_statically_is_no_stage(probe: Probe) -> None:
    for path in ("/", "/deep/app.mjs", "/nosuch"):
        with pytest.raises(InvalidStatus) as refused:
            await connect(probe.url.replace("/dev", path))
        assert refused.value.response.status_code == 403


async def test_without_a_connect_route_everyone_is_let_in(probe: Probe) -> None:
    async with connect(probe.bare_url) as socket:
        assert await asyncio.wait_for(await socket.ping(), 5) >= 0


def handshake(url: str, more: dict[str, str] | None = None) -> tuple[int, http.client.HTTPMessage]:
    """Status and headers of a handshake, as they are on the wire."""
    parts = urllib.parse.urlsplit(url)
    client = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
        **(more or {}),
    }
    client.request("GET", f"{parts.path}?{parts.query}", headers=headers)
    answer = client.getresponse()
    client.close()
    return answer.status, answer.headers


# --- messages ---------------------------------------------------------------------------


@pytest.mark.parametrize("body", ["plain text", '{"do": 1}', '{"do": {"it": ["$connect"]}}', "[]"])
async def test_a_message_without_a_route_is_forbidden(probe: Probe, body: str) -> None:
    async with connect(probe.url) as socket:
        connection_id = (await ask(socket))["event"]["requestContext"]["connectionId"]
        await socket.send(body)
        frame = str(await socket.recv())
    pattern = r'\{"message": "Forbidden", "connectionId":"(.+)", "requestId":"[\w-]{15}="\}'
    found = re.fullmatch(pattern, frame)
    assert found
    assert found[1] == connection_id


async def test_an_integration_past_its_time_is_told_and_the_function_goes_on(probe: Probe) -> None:
    before = probe.log.read_text().count("Misbehave | REPORT")
    async with connect(probe.url) as socket:
        await socket.send(json.dumps({"do": {"it": ["late"]}}))
        assert json.loads(await socket.recv())["message"] == "Endpoint request timed out"
        assert (await ask(socket))["version"] == "1", "the connection stays open"
    eventually(lambda: probe.log.read_text().count("Misbehave | REPORT") > before)


async def test_a_mock_that_says_no_status_is_an_error(probe: Probe) -> None:
    async with connect(probe.url) as socket:
        await socket.send(json.dumps({"do": {"it": ["mock"]}}))
        assert json.loads(await socket.recv())["message"] == "Internal server error"


async def test_128_kb_are_not_too_much(probe: Probe) -> None:
    async with connect(probe.url) as socket:
        message = json.dumps({"do": {"it": ["echo"]}, "fill": ""})
        fill = "x" * (MAX_BYTES - len(message))
        seen = await ask(socket, fill=fill)
    assert len(seen["event"]["body"]) == MAX_BYTES


async def test_a_disconnect_does_not_wait_for_messages_that_still_run(probe: Probe) -> None:
    async with connect(probe.url) as socket:
        connection_id = (await ask(socket))["event"]["requestContext"]["connectionId"]
        before = probe.log.read_text().count("Misbehave | REPORT")
        await socket.send(json.dumps({"do": {"it": ["late"]}}))
        await socket.recv()  # that its time is up; the function goes on
    await asyncio.to_thread(eventually, lambda: closes(probe, connection_id))
    eventually(lambda: probe.log.read_text().count("Misbehave | REPORT") > before)
    log = probe.log.read_text()
    assert log.rindex('"eventType": "DISCONNECT"') < log.rindex("Misbehave | REPORT")


async def test_a_connection_that_is_lost_is_told_of(probe: Probe) -> None:
    socket = await connect(probe.url)
    connection_id = (await ask(socket))["event"]["requestContext"]["connectionId"]
    socket.transport.abort()
    await socket.wait_closed()
    eventually(lambda: closes(probe, connection_id))
    assert closes(probe, connection_id) == [(1006, "")]


async def test_a_client_that_leaves_during_connect_gets_its_disconnect(probe: Probe) -> None:
    before = len(probe.events("DISCONNECT"))
    parts = urllib.parse.urlsplit(answering(probe.url, {"statusCode": 200}))
    _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    request = (
        f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n"
    )
    writer.write(request.encode())
    await writer.drain()
    writer.transport.abort()
    await asyncio.to_thread(eventually, lambda: len(probe.events("DISCONNECT")) > before)


def closes(probe: Probe, connection_id: str) -> list[tuple[int, str]]:
    """Codes and reasons that `$disconnect` has been told."""
    contexts = [event["requestContext"] for event in probe.events("DISCONNECT")]
    return [
        (context["disconnectStatusCode"], context["disconnectReason"])
        for context in contexts
        if context["connectionId"] == connection_id
    ]


# --- @connections -----------------------------------------------------------------------


async def test_posts_arrive_in_the_order_they_were_made(probe: Probe) -> None:
    api = probe.client("apigatewaymanagementapi")
    async with connect(probe.url) as socket:
        connection_id = (await ask(socket))["event"]["requestContext"]["connectionId"]

        def post() -> None:
            for number in range(50):
                api.post_to_connection(ConnectionId=connection_id, Data=str(number))

        posting = asyncio.create_task(asyncio.to_thread(post))
        assert [await socket.recv() for _ in range(50)] == [str(number) for number in range(50)]
        await posting


async def test_after_a_delete_posts_are_gone_at_once(probe: Probe) -> None:
    api = probe.client("apigatewaymanagementapi")
    async with connect(probe.url) as socket:
        connection_id = (await ask(socket))["event"]["requestContext"]["connectionId"]
        await asyncio.to_thread(api.delete_connection, ConnectionId=connection_id)
        for call in (api.delete_connection, api.get_connection):
            with pytest.raises(api.exceptions.GoneException):
                await asyncio.to_thread(call, ConnectionId=connection_id)
        with pytest.raises(ConnectionClosed):
            await socket.recv()
    eventually(lambda: closes(probe, connection_id))
    assert closes(probe, connection_id) == [(1000, "Connection Closed Normally")]


async def test_too_large_a_post_is_refused(probe: Probe) -> None:
    api = probe.client("apigatewaymanagementapi")
    async with connect(probe.url) as socket:
        connection_id = (await ask(socket))["event"]["requestContext"]["connectionId"]
        with pytest.raises(api.exceptions.PayloadTooLargeException):
            await asyncio.to_thread(
                api.post_to_connection, ConnectionId=connection_id, Data=b"x" * (MAX_BYTES + 1)
            )


@pytest.mark.parametrize("form", ["@connections/{raw}", "%40connections/{quoted}"])
async def test_ids_are_understood_as_curl_and_boto3_write_them(probe: Probe, form: str) -> None:
    async with connect(probe.url) as socket:
        connection_id = (await ask(socket))["event"]["requestContext"]["connectionId"]
        path = form.format(raw=connection_id, quoted=urllib.parse.quote(connection_id))
        status, _, _ = await asyncio.to_thread(
            manage, probe, f"/dev/{path}", {"Authorization": "x"}
        )
        assert status == 200
        assert await socket.recv() == "hello"


@pytest.mark.parametrize(
    ("path", "headers", "message"),
    [
        ("/dev/@connections/x=", {}, "Missing Authentication Token"),
        ("/nosuch/@connections/x=", {"Authorization": "x"}, "Forbidden"),
        ("/@connections/x=", {"Authorization": "x"}, "Forbidden"),
    ],
)
def test_who_may_not_post_is_told_why(
    probe: Probe, path: str, headers: dict[str, str], message: str
) -> None:
    status, kind, body = manage(probe, path, headers)
    assert (status, kind, json.loads(body)["message"]) == (403, "ForbiddenException", message)


def test_gone_has_an_empty_body_and_a_name(probe: Probe) -> None:
    answer = manage(probe, "/dev/@connections/PJqB0fHsqRcCHlw=", {"Authorization": "x"})
    assert answer == (410, "GoneException", b"")


def manage(probe: Probe, path: str, headers: dict[str, str]) -> tuple[int, str | None, bytes]:
    """A post over TLS: status, kind of error and body."""
    parts = urllib.parse.urlsplit(probe.info["management_url"])
    context = ssl.create_default_context(cafile=probe.info["ca_bundle"])
    client = http.client.HTTPSConnection("localhost", parts.port, context=context, timeout=10)
    client.request("POST", path, "hello", headers)
    answer = client.getresponse()
    found = answer.status, answer.headers.get("x-amzn-ErrorType"), answer.read()
    client.close()
    return found


# --- static files -----------------------------------------------------------------------


def fetched(probe: Probe, path: str) -> tuple[int, str, bytes]:
    parts = urllib.parse.urlsplit(probe.info["static_url"])
    client = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=10)
    client.request("GET", path)
    answer = client.getresponse()
    found = answer.status, str(answer.headers.get("Content-Type")), answer.read()
    assert answer.status != 200 or answer.headers.get("Cache-Control") or "_local" in path
    client.close()
    return found


@pytest.mark.parametrize(
    ("path", "kind", "content"),
    [("/", "text/html", b"<p>hello"), ("/deep/app.mjs", "text/javascript", b"export {}")],
)
def test_files_are_served_with_their_type(
    probe: Probe, path: str, kind: str, content: bytes
) -> None:
    status, found, body = fetched(probe, path)
    assert (status, body) == (200, content)
    assert found.startswith(kind)


@pytest.mark.parametrize(
    "path", ["/../secret.txt", "/%2e%2e/secret.txt", "/deep/..%2f..%2fsecret.txt", "/a%00b", "/no"]
)
def test_nothing_outside_the_folder_is_served(probe: Probe, path: str) -> None:
    assert fetched(probe, path)[0] == 404


def test_the_stack_says_what_it_is(probe: Probe) -> None:
    _, kind, body = fetched(probe, "/_local/stack.json")
    assert kind.startswith("application/json")
    assert json.loads(body)["websocket_url"] == probe.url


# --- limits -----------------------------------------------------------------------------


async def test_idle_and_old_connections_are_closed(tmp_path: Path) -> None:
    options = ("--idle-timeout", "1", "--max-duration", "2.5")
    async with probe_here(tmp_path, *options) as short:
        idle, old = await connect(short.bare_url), await connect(short.bare_url)
        loop = asyncio.get_running_loop()
        began = loop.time()

        async def keep_busy() -> float:
            with contextlib.suppress(ConnectionClosed):
                while True:
                    await old.send("{}")
                    await asyncio.wait_for(old.recv(), 2)
                    await asyncio.sleep(0.2)
            return loop.time() - began

        busy = asyncio.create_task(keep_busy())
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(idle.recv(), 5)
        assert 0.8 < loop.time() - began < 2
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1001, "Going away")
        assert 2.2 < await asyncio.wait_for(busy, 5) < 4
