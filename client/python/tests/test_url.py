"""The URL that the Python client connects to: asked for at each attempt."""

from __future__ import annotations

import asyncio

import pytest

from parley_client import (
    BadInput,
    Conversation,
    ParleyClientError,
)
from parley_client.websocket_transport import shown_url
from scripted_server import (
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


@pytest.mark.parametrize(
    "url",
    [
        "ws://a..b/dev",
        "ws://.example/dev",
        f"ws://{'a' * 64}.example/dev",
        f"ws://{'ü' * 64}.example/dev",
        "ws://127.0.0.1:9/\udcff",
        "ws://127.0.0.1:9/dev?token=\udcff",
        "ws://\udcff.example/dev",
        "ws://\udcff@127.0.0.1:9/dev",
    ],
)
async def test_what_no_url_can_hold_is_told_in_a_sentence(url: str) -> None:
    with pytest.raises(BadInput) as told:
        await Conversation.connect(url)
    assert told.value.message.isprintable()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("ws://api.example/dev", "ws://api.example/dev"),
        ("ws://api.example:81/dev?token=geheim", "ws://api.example:81/dev"),
        ("ws://api.example/dev#token=geheim", "ws://api.example/dev"),
        ("wss://me:geheim@api.example/a@b", "wss://api.example/a@b"),
        ("wss://geheim@api.example:8443", "wss://api.example:8443"),
        ("wss://me:ge@heim:geheim@api.example/dev?x", "wss://api.example/dev"),
        ("http://me:geheim@api.example/dev", "http://api.example/dev"),
        ("ws://me:ge/geheim@host/dev", "ws://…"),
        ("ws://me:ge?geheim@host/dev", "ws://…"),
        ("ws://me:geheim@[::1/dev", "ws://…"),
        ("ws://me:geheim@host:99999/dev", "ws://…"),
        ("ws:\\\\me:geheim@api.example\\dev", "…"),
        ("me:geheim@api.example/dev", "…"),
        ("api.example/dev?mail=a@b&token=geheim", "…"),
        ("api.example/dev?token=geheim", "api.example/dev"),
        ("ws://[::1]:9/dev?x", "ws://[::1]:9/dev"),
        ("", ""),
        ("ws://", "ws://"),
    ],
)
async def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert shown_url(url) == shown
    with pytest.raises(ParleyClientError) as told:
        await Conversation.connect(url.replace("example", "invalid"))
    assert "geheim" not in told.value.message


async def test_a_fragment_is_refused_without_being_shown() -> None:
    with pytest.raises(BadInput) as told:
        await Conversation.connect("ws://me:geheim@127.0.0.1:9/dev?token=geheim#geheim")
    assert "geheim" not in told.value.message
    assert "fragment" in told.value.message
