"""Calls of an MCP server that answers in the ways that the protocol has, and in some it has not."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web

from parley.tools.tool import Answer, ToolFailed
from tests.unit.speech_server import closed_port
from tests.unit.tools.mcp_servers import (
    NOT_INITIALIZED,
    Deployment,
    Handler,
    ScriptedServer,
    invocation,
    listing,
    said,
    scripted,
    tool,
    tools_of,
)


def answers(answer: Any, **more: Any) -> Handler:
    """A server of both revisions with one tool, whose calls get an answer."""

    def handle(request: web.Request, message: dict[str, Any]) -> Any:
        if message["method"] == "initialize":
            return session(message)
        if message["method"] == "notifications/initialized":
            return web.Response(status=202)
        if message["method"] == "tools/list":
            return listing("act", **more)
        return answer(request, message) if callable(answer) else answer

    return handle


def session(message: dict[str, Any]) -> web.Response:
    """The answer to `initialize`."""
    result = {"protocolVersion": "2025-11-25", "capabilities": {}}
    return web.json_response(
        {"jsonrpc": "2.0", "id": message["id"], "result": result},
        headers={"Mcp-Session-Id": "session-1"},
    )


def in_sessions(call: Any) -> Handler:
    """A server of 2025-11-25 with one tool."""

    def handle(request: web.Request, message: dict[str, Any]) -> Any:
        if request.headers.get("MCP-Protocol-Version") == "2026-07-28":
            return web.json_response(NOT_INITIALIZED, status=400)
        if message.get("method") == "initialize":
            return session(message)
        if message.get("method") == "tools/list":
            return listing("act")
        if message.get("method") == "tools/call" or request.method == "GET":
            return call(request, message)
        return web.Response(status=202)

    return handle


async def call(server: ScriptedServer, **options: Any) -> Answer:
    async with tools_of(server.url, **options) as listed:
        await listed.refresh()
        return await tool(listed, "shop_act").call(invocation(timeout_s=5))


async def fails(server: ScriptedServer, **options: Any) -> ToolFailed:
    with pytest.raises(ToolFailed) as raised:
        await call(server, **options)
    return raised.value


def events(*lines: str, status: int = 200) -> web.Response:
    return web.Response(
        text="\n".join(lines) + "\n\n", content_type="text/event-stream", status=status
    )


def data(message: dict[str, Any]) -> str:
    return f"data: {json.dumps({'jsonrpc': '2.0', **message})}"


async def test_comments_and_progress_are_passed_over() -> None:
    def stream(_request: web.Request, message: dict[str, Any]) -> web.Response:
        progress = {"method": "notifications/progress", "params": {"progress": 1}}
        last = {"id": message["id"], **said("Done.")}
        return events(": ping", "", data(progress), "", data(last))

    async with scripted(answers(stream)) as server:
        assert (await call(server)).value == "Done."


async def test_a_server_that_asks_something_is_told_that_nobody_answers() -> None:
    asked = asyncio.Event()

    async def stream(request: web.Request, message: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        question = {"id": "q-1", "method": "roots/list"}
        await response.write(f"{data(question)}\n\n".encode())
        await asked.wait()
        answer = {"id": message["id"], **said("Without roots.")}
        await response.write(f"{data(answer)}\n\n".encode())
        return response

    def handle(request: web.Request, message: dict[str, Any]) -> Any:
        if message.get("id") == "q-1":
            assert message["error"]["code"] == -32601
            asked.set()
            return web.Response(status=202)
        return in_sessions(stream)(request, message)

    async with scripted(handle) as server:
        assert (await call(server)).value == "Without roots."


async def test_a_stream_that_an_old_server_closes_is_taken_up_again() -> None:
    def stream(request: web.Request, message: dict[str, Any]) -> web.Response:
        if request.method == "POST":
            ids.append(message["id"])
            return events("id: 7", "retry: 1", "data:")
        assert request.headers["Last-Event-ID"] == "7"
        return events(data({"id": ids[0], **said("Done.")}))

    ids: list[int] = []
    async with scripted(in_sessions(stream)) as server:
        assert (await call(server)).value == "Done."


async def test_a_stream_that_ends_without_an_answer_may_have_acted() -> None:
    async with scripted(answers(lambda *_: events("id: 7", "data:"))) as server:
        failure = await fails(server)
        assert (failure.reason, failure.acted) == ("unavailable", True)
        assert len(server.called("tools/call")) == 1


async def test_a_connection_that_breaks_may_have_acted_and_is_not_tried_again() -> None:
    async def break_off(request: web.Request, _message: dict[str, Any]) -> web.Response:
        assert request.transport
        request.transport.close()
        return web.Response()

    async with scripted(answers(break_off)) as server:
        failure = await fails(server)
        assert (failure.reason, failure.acted) == ("unavailable", True)
        assert len(server.called("tools/call")) == 1


@pytest.mark.parametrize(
    ("status", "reason", "acted"),
    [
        (302, "unavailable", False),
        (401, "refused", False),
        (403, "refused", False),
        (429, "unavailable", False),
        (500, "unavailable", True),
        (503, "unavailable", True),
    ],
)
async def test_a_status_says_whether_a_call_may_have_acted(
    status: int, reason: str, acted: bool
) -> None:
    def refuse(*_: object) -> web.Response:
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async with scripted(answers(refuse)) as server:
        failure = await fails(server)
        assert (failure.reason, failure.acted) == (reason, acted)
        assert failure.log_fields == {"status": status}
        assert len(server.called("tools/call")) == 1


@pytest.mark.parametrize(
    ("code", "status", "reason", "acted"),
    [
        (-32020, 400, "unavailable", False),
        (-32021, 400, "needs_a_form", True),
        (-32600, 400, "needs_a_form", True),
        (-32601, 404, "needs_a_form", True),
        (-32602, 200, "error", False),
        (-32603, 200, "unavailable", True),
        (-32042, 200, "needs_a_form", False),
        (-32000, 400, "unavailable", True),
    ],
)
async def test_an_error_in_the_name_of_the_call_is_never_called_again(
    code: int, status: int, reason: str, acted: bool
) -> None:
    """A tool may have run before: SDKs answer a tool's own failing question so."""

    def refuse(_request: web.Request, message: dict[str, Any]) -> web.Response:
        error = {"code": code, "message": "In its words."}
        return web.json_response({"id": message["id"], "error": error}, status=status)

    async with scripted(answers(refuse)) as server:
        failure = await fails(server)
        assert (failure.reason, failure.acted) == (reason, acted)
        assert failure.told == ("In its words." if code == -32602 else "")
        assert len(server.called("tools/call")) == 1


