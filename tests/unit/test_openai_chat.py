"""The chat endpoint's streaming protocol against a scripted HTTP server."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from parley.errors import ProviderError
from parley.protocol import Message
from parley.responders import Prompt
from parley.responders.openai_chat import INTERRUPTED_MARK, OpenAIChat
from tests.unit.speech_server import closed_port, stalled_port

TIMEOUT_S = 0.3
PROMPT = Prompt("Be brief.", [], "Hello?")

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Request:
    """What the endpoint was asked."""

    line: str
    headers: dict[str, str]
    body: Any = None


@dataclass
class Endpoint:
    """An HTTP server that answers each request by the next script; the last one repeats."""

    answers: list[Answer]
    url: str = ""
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    tasks: list[asyncio.Task[Any] | None] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        self.tasks.append(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                authorization = [line for line in head if line.startswith("Authorization")]
                headers["authorization"] = "".join(authorization).partition(": ")[2]
                self.requests.append(Request(head[0], headers, json.loads(body) if body else None))
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                await answer(writer)
                await writer.drain()


@contextlib.asynccontextmanager
async def endpoint(*answers: Answer) -> AsyncIterator[Endpoint]:
    """An endpoint that is there."""
    found = Endpoint(list(answers))
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/"
    try:
        yield found
    finally:
        server.close()
        for writer in found.writers:
            writer.transport.abort()
        await asyncio.gather(*filter(None, found.tasks))


def plain(status: str, body: str = "{}", **headers: str) -> Answer:
    """An answer in one piece."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", body]).encode())

    return answer


def stream(*parts: str | bytes, then: str = "end", size: int = 0) -> Answer:
    """Server-sent events; afterwards the stream ends, is cut, or says nothing more.

    Args:
        size: bytes per chunk; 0: a chunk per part.
    """

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        whole = [part.encode() if isinstance(part, str) else part for part in parts]
        if size:
            joined = b"".join(whole)
            whole = [joined[at : at + size] for at in range(0, len(joined), size)]
        for chunk in whole:
            writer.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            await writer.drain()
        if then == "end":
            writer.write(b"0\r\n\r\n")
        elif then == "cut":
            writer.transport.abort()

    return answer


def event(content: object = None, **choice: Any) -> str:
    """One event of a stream."""
    delta = {} if content is None else {"content": content}
    return "data: " + json.dumps({"choices": [{"index": 0, "delta": delta, **choice}]}) + "\n\n"


DONE = "data: [DONE]\n\n"


@contextlib.asynccontextmanager
async def chat(url: str, key: str = "the-key") -> AsyncIterator[OpenAIChat]:
    """The client under test."""

    async def api_key() -> str:
        return key

    async with httpx.AsyncClient() as client:
        yield OpenAIChat(client, url, "the-model", api_key, TIMEOUT_S)


def nobody() -> None:
    """Nobody wants to know when the request has been sent."""


async def said(*answers: Answer, prompt: Prompt = PROMPT) -> list[str]:
    async with endpoint(*answers) as server, chat(server.url) as responder:
        return [delta async for delta in responder.reply(prompt, nobody)]


async def failed(answer: Answer) -> tuple[ProviderError, list[str]]:
    """How a reply fails, and what was said before."""
    deltas: list[str] = []
    async with endpoint(answer) as server, chat(server.url) as responder:
        with pytest.raises(ProviderError) as raised:  # noqa: PT012 - what came before counts
            async for delta in responder.reply(PROMPT, nobody):
                deltas.append(delta)
    assert raised.value.code == "reply_failed"
    return raised.value, deltas


async def test_a_reply_comes_bit_by_bit() -> None:
    answer = stream(event(""), event("Hel"), event("lo."), event(finish_reason="stop"), DONE)
    assert await said(answer) == ["Hel", "lo."]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
