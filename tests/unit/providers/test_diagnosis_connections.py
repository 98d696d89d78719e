"""Why a provider fails that is not there, or breaks off within its answer: through real servers."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ssl
from collections.abc import AsyncIterator

import certifi
import httpx
import pytest
import trustme

from parley.aio.authorities import find_authorities
from parley.providers.diagnosis import Diagnosis, Endpoint
from tests.unit.chat_server import Answer, endpoint, event, plain, stream
from tests.unit.failing_calls import CALLS, KEY, WORDS, failed, told_by
from tests.unit.speech_server import Peer, closed_port, playing, stalled_port

CHAT = Endpoint("reply_failed", "the chat endpoint", "https://h/v1", "m", "K", "U", "M")


# --- a host that is not there -------------------------------------------------------------


@pytest.mark.parametrize("provider", CALLS)
async def test_a_host_without_an_address(provider: str) -> None:
    error = await failed(provider, "http://no-such-host.invalid/v1")
    assert (error.kind, error.cause.reason) == ("unavailable", "host_not_found")
    parameter = CALLS[provider].url_parameter
    assert error.cause.advice == f"Host no-such-host.invalid not found: check {parameter}."


@pytest.mark.parametrize("provider", CALLS)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_port_where_nobody_listens(provider: str, host: str) -> None:
    port = closed_port()
    error = await failed(provider, f"http://user:{KEY}@{host}:{port}/v1")
    assert (error.kind, error.cause.reason) == ("unavailable", "connection_refused")
    assert error.cause.host == f"{host}:{port}"
    assert CALLS[provider].url_parameter in error.cause.advice


@pytest.mark.parametrize("provider", CALLS)
async def test_a_host_that_takes_no_connection(provider: str) -> None:
    async with stalled_port() as port:
        error = await failed(provider, f"https://127.0.0.1:{port}/v1")
    assert (error.kind, error.cause.reason) == ("unavailable", "connect_timeout")


@pytest.mark.parametrize(
    "behind",
    [
        ssl.SSLError("bad record mac"),
        TimeoutError(errno.ETIMEDOUT, "timed out"),
        OSError(errno.EHOSTUNREACH, "no route"),
        ConnectionRefusedError(),
    ],
)
def test_what_breaks_a_connection_is_not_taken_for_none(behind: OSError) -> None:
    """A request has been sent over it: it must not be taken for one that never left."""
    for wrapper in (httpx.ReadError, httpx.WriteError, httpx.ConnectError):
        error = wrapper("")
        error.__cause__ = behind
        cause = Diagnosis(CHAT).diagnose_exception(error).cause
        assert cause.nothing_sent == (wrapper is httpx.ConnectError)
        assert (cause.reason == "connection_lost") == (wrapper is not httpx.ConnectError)


@contextlib.asynccontextmanager
async def tls_server() -> AsyncIterator[int]:
    """A server under a certificate of an authority that nobody knows."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("provider", CALLS)
async def test_a_certificate_of_nobody(provider: str) -> None:
    async with tls_server() as port:
        error = await failed(provider, f"https://127.0.0.1:{port}/v1")
    assert error.cause.reason == "tls_failed"
    assert CALLS[provider].url_parameter in error.cause.advice


