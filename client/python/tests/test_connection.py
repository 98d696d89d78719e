"""What the client says when nothing usable answers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from parley_client import BadInput, ConnectFailed, Conversation, HandshakeRefused, Timeouts


@contextlib.asynccontextmanager
async def answering(head: bytes | None, *, after: bytes = b"\r\n\r\n") -> AsyncIterator[str]:
    """A TCP server that answers what ends in `after` with `head`, or never."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.readuntil(after)
        if head is not None:
            writer.write(head)
            await writer.drain()
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/dev"
    finally:
        for writer in writers:
            writer.close()
        server.close()
        await server.wait_closed()


async def test_a_port_where_nothing_listens_is_said_to_be_so() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{reserved.getsockname()[1]}/dev"
        with pytest.raises(ConnectFailed, match="connection refused") as refused:
            await Conversation.connect(url)
    assert url in refused.value.message
    assert refused.value.retryable


@pytest.mark.parametrize(
    ("status", "retryable", "sentence"),
    [
        (401, False, "wants a token"),
        (403, False, "Check the stage"),
        (404, False, "Check the path"),
        (429, True, "Try again later"),
        (502, True, "its log says why"),
        (200, False, "instead of opening a WebSocket"),
    ],
)
async def test_an_http_answer_is_explained(status: int, retryable: bool, sentence: str) -> None:
    head = f"HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode()
    async with answering(head) as url:
        with pytest.raises(HandshakeRefused, match=sentence) as refused:
            await Conversation.connect(url)
    assert refused.value.status == status
    assert refused.value.retryable is retryable


async def test_what_is_no_web_server_is_recognised() -> None:
    async with answering(b"220 smtp.example.com ESMTP\r\n") as url:
        with pytest.raises(ConnectFailed, match="is not a WebSocket server"):
            await Conversation.connect(url)


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 10", b"HTTP/1.1 101 X\r\nupgrade: webs"])
async def test_a_connection_that_breaks_during_the_handshake_may_be_tried_again(
    begun: bytes,
) -> None:
    async with answering(begun) as url:
        with pytest.raises(ConnectFailed, match="closed the connection before") as failed:
            await Conversation.connect(url)
    assert failed.value.retryable


async def test_a_server_that_never_answers_is_given_up() -> None:
    async with answering(None) as url:
        with pytest.raises(ConnectFailed, match=r"within 0\.2 s"):
            await Conversation.connect(url, timeouts=Timeouts(connect_s=0.2))


async def test_a_plain_server_behind_wss_is_explained() -> None:
    tls_client_hello = b"\x16\x03\x01"
    async with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n", after=tls_client_hello) as url:
        with pytest.raises(ConnectFailed, match="could not be reached securely"):
            await Conversation.connect(url.replace("ws://", "wss://"))


async def test_an_unknown_host_is_named() -> None:
    with pytest.raises(ConnectFailed, match=r"no host named nowhere\.invalid"):
        await Conversation.connect("ws://nowhere.invalid:1/dev")


@pytest.mark.parametrize(
    "url", ["", "localhost:3001", "http://localhost:3001/dev", "ws://", "ws://h:x"]
)
async def test_what_is_no_websocket_url_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(BadInput, match="is not a WebSocket URL; one looks like ws://"):
        await Conversation.connect(url)


async def test_a_token_in_the_query_is_not_repeated_in_errors() -> None:
    head = b"HTTP/1.1 401 X\r\ncontent-length: 0\r\n\r\n"
    async with answering(head) as url:
        with pytest.raises(HandshakeRefused) as refused:
            await Conversation.connect(f"{url}?token=secret-1")
    assert "secret-1" not in refused.value.message


async def test_a_socks_proxy_in_the_way_names_the_package_that_it_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ws_proxy", "socks5h://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(ConnectFailed, match=r"SOCKS proxy.*pip install python-socks") as failed:
        await Conversation.connect("ws://parley.invalid/dev")
    assert not failed.value.retryable
