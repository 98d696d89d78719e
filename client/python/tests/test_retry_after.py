"""A handshake that is refused for a while: the Python client waits as long as it is told."""

from __future__ import annotations

import asyncio

import pytest

from parley_client import Conversation, HandshakeRefused, Notice, Reconnect, StateChanged
from parley_client.retry_after import retry_after_ms
from scripted_server import ScriptedServer

QUICK = Reconnect(attempts=3, base_s=0.001, cap_s=0.002, stable_s=0.0)


async def test_it_comes_back_when_the_server_says_and_not_before() -> None:
    await asyncio.gather(*map(come_back_after_a_second, (429, 500, 503)))


async def come_back_after_a_second(status: int) -> None:
    waits: list[float] = []

    def note(notice: Notice) -> None:
        if isinstance(notice, StateChanged) and isinstance(notice.reason, HandshakeRefused):
            waits.append(notice.retry_in_s)

    async with (
        ScriptedServer() as server,
        Conversation.connect(server.url, reconnect=QUICK, on_notice=note) as conversation,
    ):
        server.refusals, server.refusal_headers = [status], {"Retry-After": "1"}
        clock = asyncio.get_running_loop().time
        began_s = clock()
        await server.peers[0].cut()
        await conversation.ping()
        assert clock() - began_s >= 1
    assert waits == [1.0]


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_without_a_word_of_when_it_comes_back_with_the_usual_delays(
    server: ScriptedServer, status: int
) -> None:
    async with Conversation.connect(server.url, reconnect=QUICK) as conversation:
        server.refusals = [status] * 2
        await server.peers[0].cut()
        await conversation.ping()
    assert server.handshakes == 4


async def test_who_opens_a_conversation_is_told_when_to_try_again(server: ScriptedServer) -> None:
    server.refusals, server.refusal_headers = [429], {"Retry-After": "7"}
    with pytest.raises(HandshakeRefused) as refused:
        await Conversation.connect(server.url)
    assert (refused.value.retryable, refused.value.retry_after_ms) == (True, 7_000)
    assert server.handshakes == 1


@pytest.mark.parametrize(
    ("value", "wait_ms"),
    [
        ("0", 0),
        (" 120 ", 120_000),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 59_000),
        ("Fri, 31 Dec 1999 23:58:59 GMT", 0),
        ("9" * 5_000, None),
        ("soon", None),
        ("-3", None),
        ("1.5", None),
        ("²", None),
        ("", None),
        (None, None),
    ],
)
def test_seconds_and_dates_are_understood(value: str | None, wait_ms: int | None) -> None:
    new_years_eve_s = 946_684_740.0  # 1999-12-31T23:59:00Z
    assert retry_after_ms(value, new_years_eve_s) == wait_ms