async def test_the_authorities_are_read_once_for_all_sockets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Reading them takes 20 ms, in which nothing else of a turn goes on."""
    read: list[str] = []
    where = certifi.where

    def counted() -> str:
        read.append(where())
        return read[-1]

    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(certifi, "where", counted)
    find_authorities.cache_clear()
    async with tls_server() as port:
        for _ in range(2):
            error = await failed("stt", f"https://127.0.0.1:{port}/v1")
            assert error.cause.reason == "tls_failed"
    assert len(read) == 1


@pytest.mark.parametrize("provider", CALLS)
async def test_https_where_http_is_spoken(provider: str) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10_000)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        error = await failed(provider, f"https://127.0.0.1:{port}/v1")
    assert error.cause.reason == "tls_failed"


@pytest.mark.parametrize("provider", CALLS)
async def test_what_is_no_http_at_all(provider: str) -> None:
    async def noise(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            await reader.read(10_000)
        writer.close()

    server = await asyncio.start_server(noise, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        error = await failed(provider, f"http://127.0.0.1:{port}/v1")
    assert error.cause.reason in ("no_protocol", "connection_lost")


# --- what goes wrong within an answer -------------------------------------------------------


IN_STREAM: list[tuple[str, Answer, str, str, int | None, str | None]] = [
    ("a name", stream('data: {"error": {"message": "x", "code": "insufficient_quota"}}\n\n'),
     "quota", "refused", None, "insufficient_quota"),
    ("a number", stream(event("Hi"), 'data: {"error": {"message": "x", "code": 429}}\n\n'),
     "busy", "rate_limited", 429, None),
    ("a number as text", stream('data: {"error": {"message": "x", "code": "503"}}\n\n'),
     "down", "unavailable", 503, None),
    ("text", stream('data: {"error": "out of memory"}\n\n'), "down", "unavailable", None, None),
    ("an event", stream('event: error\ndata: {"type": "overloaded_error"}\n\n'),
     "down", "unavailable", None, "overloaded_error"),
    ("in one piece", plain("200 OK", '{"error": {"code": "invalid_api_key"}}'),
     "key", "unauthorized", None, "invalid_api_key"),
    ("the key", stream(f'data: {{"error": {{"code": "{KEY}", "type": "{WORDS}"}}}}\n\n'),
     "down", "unavailable", None, None),
    ("vLLM's older shape",
     stream('data: {"object": "error", "message": "x", "type": "rate_limit_exceeded", '
            '"code": 429}\n\n'), "busy", "rate_limited", 429, "rate_limit_exceeded"),
    ("a list", plain("200 OK", '[{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}]'),
     "busy", "rate_limited", 429, "RESOURCE_EXHAUSTED"),
    ("a detail", stream('data: {"detail": "Model overloaded"}\n\n'),
     "down", "unavailable", None, None),
    ("text alone", plain("200 OK", "OK"), "no_protocol", "invalid", None, None),
    ("a page without a type", plain("200 OK", "<html><body>\n<p>Sign in</p>\n</body></html>"),
     "no_protocol", "invalid", None, None),
    ("another page", plain("200 OK", "<!doctype html>", Content_Type="text/html; charset=utf-8"),
     "no_protocol", "invalid", None, None),
    ("other JSON", plain("200 OK", '{"status": "ok"}'), "no_protocol", "invalid", None, None),
    ("nonsense", stream("data: nonsense\n\n"), "no_protocol", "invalid", None, None),
    ("the end", stream(event("Hi")), "connection_lost", "unavailable", None, None),
    ("silence", stream(event("Hi"), then="nothing"), "timeout", "timeout", None, None),
    ("a call of a tool",
     stream(event(delta={"tool_calls": [{"index": 0}]}), event(finish_reason="tool_calls")),
     "tool_call", "refused", None, None),
    ("nothing", stream(event(finish_reason="stop")), "empty", "empty", None, None),
    ("a thought that filled it", stream(event("<think>hm"), event(finish_reason="length")),
     "length", "empty", None, None),
    ("a filter", stream(event(finish_reason="content_filter")), "filter", "filtered", None, None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "reason", "kind", "status", "code"),
    [case[1:] for case in IN_STREAM],
    ids=[case[0] for case in IN_STREAM],
)
async def test_what_a_chat_endpoint_says_within_its_answer(
    answer: Answer, reason: str, kind: str, status: int | None, code: str | None
) -> None:
    async with endpoint(answer) as server:
        error = await failed("llm", server.url)
    cause = error.cause
    assert (cause.reason, error.kind) == (reason, kind)
    assert (cause.status, cause.provider_code) == (status, code)


async def test_a_model_that_calls_a_tool_gets_a_sentence_that_says_so() -> None:
    answer = stream(event(delta={"tool_calls": [{"index": 0}]}), event(finish_reason="tool_calls"))
    async with endpoint(answer) as server:
        error = await failed("llm", server.url)
    assert "Model 'the-model' called a function" in error.cause.advice
    assert "LlmModel" in error.cause.advice
    assert error.message == "The assistant cannot answer right now. Tell whoever runs this service."


FRAMES: list[tuple[str, str, str, str | None]] = [
    ("auth_error", "key", "unauthorized", "auth_error"),
    ("quota_exceeded", "quota", "refused", "quota_exceeded"),
    ("unaccepted_terms", "terms", "refused", "unaccepted_terms"),
    ("voice_not_found", "voice", "refused", "voice_not_found"),
    ("rate_limited", "busy", "rate_limited", "rate_limited"),
    ("something_new", "down", "unavailable", "something_new"),
    (KEY, "down", "unavailable", None),
    ("two words", "down", "unavailable", None),
]


@pytest.mark.parametrize("provider", ["tts", "stt"])
@pytest.mark.parametrize(("name", "reason", "kind", "code"), FRAMES)
async def test_an_error_frame_says_why(
    provider: str, name: str, reason: str, kind: str, code: str | None
) -> None:
    async with playing() as server:
        server.headers = {"request-id": "6c1d5e0f9a3b"}
        error = await told_by(provider, name, server)
    assert (error.cause.reason, error.kind, error.cause.provider_code) == (reason, kind, code)
    assert error.cause.request_id == "6c1d5e0f9a3b"


@pytest.mark.parametrize("provider", ["tts", "stt"])
@pytest.mark.parametrize(
    ("close", "why", "reason", "kind", "code"),
    [
        (1008, "", "closed", "unavailable", None),
        (1008, f"{WORDS} {KEY}", "closed", "unavailable", None),
        (1008, "invalid_api_key", "key", "unauthorized", "invalid_api_key"),
        (1008, "quota_exceeded", "quota", "refused", "quota_exceeded"),
        (1011, "internal", "closed", "unavailable", None),
    ],
)
async def test_a_close_says_why(
    provider: str, close: int, why: str, reason: str, kind: str, code: str | None
) -> None:
    async def script(peer: Peer) -> None:
        await peer.close(close, why)

    async with playing(script) as server:
        error = await failed(provider, server.url)
    assert (error.cause.reason, error.kind, error.cause.close_code) == (reason, kind, close)
    assert error.cause.provider_code == code


@pytest.mark.parametrize("provider", ["tts", "stt"])
async def test_a_connection_that_breaks(provider: str) -> None:
    async def script(peer: Peer) -> None:
        peer.cut()

    async with playing(script) as server:
        error = await failed(provider, server.url)
    assert (error.kind, error.cause.reason) == ("unavailable", "connection_lost")


async def test_a_transcriber_that_never_begins() -> None:
    async with playing(lambda peer: peer.gone()) as server:
        error = await failed("stt", server.url)
    assert (error.kind, error.cause.reason) == ("unavailable", "timeout")


@pytest.mark.parametrize("word", ["Periwinkle", "ultramarine"])
async def test_nor_does_one_that_was_spoken(word: str) -> None:
    async def script(peer: Peer) -> None:
        while "flush" not in await peer.receive():
            pass
        await peer.send({"error": word, "message": WORDS, "code": 1008})

    async with playing(script) as server:
        assert (await failed("tts", server.url)).cause.provider_code is None