async def test_a_reply_does_not_depend_on_how_the_network_cuts_it(size: int) -> None:
    answer = stream(event("Grüße, "), event("🙂 你好"), DONE, size=size)
    assert await said(answer) == ["Grüße, ", "🙂 你好"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
async def test_lines_end_as_the_standard_says_and_nowhere_else(end: str, size: int) -> None:
    text = "One\u2028two\u2029three\x85four 🙂"
    whole = json.dumps({"choices": [{"delta": {"content": text}}]}, ensure_ascii=False)
    assert await said(stream(f"data: {whole}{end}{end}data: [DONE]", size=size)) == [text]


async def test_what_is_asked() -> None:
    history = [
        Message("user", "One?", "t1"),
        Message("assistant", "One, two, three.", "t1", heard="One,"),
        Message("user", "Two?", "t2"),
        Message("assistant", "Two.", "t2"),
    ]
    async with endpoint(stream(event("x"), DONE)) as server, chat(server.url) as responder:
        assert [d async for d in responder.reply(Prompt("Be brief.", history, "Three?"), nobody)]
        (request,) = server.requests
    assert request.line == "POST /v1/chat/completions HTTP/1.1"
    assert request.headers["authorization"] == "Bearer the-key"
    assert request.body["model"] == "the-model"
    assert request.body["stream"] is True
    assert [(m["role"], m["content"]) for m in request.body["messages"]] == [
        ("system", "Be brief."),
        ("user", "One?"),
        ("assistant", "One," + INTERRUPTED_MARK),
        ("user", "Two?"),
        ("assistant", "Two."),
        ("user", "Three?"),
    ]


async def test_that_it_was_asked_is_told_before_it_answers() -> None:
    told: list[str] = []
    asked = asyncio.Event()

    async def answer(writer: asyncio.StreamWriter) -> None:
        await asked.wait()  # a reply that needs the word to have been given
        await stream(event("x"), DONE)(writer)

    async with endpoint(answer) as server, chat(server.url) as responder:
        async with asyncio.timeout(5):
            async for delta in responder.reply(PROMPT, asked.set):
                told.append(delta)
    assert told == ["x"]


async def test_that_it_was_asked_is_told_even_if_nobody_listens() -> None:
    asked = asyncio.Event()
    async with chat("http://127.0.0.1:1") as responder:
        with pytest.raises(ProviderError):
            assert [d async for d in responder.reply(PROMPT, asked.set)]
    assert asked.is_set()


async def test_an_empty_key_is_not_sent() -> None:
    async with endpoint(stream(event("x"), DONE)) as server, chat(server.url, "") as responder:
        assert [d async for d in responder.reply(PROMPT, nobody)]
        assert server.requests[0].headers["authorization"] == ""


async def test_a_connection_is_warmed_up_and_used_again() -> None:
    async with (
        endpoint(plain("404 Not Found"), stream(event("x"), DONE)) as server,
        chat(server.url) as responder,
    ):
        await responder.warm_up()
        assert [d async for d in responder.reply(PROMPT, nobody)] == ["x"]
        assert (server.connections, responder.connection_reused) == (1, True)


async def test_a_new_connection_is_known_as_one() -> None:
    async with endpoint(stream(event("x"), DONE)) as server, chat(server.url) as responder:
        assert responder.connection_reused is None
        assert [d async for d in responder.reply(PROMPT, nobody)]
        assert responder.connection_reused is False


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nonsense", "http://x:port", "ftp://x"])
async def test_warming_up_never_fails(url: str) -> None:
    async with chat(url) as responder:
        await responder.warm_up()
    assert responder.connection_reused is None


async def test_a_stream_may_end_without_done_if_the_reply_had_ended() -> None:
    assert await said(stream(event("Hi."), event(finish_reason="stop"))) == ["Hi."]


async def test_what_is_not_text_is_passed_over() -> None:
    answer = stream(
        ": keep-alive\n\n",
        "event: message\n",
        event(None, delta={"role": "assistant"}),
        event(None, delta=None),
        'data: {"choices": []}\n\n',
        'data: {"choices": null, "usage": {"total_tokens": 7}}\n\n',
        "data:" + event("tight").removeprefix("data: "),
        event("Hi."),
        DONE,
        event("after the end"),
    )
    assert await said(answer) == ["tight", "Hi."]


@pytest.mark.parametrize("then", ["end", "cut"])
async def test_a_stream_that_breaks_off_is_a_failure_after_what_was_said(then: str) -> None:
    error, deltas = await failed(stream(event("Once upon"), then=then))
    assert error.kind == "unavailable"
    assert deltas == ["Once upon"] or then == "cut"


async def test_a_stream_that_stalls_is_given_up() -> None:
    error, deltas = await failed(stream(event("Once upon"), then="nothing"))
    assert (error.kind, error.retryable, deltas) == ("timeout", True, ["Once upon"])


async def test_an_endpoint_that_never_answers_is_given_up() -> None:
    async def nothing(_writer: asyncio.StreamWriter) -> None:
        return

    error, _ = await failed(nothing)
    assert error.kind == "timeout"


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        ("400 Bad Request", "refused", False),
        ("401 Unauthorized", "unauthorized", False),
        ("403 Forbidden", "unauthorized", False),
        ("404 Not Found", "refused", False),
        ("307 Temporary Redirect", "refused", False),
        ("500 Internal Server Error", "unavailable", True),
        ("503 Service Unavailable", "unavailable", True),
        ("529 Overloaded", "unavailable", True),
    ],
)
async def test_statuses(status: str, kind: str, retryable: bool) -> None:
    error, _ = await failed(plain(status, '{"error": {"message": "key the-key is bad"}}'))
    assert (error.kind, error.retryable) == (kind, retryable)
    assert error.status == int(status[:3])
    assert "the-key" not in error.message


