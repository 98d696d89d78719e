"""The journal, and how it is followed over HTTP; the page itself is tested in a browser."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestClient, TestServer

from samwire.inspector import journal as journals
from samwire.inspector.journal import Journal
from samwire.inspector.routes import routes
from samwire.stack import LocalStack, Options
from samwire_tests.conftest import CHAT


def ids(entries: list[str]) -> list[int]:
    return [json.loads(entry)["id"] for entry in entries]


def test_entries_are_numbered_and_the_oldest_go_first() -> None:
    journal = Journal(max_entries=3)
    for number in range(5):
        journal.add("message", {"number": number})
    assert ids(journal.after()) == [3, 4, 5]
    assert ids(journal.after(4)) == [5]


def test_many_bytes_push_out_as_much_as_they_take() -> None:
    journal = Journal(max_bytes=1000)
    for _ in range(5):
        journal.add("message", {"body": "x" * 300})
    assert ids(journal.after()) == [4, 5]


def test_long_texts_are_cut_and_say_how_long_they_were() -> None:
    journal = Journal()
    journal.add("message", {"body": "x" * 100_000, "log": ["y" * 100_000]})
    entry = json.loads(journal.after()[0])
    assert entry["body"].endswith("x… (100000 characters)")
    assert len(entry["body"]) < 33_000
    assert len(entry["log"][0]) < 33_000


def test_a_follower_gets_what_was_and_what_comes() -> None:
    journal = Journal()
    journal.add("a", {})
    queue = journal.follow()
    journal.add("b", {})
    assert [json.loads(queue.get_nowait())["kind"] for _ in range(2)] == ["a", "b"]
    journal.leave(queue)
    journal.add("c", {})
    assert queue.empty()


def test_a_follower_that_does_not_read_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "MAX_BEHIND", 2)
    journal = Journal(max_entries=3)
    queue = journal.follow()
    for _ in range(10):
        journal.add("a", {})
    assert not journal.follows(queue)


def served(journal: Journal) -> TestClient[web.Request, web.Application]:
    app = web.Application()
    app.add_routes(routes(journal))
    return TestClient(TestServer(app))


async def next_entry(response: Any) -> dict[str, Any]:
    """The next event of a stream."""
    async with asyncio.timeout(5):
        while not (line := await response.content.readline()).startswith(b"data: "):
            pass
    return dict(json.loads(line.removeprefix(b"data: ")))


async def test_entries_are_streamed_from_the_one_that_a_browser_has_last() -> None:
    journal = Journal()
    journal.add("a", {})
    journal.add("b", {})
    async with served(journal) as client:
        response = await client.get("/_local/events", headers={"Last-Event-ID": "1"})
        assert response.content_type == "text/event-stream"
        assert (await next_entry(response))["kind"] == "b"
        journal.add("c", {"text": "two\nlines"})
        assert (await next_entry(response))["text"] == "two\nlines"


async def test_a_page_is_live_once_it_has_all_that_there_was() -> None:
    journal = Journal()
    journal.add("a", {})
    async with served(journal) as client:
        response = await client.get("/_local/events")
        lines: list[bytes] = []
        async with asyncio.timeout(5):
            while b"event: live\n" not in lines:
                lines.append(await response.content.readline())
        assert [line for line in lines if line.startswith(b"id: ")] == [b"id: 1\n"]


async def test_a_stack_ends_while_somebody_follows_it() -> None:
    async with LocalStack(Options(template=CHAT, parameters={"Secret": "x"}, port=0)) as stack:
        session = ClientSession()
        response = await session.get(f"{stack.info['inspector_url']}/events")
        assert response.status == 200
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 5
    await session.close()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/_local", "text/html"),
        ("/_local/page/main.js", "text/javascript"),
        ("/_local/page/style.css", "text/css"),
    ],
)
async def test_the_page_and_its_parts_are_served(path: str, kind: str) -> None:
    async with served(Journal()) as client:
        response = await client.get(path)
        assert (response.status, response.content_type) == (200, kind)


@pytest.mark.parametrize("name", ["nosuch.js", "..%2Froutes.py", "index.html%00.js"])
async def test_nothing_else_is_served(name: str) -> None:
    async with served(Journal()) as client:
        assert (await client.get(f"/_local/page/{name}")).status == 404
