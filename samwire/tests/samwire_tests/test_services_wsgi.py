"""A WSGI application gets what was sent, over connections that stay."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import aiohttp
import pytest

from samwire.services.wsgi import serving


def application(
    environ: dict[str, Any], start_response: Callable[..., Callable[[bytes], None]]
) -> Iterable[bytes]:
    """Says what it got; fails where it is asked to."""
    if environ["PATH_INFO"] == "/fails":
        raise ZeroDivisionError
    body = environ["wsgi.input"].read()
    if environ["PATH_INFO"] == "/back":
        start_response("201 Made", [("Content-Type", "x/y"), ("X-Two", "1"), ("X-Two", "2")])
        return [body[:1], body[1:]]
    if environ["PATH_INFO"] == "/written":
        start_response("200 OK", [])(b"writ")
        return [b"ten"]
    names = [name for name in environ if name.isupper()]
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({name: environ[name] for name in names}).encode()]


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with (
        serving(application, "127.0.0.1", 0) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        yield session


async def test_one_connection_carries_all_requests(client: aiohttp.ClientSession) -> None:
    ports = set()
    for _ in range(3):
        async with client.post("/", data=b"a body") as answer:
            ports.add((await answer.json())["REMOTE_PORT"])
    assert len(ports) == 1


async def test_status_reason_and_every_header_come_back(client: aiohttp.ClientSession) -> None:
    async with client.put("/back", data=b"x") as answer:
        assert (answer.status, answer.reason) == (201, "Made")
        assert answer.headers.getall("X-Two") == ["1", "2"]
        assert answer.content_type == "x/y"
    async with client.get("/written") as answer:
        assert await answer.read() == b"written"
    async with client.head("/back", data=b"") as answer:
        assert (answer.status, await answer.read()) == (201, b"")


async def test_a_request_is_told_in_the_words_of_wsgi(client: aiohttp.ClientSession) -> None:
    headers = [("X-Amz-Target", "a"), ("X-Many", "1"), ("X-Many", "2"), ("Content-Type", "t/x")]
    async with client.post("/a%2Fb%C3%A9?c=%20d", headers=headers, data=b"four") as answer:
        got = await answer.json()
    assert got["REQUEST_METHOD"] == "POST"
    assert got["PATH_INFO"].encode("latin-1").decode() == "/a/b\u00e9"
    assert got["RAW_URI"].startswith("/a%2Fb%C3%A9?c=")
    assert got["QUERY_STRING"] == got["RAW_URI"].partition("?")[2]
    assert (got["CONTENT_LENGTH"], got["CONTENT_TYPE"]) == ("4", "t/x")
    assert (got["HTTP_X_AMZ_TARGET"], got["HTTP_X_MANY"]) == ("a", "1,2")
    assert got["REMOTE_ADDR"] == "127.0.0.1"


async def test_a_body_in_pieces_is_whole_and_a_packed_one_stays_packed(
    client: aiohttp.ClientSession,
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"piece"

    async with client.put("/back", data=pieces(), expect100=True) as answer:
        assert await answer.read() == b"piece" * 3
    packed = gzip.compress(b"hello")
    headers = {"Content-Encoding": "gzip"}
    async with client.put("/back", data=packed, headers=headers) as answer:
        assert await answer.read() == packed


async def test_a_large_body_passes(client: aiohttp.ClientSession) -> None:
    async with client.put("/back", data=io.BytesIO(bytes(5_000_000))) as answer:
        assert await answer.read() == bytes(5_000_000)


async def test_an_application_that_fails_answers_500_and_goes_on(
    client: aiohttp.ClientSession, capfd: pytest.CaptureFixture[str]
) -> None:
    async with client.get("/fails") as answer:
        assert answer.status == 500
    assert "ZeroDivisionError" in capfd.readouterr().err
    async with client.get("/written") as answer:
        assert answer.status == 200