@pytest.mark.parametrize(
    ("header", "after_ms"), [("2", 2000), ("0.25", 250), ("-1", 0), ("Fri, 31 Dec 1999", None)]
)
async def test_a_busy_endpoint_says_when_to_come_again(header: str, after_ms: int | None) -> None:
    error, _ = await failed(plain("429 Too Many Requests", Retry_After=header))
    assert (error.kind, error.retry_after_ms) == ("rate_limited", after_ms)


async def test_an_error_in_the_stream_is_a_failure() -> None:
    error, deltas = await failed(
        stream(event("Once"), 'data: {"error": {"message": "overloaded", "code": 529}}\n\n')
    )
    assert (error.kind, deltas) == ("unavailable", ["Once"])


@pytest.mark.parametrize(
    "data",
    [
        "not json",
        "[]",
        "7",
        "null",
        '{"choices": 7}',
        '{"choices": ["x"]}',
        '{"choices": {"a": 1}}',
        '{"choices": [{"delta": "x"}]}',
        '{"choices": [{"delta": {"content": {"a": 1}}}]}',
        '{"choices": [{"delta": {"content": "\\ud800"}}]}',
        "[" * 5_000,
    ],
)
async def test_garbage_makes_no_sense(data: str) -> None:
    error, _ = await failed(stream(f"data: {data}\n\n", DONE))
    assert error.kind == "invalid"


async def test_bytes_that_are_no_text_make_no_sense_but_do_not_crash() -> None:
    error, _ = await failed(stream(b"data: \xff\xfe\n\n", DONE))
    assert error.kind == "invalid"


async def test_an_answer_that_is_no_http_is_a_failure() -> None:
    async def noise(writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n\r\n")

    error, _ = await failed(noise)
    assert error.kind == "unavailable"


async def test_nobody_is_there() -> None:
    async with chat(f"http://127.0.0.1:{closed_port()}") as responder:
        with pytest.raises(ProviderError) as raised:
            assert [d async for d in responder.reply(PROMPT, nobody)] == []
    assert raised.value.kind == "unavailable"


async def test_a_connect_that_stalls_is_worth_another_try() -> None:
    async with stalled_port() as port, chat(f"https://127.0.0.1:{port}") as responder:
        with pytest.raises(ProviderError) as raised:
            assert [d async for d in responder.reply(PROMPT, nobody)] == []
    assert raised.value.kind == "unavailable"


@pytest.mark.parametrize("url", ["nonsense", "ftp://x", "http://x:port"])
async def test_a_url_that_is_none_is_refused(url: str) -> None:
    async with chat(url) as responder:
        with pytest.raises(ProviderError) as raised:
            assert [d async for d in responder.reply(PROMPT, nobody)] == []
    assert (raised.value.kind, raised.value.retryable) == ("refused", False)
