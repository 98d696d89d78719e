"""Tools of MCP servers, against the server of the protocol's own SDK, in both revisions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from benchmarks.mcp_server import measure
from parley.tools.call_context import outside_key
from parley.tools.mcp.messages import IDEMPOTENCY_KEY
from parley.tools.mcp.tool_list import McpToolList
from parley.tools.tool import ToolFailed
from tests.unit.tools.mcp_servers import KEY, SdkServer, invocation, tool, tools_of


@pytest.fixture(scope="module")
def running() -> Iterator[SdkServer]:
    with SdkServer().running() as server:
        yield server


@pytest.fixture
def sdk(running: SdkServer) -> SdkServer:
    running.requests.clear()
    running.began.clear()
    running.cancelled.clear()
    return running


@pytest.fixture(params=["modern-stream", "modern-json", "old-stream", "old-json"])
async def every(sdk: SdkServer, request: pytest.FixtureRequest) -> AsyncIterator[McpToolList]:
    async with tools_of(f"{sdk.url}/{request.param}") as listed:
        await listed.refresh()
        yield listed


@pytest.fixture
async def modern(sdk: SdkServer) -> AsyncIterator[McpToolList]:
    async with tools_of(f"{sdk.url}/modern-stream") as listed:
        await listed.refresh()
        yield listed


@pytest.fixture
async def old(sdk: SdkServer) -> AsyncIterator[McpToolList]:
    async with tools_of(f"{sdk.url}/old-stream") as listed:
        await listed.refresh()
        yield listed


async def fails(listed: McpToolList, name: str, **arguments: Any) -> ToolFailed:
    with pytest.raises(ToolFailed) as raised:
        await tool(listed, name).call(invocation(**arguments))
    return raised.value


async def test_what_a_server_lists_is_offered_with_its_schema(every: McpToolList) -> None:
    specs = {spec.name: spec for spec in every.specs}
    offer = specs["shop_add"].offer
    assert offer.description == "Add two numbers."
    assert offer.schema["required"] == ["a", "b"]
    assert "x-mcp-header" not in str(specs["shop_by_region"].offer.schema)


async def test_a_call_gives_the_structured_result(every: McpToolList) -> None:
    answer = await tool(every, "shop_add").call(invocation(a=2, b=3))
    assert answer.value == {"result": 5}


async def test_a_call_without_a_structured_result_gives_its_text(every: McpToolList) -> None:
    answer = await tool(every, "shop_order_status").call(invocation(order="A-1"))
    assert answer.value == "It is on its way."


async def test_what_is_no_text_is_named(every: McpToolList) -> None:
    answer = await tool(every, "shop_picture").call(invocation())
    assert answer.value == "A picture:\n[image]"


async def test_a_tools_own_error_is_a_failure_in_its_words(every: McpToolList) -> None:
    failure = await fails(every, "shop_order_status", order="B-2")
    assert (failure.reason, failure.acted) == ("error", False)
    assert "No order B-2." in failure.told


async def test_wrong_arguments_are_a_failure_in_the_servers_words(every: McpToolList) -> None:
    failure = await fails(every, "shop_add", a="much", b=3)
    assert (failure.reason, failure.acted) == ("error", False)
    assert "valid integer" in failure.told


async def test_too_large_an_answer_is_given_up(every: McpToolList) -> None:
    failure = await fails(every, "shop_large")
    assert (failure.reason, failure.acted) == ("too_large", True)


async def test_a_tool_that_asks_the_user_for_more_fails_in_mid_run(every: McpToolList) -> None:
    failure = await fails(every, "shop_form")
    assert (failure.reason, failure.acted) == ("needs_a_form", True)


async def test_a_call_carries_the_key_that_others_are_told(
    every: McpToolList, sdk: SdkServer
) -> None:
    await tool(every, "shop_add").call(invocation(a=2, b=3))
    assert sdk.requests[-1].body["params"]["_meta"][IDEMPOTENCY_KEY] == outside_key(KEY)


async def test_a_modern_server_is_asked_nothing_but_the_call(
    modern: McpToolList, sdk: SdkServer
) -> None:
    await tool(modern, "shop_add").call(invocation(a=2, b=3))
    assert [each.body["method"] for each in sdk.requests] == ["tools/list", "tools/call"]
    assert "mcp-session-id" not in sdk.requests[-1].headers


async def test_a_parameter_that_the_server_wants_as_a_header_is_sent_as_one(
    modern: McpToolList, sdk: SdkServer
) -> None:
    answer = await tool(modern, "shop_by_region").call(invocation(region="Zürich"))
    assert answer.value == {"result": "In Zürich."}
    assert sdk.requests[-1].headers["mcp-param-region"] == "=?base64?WsO8cmljaA==?="


async def test_a_cancelled_call_cancels_the_tool(modern: McpToolList, sdk: SdkServer) -> None:
    call = asyncio.create_task(tool(modern, "shop_slow").call(invocation()))
    assert await asyncio.to_thread(sdk.began.wait, 10)
    call.cancel()
    assert await asyncio.to_thread(sdk.cancelled.wait, 10)


async def test_a_call_that_takes_too_long_may_have_acted(modern: McpToolList) -> None:
    with pytest.raises(ToolFailed) as raised:
        await tool(modern, "shop_slow").call(invocation(timeout_s=0.2))
    assert (raised.value.reason, raised.value.acted) == ("timeout", True)


async def test_an_old_server_is_initialized_once(old: McpToolList, sdk: SdkServer) -> None:
    await tool(old, "shop_add").call(invocation(a=2, b=3))
    await tool(old, "shop_add").call(invocation(a=2, b=3))
    assert [each.body["method"] for each in sdk.requests] == [
        *("tools/list", "initialize", "notifications/initialized", "tools/list"),
        *("tools/call", "tools/call"),
    ]
    assert sdk.requests[-1].headers["mcp-protocol-version"] == "2025-11-25"


async def test_a_lost_session_is_opened_anew(old: McpToolList, sdk: SdkServer) -> None:
    lost = sdk.requests[-1].headers["mcp-session-id"]
    async with httpx.AsyncClient() as client:
        ended = await client.delete(f"{sdk.url}/old-stream", headers={"Mcp-Session-Id": lost})
    assert ended.is_success
    answer = await tool(old, "shop_add").call(invocation(a=2, b=3))
    assert answer.value == {"result": 5}
    assert sdk.requests[-1].headers["mcp-session-id"] != lost


async def test_the_command_of_the_docs_lists_and_calls(
    sdk: SdkServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The public server that the docs name needs another SDK than the tests: run it by hand."""
    await measure(f"{sdk.url}/old-stream", "add", {"a": 2, "b": 3}, times=1)
    printed = capsys.readouterr().out
    assert "server_add: Add two numbers." in printed
    assert "{'result': 5}" in printed
