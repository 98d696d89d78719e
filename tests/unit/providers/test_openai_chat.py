"""The chat endpoint's streaming protocol against a scripted HTTP server."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from parley.errors import ProviderError
from parley.protocol.messages import Message
from parley.providers.llm import NOBODY, Prompt, Speaker
from parley.providers.openai_chat.responder import OpenAIChat, build_responder
from parley.providers.replies.turns import INTERRUPTED_MARK
from tests.unit.chat_server import (
    Answer,
    Endpoint,
    dripping,
    endpoint,
    event,
    http_client,
    plain,
    spoken,
    stream,
)
from tests.unit.provider_context import build_context
from tests.unit.speech_server import closed_port, stalled_port

TIMEOUT_S = 30.0
"""Only tests of timeouts wait for one, and theirs is `SHORT_S`."""
SHORT_S = 1.0
PROMPT = Prompt("Be brief.", [], "Hello?")

DONE = "data: [DONE]\n\n"


@contextlib.asynccontextmanager
async def chat(
    url: str,
    key: str = "the-key",
    log: Callable[[str, dict[str, Any]], None] | None = None,
    timeout_s: float = TIMEOUT_S,
) -> AsyncIterator[OpenAIChat]:
    """The client under test."""
    async with http_client() as client:
        variables = {"LLM_BASE_URL": url, "LLM_MODEL": "the-model"}
        yield build_responder(
            build_context(client, variables, key=key, timeout_s=timeout_s, log=log)
        )


def nobody() -> None:
    """Nobody wants to know when the request has been sent."""


async def said(*answers: Answer, prompt: Prompt = PROMPT) -> list[str]:
    async with endpoint(*answers) as server, chat(server.url) as responder:
        return [spoken(delta) async for delta in responder.reply(prompt, nobody)]


async def failed(answer: Answer, timeout_s: float = TIMEOUT_S) -> tuple[ProviderError, list[str]]:
    """How a reply fails, and what was said before."""
    deltas: list[str] = []
    async with endpoint(answer) as server, chat(server.url, timeout_s=timeout_s) as responder:
        with pytest.raises(ProviderError) as raised:  # noqa: PT012 - what came before counts
            async for delta in responder.reply(PROMPT, nobody):
                deltas.append(spoken(delta))
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


REPLIES: list[tuple[str, Answer, str]] = [
    (
        "content in parts",
        stream(event([{"type": "thinking", "thinking": []}]), event([{"text": "Hello"}]), DONE),
        "Hello",
    ),
    (
        "an emoji in two halves",
        stream(event("fun \ud83d"), event("\ude00 bye"), DONE),
        "fun 😀 bye",
    ),
    ("half an emoji", stream(event("fun \ud83d"), DONE), "fun \ufffd"),
    (
        "a thought within the reply",
        stream(event("<think>"), event("The time?"), event("</think>\n\nIt is noon."), DONE),
        "It is noon.",
    ),
    ("a byte order mark", stream("\ufeff" + event("Hello"), DONE), "Hello"),
    ("a field of another type", stream(event("Hello", index="0", finish_reason=5), DONE), "Hello"),
    (
        "an event of two lines",
        stream('data: {"choices": [{"delta":\ndata: {"content": "Hello"}}]}\n\n', DONE),
        "Hello",
    ),
    (
        "no stream at all",
        plain("200 OK", '{"choices": [{"message": {"content": "Hello"}}]}', Content_Type="a/b"),
        "Hello",
    ),
    (
        "nonsense after the end",
        stream(event("Hello", finish_reason="stop"), "data: {\n\n", DONE),
        "Hello",
    ),
    (
        "an end without an end",
        stream(event("Hello"), event(finish_reason="stop"), then="nothing"),
        "Hello",
    ),
    ("a break after the end", stream(event("Hello", finish_reason="stop"), then="cut"), "Hello"),
]


@pytest.mark.parametrize(
    ("answer", "expected"), [case[1:] for case in REPLIES], ids=[case[0] for case in REPLIES]
)
async def test_what_endpoints_send_is_a_reply(answer: Answer, expected: str) -> None:
    assert "".join(await said(answer)) == expected


async def test_a_connection_that_carried_a_reply_is_used_again() -> None:
    async with endpoint(stream(event("x"), DONE)) as server, chat(server.url) as responder:
        for _ in range(2):
            assert [d async for d in responder.reply(PROMPT, nobody)] == ["x"]
        assert (server.connections, responder.connection_reused) == (1, True)


async def test_what_is_asked() -> None:
    history = [
        Message("assistant", "What the window has left.", "t0"),
        Message("user", "Nothing came of this.", "t0b"),
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
        ("user", "Nothing came of this.\nOne?"),
        ("assistant", "One," + INTERRUPTED_MARK),
        ("user", "Two?"),
        ("assistant", "Two."),
        ("user", "Three?"),
    ]


SESSION_HASH, USER_HASH = "5e5510f1" * 4, "a115e0f1" * 4
SPEAKER = Speaker(SESSION_HASH, "t7", "ann@example.org", "acme", USER_HASH)


async def test_an_endpoint_is_told_who_speaks_in_headers_and_nowhere_else() -> None:
    prompt = replace(PROMPT, speaker=SPEAKER)
    async with endpoint(stream(event("x"), DONE)) as server, chat(server.url) as responder:
        assert [d async for d in responder.reply(prompt, nobody)]
        assert [d async for d in responder.reply(PROMPT, nobody)]
        told, untold = server.requests
    assert {k: v for k, v in told.headers.items() if k.startswith("x-parley")} == {
        "x-parley-session": SESSION_HASH,
        "x-parley-turn": "t7",
        "x-parley-user": "ann@example.org",
        "x-parley-tenant": "acme",
    }
    assert set(told.body) == {"model", "stream", "messages"}, "many refuse what they do not know"
    assert not any(name.startswith("x-parley") for name in untold.headers)


@pytest.mark.parametrize("name", [SPEAKER.subject, SESSION_HASH, USER_HASH])
async def test_who_speaks_goes_no_further_if_an_endpoint_sends_it_back(name: str) -> None:
    code = "x." + name.replace("@", "-").upper()
    answer = plain("400 Bad Request", json.dumps({"error": {"code": name, "type": code}}))
    async with endpoint(answer) as server, chat(server.url) as responder:
        with pytest.raises(ProviderError) as raised:
            [d async for d in responder.reply(replace(PROMPT, speaker=SPEAKER), nobody)]
    fields = raised.value.cause.log_fields()
    assert not fields.keys() & {"provider_code", "provider_type"}
    assert name.upper() not in repr(fields).upper()


@pytest.mark.parametrize(
    ("speaker", "identifier"),
    [
        (SPEAKER, USER_HASH),
        (replace(SPEAKER, subject="", tenant="", pseudonym=""), SESSION_HASH),
        (NOBODY, None),
    ],
)
async def test_openai_is_told_a_hash(speaker: Speaker, identifier: str | None) -> None:
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, text=event("x") + DONE)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        responder = build_responder(build_context(client))
        assert [d async for d in responder.reply(replace(PROMPT, speaker=speaker), nobody)]
    (request,) = requests
    assert request.url.host == "api.openai.com"
    assert json.loads(request.content).get("safety_identifier") == identifier
    assert not any(name in f"{request.headers!r}{request.content!r}" for name in ("ann@", "acme"))


SYSTEM_REFUSED = [
    ("400 Bad Request", '{"object": "error", "message": "System role not supported", "code": 400}'),
    ("400 Bad Request", '{"error": {"message": "Only user and assistant roles are supported!"}}'),
    ("400 Bad Request", '{"error": "Conversation roles must alternate user/assistant/user/..."}'),
    ("400 Bad Request", '[{"error": {"message": "Developer instruction is not enabled"}}]'),
    ("422 Unprocessable Entity", '{"detail": "system message is not allowed"}'),
    ("500 Internal Server Error", '{"error": {"message": "Jinja: System role not supported"}}'),
]
SYSTEM = [("system", "Be brief."), ("user", "Hello?")]
IN_FRONT = [("user", "Be brief.\n\nHello?")]


def roles(server: Endpoint) -> list[list[tuple[str, str]]]:
    """The messages of each request."""
    return [[(m["role"], m["content"]) for m in r.body["messages"]] for r in server.requests]


@pytest.mark.parametrize(("status", "body"), SYSTEM_REFUSED)
async def test_a_model_that_takes_no_system_message_gets_the_instructions_in_front(
    status: str, body: str
) -> None:
    log: list[tuple[str, dict[str, Any]]] = []
    good = stream(event("Hi."), DONE)
    async with (
        endpoint(plain(status, body), good) as server,
        chat(server.url, log=lambda name, fields: log.append((name, fields))) as responder,
    ):
        for _ in range(2):
            assert [d async for d in responder.reply(PROMPT, nobody)] == ["Hi."]
        assert roles(server) == [SYSTEM, IN_FRONT, IN_FRONT]
        assert server.connections == 1
        host = server.url.split("/")[2]
    ((name, fields),) = log
    assert name == "system_message_refused"
    assert fields["advice"].startswith(f"Model 'the-model' at {host} takes no system message")
    assert "Hello?" not in json.dumps(fields)


async def test_where_the_instructions_go_in_a_conversation() -> None:
    history = [Message("assistant", "Gone.", "a"), Message("user", "One?", "b"),
               Message("assistant", "Two.", "b")]  # fmt: skip
    refusal = plain("400 Bad Request", "System role not supported")
    async with (
        endpoint(refusal, stream(event("x"), DONE)) as server,
        chat(server.url) as responder,
    ):
        prompt = Prompt("Be brief.", history, "Three?")
        assert [d async for d in responder.reply(prompt, nobody)] == ["x"]
    assert roles(server)[-1] == [
        ("user", "Be brief.\n\nOne?"), ("assistant", "Two."), ("user", "Three?"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("prompt", "status", "body"),
    [
        (PROMPT, "400 Bad Request", '{"error": {"code": "context_length_exceeded"}}'),
        (PROMPT, "401 Unauthorized", "This key has no role."),
        (PROMPT, "500 Internal Server Error", "{}"),
        (Prompt(" ", [], "Hello?"), "400 Bad Request", "System role not supported"),
    ],
)
async def test_nothing_is_asked_again_for_another_reason(
    prompt: Prompt, status: str, body: str
) -> None:
    async with endpoint(plain(status, body)) as server, chat(server.url) as responder:
        with pytest.raises(ProviderError) as raised:
            assert [d async for d in responder.reply(prompt, nobody)]
    assert raised.value.cause.status == int(status[:3])
    assert len(server.requests) == 1


async def test_what_did_not_help_is_not_remembered() -> None:
    log: list[str] = []
    refusal = plain("400 Bad Request", "roles")
    async with (
        endpoint(refusal, refusal, stream(event("x"), DONE)) as server,
        chat(server.url, log=lambda name, _: log.append(name)) as responder,
    ):
        with pytest.raises(ProviderError):
            assert [d async for d in responder.reply(PROMPT, nobody)]
        assert [d async for d in responder.reply(PROMPT, nobody)] == ["x"]
    assert roles(server) == [SYSTEM, IN_FRONT, SYSTEM]
    assert log == []


@pytest.mark.parametrize("status", ["201 Created", "202 Accepted", "206 Partial Content"])
async def test_a_reply_counts_under_every_status_of_success(status: str) -> None:
    body = event("Hi.") + DONE
    assert await said(plain(status, body, Content_Type="text/event-stream")) == ["Hi."]


async def test_that_it_was_asked_is_told_before_it_answers() -> None:
    told: list[str] = []
    asked = asyncio.Event()

    async def answer(writer: asyncio.StreamWriter) -> None:
        await asked.wait()  # a reply that needs the word to have been given
        await stream(event("x"), DONE)(writer)

    async with endpoint(answer) as server, chat(server.url) as responder:
        async with asyncio.timeout(5):
            async for delta in responder.reply(PROMPT, asked.set):
                told.append(spoken(delta))
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


@pytest.mark.parametrize("again", [": PROCESSING\n\n", 'data: {"choices": []}\n\n'])
async def test_what_only_keeps_a_connection_open_is_no_answer(again: str) -> None:
    error, deltas = await failed(dripping(event("It was "), again), timeout_s=SHORT_S)
    assert (error.kind, error.cause.reason, deltas) == ("timeout", "timeout", ["It was "])


async def test_a_stream_that_stalls_is_given_up() -> None:
    error, deltas = await failed(stream(event("Once upon"), then="nothing"), SHORT_S)
    assert (error.kind, error.retryable, deltas) == ("timeout", True, ["Once upon"])


async def test_an_endpoint_that_never_answers_is_given_up() -> None:
    async def nothing(_writer: asyncio.StreamWriter) -> None:
        return

    error, _ = await failed(nothing, SHORT_S)
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
    assert error.cause.status == int(status[:3])
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
    async with (
        stalled_port() as port,
        chat(f"https://127.0.0.1:{port}", timeout_s=SHORT_S) as responder,
    ):
        with pytest.raises(ProviderError) as raised:
            assert [d async for d in responder.reply(PROMPT, nobody)] == []
    assert raised.value.kind == "unavailable"


@pytest.mark.parametrize("url", ["nonsense", "ftp://x", "http://x:port"])
async def test_a_url_that_is_none_is_refused(url: str) -> None:
    async with chat(url) as responder:
        with pytest.raises(ProviderError) as raised:
            assert [d async for d in responder.reply(PROMPT, nobody)] == []
    assert (raised.value.kind, raised.value.retryable) == ("refused", False)
