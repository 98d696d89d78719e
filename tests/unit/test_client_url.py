"""The URL that the Python client connects to: asked for at each attempt."""

from __future__ import annotations

import asyncio

import pytest

from parley_client import (
    Conversation,
    ParleyClientError,
)
from tests.unit.client_server import (
    QUICK,
    ScriptedServer,
)


@pytest.mark.parametrize("wait", [False, True])
async def test_the_url_is_asked_for_at_each_attempt(server: ScriptedServer, wait: bool) -> None:
    asked: list[str] = []

    def plain() -> str:
        asked.append(f"{server.url}?token={len(asked)}")
        return asked[-1]

    async def awaited() -> str:
        await asyncio.sleep(0)
        return plain()

    url = awaited if wait else plain
    async with Conversation.connect(url, reconnect=QUICK) as conversation:
        await server.peers[0].cut()
        await conversation.say("hello")
    paths = [peer.socket.request.path for peer in server.peers if peer.socket.request]
    assert paths == ["/dev?token=0", "/dev?token=1"]


async def test_a_url_that_cannot_be_had_for_a_moment_is_asked_for_again(
    server: ScriptedServer,
) -> None:
    answers: list[str | Exception] = [server.url, OSError("no network"), server.url]

    def fetch() -> str:
        next_ = answers.pop(0)
        if isinstance(next_, Exception):
            raise next_
        return next_

    async with Conversation.connect(fetch, reconnect=QUICK) as conversation:
        await server.peers[0].cut()
        await conversation.say("hello")
    assert answers == []


async def test_what_is_no_url_is_named_when_it_is_asked_for() -> None:
    def fetch() -> str:
        return None  # type: ignore[return-value]  # what a caller may get wrong

    with pytest.raises(ParleyClientError, match="must be a str, not NoneType"):
        await Conversation.connect(fetch)
