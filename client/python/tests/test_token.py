"""The token that the Python client shows: where it goes, and what a refusal leads to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from parley_client import (
    BadInput,
    ConnectFailed,
    Conversation,
    HandshakeRefused,
    Reconnect,
    Timeouts,
    Unauthorized,
)
from scripted_server import ScriptedServer

QUICK = Reconnect(attempts=5, base_s=0.001, cap_s=0.002, stable_s=0.0)


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer() as running:
        yield running


class Source:
    """Gives token-1, token-2 and so on."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> str:
        self.asked += 1
        return f"token-{self.asked}"

    async def later(self) -> str:
        await asyncio.sleep(0)
        return self()


async def test_without_a_token_no_subprotocol_is_offered(server: ScriptedServer) -> None:
    async with Conversation.connect(server.url):
        assert server.offered == [""]


async def test_a_token_goes_beside_the_subprotocol_that_is_answered(
    server: ScriptedServer,
) -> None:
    async with Conversation.connect(server.url, token="token-1") as conversation:
        assert server.offered == ["parley, token-1"]
        await conversation.ping()


@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_who_gives_tokens_is_asked_at_every_attempt(
    server: ScriptedServer, kind: str
) -> None:
    source = Source()
    ask: Callable[[], str | Awaitable[str]] = source if kind == "plain" else source.later
    async with Conversation.connect(server.url, token=ask, reconnect=QUICK) as conversation:
        await server.peers[0].cut()
        await conversation.ping()
    assert server.offered == ["parley, token-1", "parley, token-2"]


@pytest.mark.parametrize("status", [401, 403])
async def test_after_a_refusal_a_fresh_token_is_tried_once(
    server: ScriptedServer, status: int
) -> None:
    server.refusals = [status]
    async with Conversation.connect(server.url, token=Source()) as conversation:
        await conversation.ping()
    assert server.offered == ["parley, token-1", "parley, token-2"]


async def test_a_second_403_is_meant(server: ScriptedServer) -> None:
    server.refusals = [403] * 9
    with pytest.raises(HandshakeRefused) as refused:
        await Conversation.connect(server.url, token=Source())
    assert (refused.value.status, refused.value.retryable) == (403, False)
    assert server.handshakes == 2


async def test_a_second_refusal_is_meant(server: ScriptedServer) -> None:
    server.refusals = [401] * 9
    with pytest.raises(Unauthorized, match="does not take the token") as refused:
        await Conversation.connect(server.url, token=Source())
    assert (refused.value.code, refused.value.retryable) == ("unauthorized", False)
    assert "token-" not in refused.value.message
    assert server.handshakes == 2


@pytest.mark.parametrize("status", [401, 403])
async def test_a_token_that_cannot_change_is_not_tried_again(
    server: ScriptedServer, status: int
) -> None:
    server.refusals = [status] * 9
    with pytest.raises(HandshakeRefused):
        await Conversation.connect(server.url, token="token-1")
    assert server.handshakes == 1


async def test_a_session_whose_token_is_refused_ends_as_unauthorized(
    server: ScriptedServer,
) -> None:
    source = Source()
    async with Conversation.connect(server.url, token=source, reconnect=QUICK) as conversation:
        server.refusals = [401] * 9
        await server.peers[0].cut()
        with pytest.raises(Unauthorized):
            await conversation.ping()
    assert server.handshakes == 3


async def test_who_cannot_give_a_token_now_is_asked_again_while_coming_back(
    server: ScriptedServer,
) -> None:
    source = Source()

    def ask() -> str:
        token = source()
        if source.asked == 2:
            raise OSError("the backend restarts")
        return token

    async with Conversation.connect(server.url, token=ask, reconnect=QUICK) as conversation:
        await server.peers[0].cut()
        await conversation.ping()
    assert server.offered == ["parley, token-1", "parley, token-3"]


async def test_who_gives_no_token_in_time_is_named(server: ScriptedServer) -> None:
    async def never() -> str:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(ConnectFailed, match=r"The token was not known within 0\.05 s"):
        await Conversation.connect(server.url, token=never, timeouts=Timeouts(connect_s=0.05))


@pytest.mark.parametrize("token", ["two words", "a,b", "naïve", "line\r\nX-Header: 1"])
async def test_what_no_header_can_carry_is_refused_and_not_repeated(
    server: ScriptedServer, token: str
) -> None:
    with pytest.raises(BadInput, match="The token has characters") as refused:
        await Conversation.connect(server.url, token=lambda: token)
    assert token not in refused.value.message
    assert server.handshakes == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_takes_the_token_to_no_other_server(
    server: ScriptedServer, status: int
) -> None:
    async with ScriptedServer() as other:
        server.refusals = [status]
        server.refusal_headers = {"Location": f"{other.url}?key=secret"}
        with pytest.raises(HandshakeRefused, match="redirects to another address") as refused:
            await Conversation.connect(server.url, token="token-1")
        assert other.handshakes == 0
    assert (refused.value.status, refused.value.retryable) == (status, False)
    assert "secret" not in refused.value.message
