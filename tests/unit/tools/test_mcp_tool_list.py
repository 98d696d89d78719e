"""How the tools that a server lists are fetched, kept and fetched again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from parley.tools.mcp import tool_list
from parley.tools.mcp.tool_list import McpToolList
from parley.tools.tool import ToolFailed
from tests.unit.tools.mcp_servers import (
    Deployment,
    invocation,
    listing,
    said,
    scripted,
    tool,
    tools_of,
)


class Clock:
    """The time, which passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(tool_list, "time", clock)
    return clock


def names(listed: McpToolList) -> list[str]:
    return [spec.name for spec in listed.specs]


async def fetched(listed: McpToolList) -> None:
    """Refresh, and wait for what goes on beside the turn."""
    await listed.refresh()
    assert listed._fetch is not None
    await listed._fetch


async def test_every_page_is_read() -> None:
    pages = {None: listing("a", nextCursor="2"), "2": listing("b", nextCursor="3")}

    def handle(_request: web.Request, message: dict[str, Any]) -> Any:
        return pages.get(message["params"].get("cursor"), listing("c"))

    async with scripted(handle) as server, tools_of(server.url) as listed:
        await listed.refresh()
        assert names(listed) == ["shop_a", "shop_b", "shop_c"]


async def test_a_list_without_an_end_is_cut() -> None:
    context = Deployment()
    async with (
        scripted(lambda *_: listing("a", nextCursor="again")) as server,
        tools_of(server.url, context) as listed,
    ):
        await listed.refresh()
        assert len(server.requests) == 20
        assert names(listed) == ["shop_a"]
    assert context.logged[0] == ("mcp_list_cut", {"server": "shop", "pages": 20})


@pytest.mark.parametrize(
    ("ttl_ms", "kept_s"),
    [(0, 60), (90_000, 90), (-1, 60), (None, 60), ("soon", 60), (float("nan"), 60)],
)
async def test_a_list_is_kept_for_as_long_as_the_server_says_but_a_minute(
    clock: Clock, ttl_ms: Any, kept_s: int
) -> None:
    async with (
        scripted(lambda *_: listing("a", ttlMs=ttl_ms)) as server,
        tools_of(server.url) as listed,
    ):
        await fetched(listed)
        clock.now += kept_s - 1
        await fetched(listed)
        assert len(server.requests) == 1
        clock.now += 1
        await fetched(listed)
        assert len(server.requests) == 2


async def test_only_the_first_turn_waits_for_a_slow_server_and_not_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tool_list, "FIRST_WAIT_S", 0.01)
    answers = asyncio.Event()

    async def handle(*_: object) -> Any:
        await answers.wait()
        return listing("a")

    async with scripted(handle) as server, tools_of(server.url) as listed:
        await asyncio.wait_for(listed.refresh(), 1)
        assert names(listed) == []
        monkeypatch.setattr(tool_list, "FIRST_WAIT_S", 60)
        await asyncio.wait_for(listed.refresh(), 1)
        answers.set()
        await fetched(listed)
        assert names(listed) == ["shop_a"]
        assert len(server.requests) == 1


async def test_a_list_that_cannot_be_had_again_is_kept(clock: Clock) -> None:
    found: list[Any] = [listing("a")]
    context = Deployment()
    async with (
        scripted(lambda *_: found.pop() if found else web.Response(status=500)) as server,
        tools_of(server.url, context) as listed,
    ):
        await fetched(listed)
        clock.now += 60
        await fetched(listed)
        assert names(listed) == ["shop_a"]
    assert context.logged == [
        ("mcp_list_failed", {"server": "shop", "reason": "unavailable", "status": 500})
    ]


@pytest.mark.parametrize("answer", [{"result": {}}, {"result": {"tools": 1}}, {}])
async def test_what_is_no_list_breaks_no_turn(answer: dict[str, Any]) -> None:
    context = Deployment()
    async with scripted(lambda *_: answer) as server, tools_of(server.url, context) as listed:
        await listed.refresh()
        assert names(listed) == []
    assert context.logged[0][0] == "mcp_list_failed"


async def test_a_tool_that_is_dropped_is_logged_once(clock: Clock) -> None:
    context = Deployment()
    bad = {"result": {"tools": [{"name": "act"}]}}
    async with scripted(lambda *_: bad) as server, tools_of(server.url, context) as listed:
        await fetched(listed)
        clock.now += 60
        await fetched(listed)
        assert len(server.requests) == 2
    fields = {"server": "shop", "tool": "act", "reason": "no_object_schema"}
    assert context.logged == [("mcp_tool_dropped", fields)]


async def test_a_tool_is_what_the_deployer_says_and_not_what_the_server_hints() -> None:
    hints = {"readOnlyHint": True, "title": "Look"}
    listed_tool = {"name": "act", "inputSchema": {"type": "object"}, "annotations": hints}
    async with (
        scripted(lambda *_: {"result": {"tools": [listed_tool]}}) as server,
        tools_of(server.url, timeout_s=3, show="all", say={"": ["One moment."]}) as listed,
    ):
        await listed.refresh()
        (spec,) = listed.specs
    assert (spec.effect, spec.kind, spec.timeout_s, spec.show) == ("write", "mcp", 3, "all")
    assert spec.title == "Look"
    assert spec.sentences("en") == ["One moment."]


async def test_a_call_that_shows_the_list_to_be_old_has_it_fetched_with_the_next_turn() -> None:
    def handle(_request: web.Request, message: dict[str, Any]) -> Any:
        if message["method"] == "tools/list":
            return listing("act")
        error = {"code": -32020, "message": "Header mismatch"}
        return web.json_response({"id": message["id"], "error": error}, status=400)

    async with scripted(handle) as server, tools_of(server.url) as listed:
        await listed.refresh()
        with pytest.raises(ToolFailed):
            await tool(listed, "shop_act").call(invocation())
        await fetched(listed)
        assert len(server.called("tools/list")) == 2


async def test_a_tool_that_is_listed_no_more_is_not_called(clock: Clock) -> None:
    found = [listing("other"), listing("act")]
    async with (
        scripted(lambda _, m: found.pop() if m["method"] == "tools/list" else said("")) as server,
        tools_of(server.url) as listed,
    ):
        await fetched(listed)
        runner = tool(listed, "shop_act")
        clock.now += 60
        await fetched(listed)
        with pytest.raises(ToolFailed) as raised:
            await runner.call(invocation())
        assert (raised.value.reason, raised.value.acted) == ("not_found", False)
        assert not server.called("tools/call")