async def test_input_that_a_server_wants_cannot_be_given() -> None:
    wanted = {"result": {"resultType": "input_required", "inputRequests": {"q": {}}}}
    async with scripted(answers(wanted)) as server:
        assert (await fails(server)).reason == "needs_a_form"


async def test_a_session_is_not_replaced_when_a_tool_may_have_run() -> None:
    def refuse(_request: web.Request, message: dict[str, Any]) -> web.Response:
        error = {"code": -32600, "message": "No back-channel."}
        return web.json_response({"id": message["id"], "error": error}, status=400)

    async with scripted(in_sessions(refuse)) as server:
        assert (await fails(server)).acted
        assert len(server.called("tools/call")) == 1


@pytest.mark.parametrize("status", [400, 404, 405])
async def test_a_server_that_refuses_a_modern_request_is_initialized(status: int) -> None:
    def handle(request: web.Request, message: dict[str, Any]) -> Any:
        if request.headers.get("MCP-Protocol-Version") == "2026-07-28":
            return web.Response(status=status)
        return in_sessions(lambda *_: said("Done."))(request, message)

    async with scripted(handle) as server:
        assert (await call(server)).value == "Done."


async def test_a_modern_server_that_refuses_a_request_is_not_initialized() -> None:
    refusal = {"id": None, "error": {"code": -32022, "message": "", "data": {"supported": ["3"]}}}
    async with scripted(lambda *_: web.json_response(refusal, status=400)) as server:
        context = Deployment()
        async with tools_of(server.url, context) as listed:
            await listed.refresh()
        assert not server.called("initialize")
        fields = {"server": "shop", "reason": "unavailable", "status": 400, "code": -32022}
        assert context.logged == [("mcp_list_failed", fields)]


async def test_a_server_that_nobody_reaches_has_not_acted() -> None:
    async with scripted(answers(said("Done."))) as server, tools_of(server.url) as listed:
        await listed.refresh()
        runner = tool(listed, "shop_act")
        listed.client._wire._url = f"http://127.0.0.1:{closed_port()}/mcp"
        with pytest.raises(ToolFailed) as raised:
            await runner.call(invocation())
    assert (raised.value.reason, raised.value.acted) == ("unavailable", False)


async def test_a_token_is_read_again_after_it_has_been_refused() -> None:
    def handle(request: web.Request, message: dict[str, Any]) -> Any:
        if request.headers.get("Authorization") != "Bearer new":
            return web.Response(status=401)
        return answers(said("Done."))(request, message)

    context = Deployment({"shop_token": ["old", "new"]})
    async with scripted(handle) as server:
        answer = await call(server, context=context, auth="bearer", secret="shop_token")
    assert answer.value == "Done."
    assert [each.headers["authorization"] for each in server.requests] == [
        *("Bearer old", "Bearer new"),
        "Bearer new",
    ]


async def test_a_server_whose_token_is_missing_is_not_asked() -> None:
    context = Deployment()
    async with (
        scripted(answers(said("Done."))) as server,
        tools_of(server.url, context, auth="bearer", secret="shop_token") as listed,
    ):
        await listed.refresh()
    assert server.requests == []
    assert context.logged[0][1] == {
        "server": "shop",
        "reason": "refused",
        "cause": "no_token",
        "secret": "shop_token",
    }
