"""Anthropic's Messages API against a scripted HTTP server."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from parley.errors import ConfigurationError, ProviderError
from parley.protocol.messages import Message
from parley.providers.anthropic.checks import build_check
from parley.providers.anthropic.responder import AnthropicMessages, build_responder
from parley.providers.checks import Unhealthy
from parley.providers.llm import Prompt, Speaker
from parley.providers.replies.turns import INTERRUPTED_MARK
from tests.unit.chat_server import (
    Answer,
    Endpoint,
    dripping,
    endpoint,
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


def event(kind: str, named: bool = True, **fields: Any) -> str:
    """One event, as Anthropic sends it, or without the line that names it."""
    name = f"event: {kind}\n" if named else ""
    return f"{name}data: {json.dumps({'type': kind, **fields})}\n\n"


def begun(kind: str = "text", **fields: Any) -> str:
    empty = {"text": ""} if kind == "text" else {}
    block = {"type": kind, **empty, **fields}
    return event("content_block_start", index=0, content_block=block)


def delta(kind: str = "text_delta", **fields: Any) -> str:
    return event("content_block_delta", index=0, delta={"type": kind, **fields})


def stopped(reason: str | None = "end_turn") -> str:
    return event("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage={})


START = event("message_start", message={"type": "message", "role": "assistant", "content": []})
PING = event("ping")
END = event("content_block_stop", index=0)
STOP = event("message_stop")
REPLY = (START, begun(), delta(text="Hel"), PING, delta(text="lo."), END, stopped(), STOP)


@contextlib.asynccontextmanager
async def claude(
    url: str,
    timeout_s: float = TIMEOUT_S,
    log: list[tuple[str, dict[str, Any]]] | None = None,
    variables: Mapping[str, str] | None = None,
) -> AsyncIterator[AnthropicMessages]:
    """The client under test."""
    given = {"LLM_BASE_URL": url, "LLM_MODEL": "the-model", **(variables or {})}
    noted: list[tuple[str, dict[str, Any]]] = [] if log is None else log
    async with http_client() as client:
        yield build_responder(
            build_context(
                client,
                given,
                timeout_s=timeout_s,
                log=lambda name, fields: noted.append((name, fields)),
            )
        )


def nobody() -> None:
    """Nobody wants to know when the request has been sent."""


async def said(*answers: Answer, prompt: Prompt = PROMPT) -> list[str]:
    async with endpoint(*answers) as server, claude(server.url) as responder:
        return [spoken(text) async for text in responder.reply(prompt, nobody)]


async def asked(prompt: Prompt = PROMPT, **variables: str) -> Any:
    """The body of the request for a prompt."""
    async with (
        endpoint(stream(*REPLY)) as server,
        claude(server.url, variables=variables) as responder,
    ):
        assert [text async for text in responder.reply(prompt, nobody)]
    return server.requests[0].body


async def failed(answer: Answer, timeout_s: float = TIMEOUT_S) -> tuple[ProviderError, list[str]]:
    """How a reply fails, and what was said before."""
    pieces: list[str] = []
    async with endpoint(answer) as server, claude(server.url, timeout_s) as responder:
        with pytest.raises(ProviderError) as raised:  # noqa: PT012 - what came before counts
            async for text in responder.reply(PROMPT, nobody):
                pieces.append(spoken(text))
    assert raised.value.code == "reply_failed"
    return raised.value, pieces


async def test_a_reply_comes_bit_by_bit_and_a_ping_is_a_sign_of_life() -> None:
    assert await said(stream(*REPLY)) == ["Hel", "", "lo."]


@pytest.mark.parametrize("begun_with", [START, "".join((START, begun(), delta(text="It was ")))])
async def test_a_model_that_is_at_work_without_end_is_given_up(
    begun_with: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parley.providers.replies.transport.WORDLESS_S", 1.5)
    began_s = time.monotonic()
    error, pieces = await failed(dripping(begun_with, PING), timeout_s=1.0)
    assert (error.kind, error.cause.reason) == ("timeout", "timeout")
    assert time.monotonic() - began_s >= 1.5, "it has more time than one that is silent"
    assert "".join(pieces) in ("", "It was ")


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
async def test_a_reply_does_not_depend_on_how_the_network_cuts_it(size: int) -> None:
    answer = stream(
        START, begun(), delta(text="Grüße, "), delta(text="🙂 你好"), stopped(), STOP, size=size
    )
    assert "".join(await said(answer)) == "Grüße, 🙂 你好"


async def test_what_an_event_is_its_data_say() -> None:
    """Other servers of this API send no `event:` lines."""
    block = {"type": "text_delta", "text": "Hello."}
    answer = stream(
        event("message_start", named=False, message={}),
        event("content_block_delta", named=False, index=0, delta=block),
        event("message_delta", named=False, delta={"stop_reason": "end_turn"}),
        event("message_stop", named=False),
    )
    assert await said(answer) == ["Hello."]


async def test_what_is_not_known_is_passed_over() -> None:
    answer = stream(
        START,
        event("future_event", text="no"),
        begun("future_block", text="no"),
        delta("future_delta", text="no"),
        "data: nonsense\n\n",
        begun(),
        delta("citations_delta", citation={"cited_text": "no"}),
        delta(text="Hello."),
        stopped(),
        STOP,
        event("error", error={"type": "api_error", "message": "too late"}),
    )
    assert "".join(await said(answer)) == "Hello."


async def test_a_thought_is_a_sign_of_life_and_not_said() -> None:
    answer = stream(
        START,
        begun("thinking", thinking="", signature=""),
        delta("thinking_delta", thinking="Hm."),
        delta("signature_delta", signature="EqQB"),
        END,
        begun(),
        delta(text="Yes."),
        END,
        stopped(),
        STOP,
    )
    assert await said(answer) == ["", "", "", "Yes."]


async def test_a_thought_within_the_text_is_not_said() -> None:
    answer = stream(
        START, begun(), delta(text="<thinking>Hm.</thin"), delta(text="king>Yes."), stopped(), STOP
    )
    assert "".join(await said(answer)) == "Yes."


async def test_an_emoji_in_two_halves_is_one() -> None:
    answer = stream(START, delta(text="\ud83d"), delta(text="\ude00"), stopped(), STOP)
    assert "".join(await said(answer)) == "😀"


async def test_an_answer_that_does_not_stream_is_a_reply() -> None:
    message = {
        "type": "message",
        "content": [{"type": "text", "text": "Hello."}],
        "stop_reason": "end_turn",
    }
    assert "".join(await said(plain("200 OK", json.dumps(message)))) == "Hello."


async def test_what_is_asked() -> None:
    history = [
        Message("assistant", "Before the window.", "t0"),
        Message("user", "One.", "t0"),
        Message("user", "Two.", "t0"),
        Message("assistant", "Three, four.", "t0", heard="Three,"),
        Message("user", "Five.", "t0"),
        Message("assistant", "Six.", "t0", heard=""),
    ]
    speaker = Speaker("a1b2", "t1", "eve@example.com", "acme", "c3d4")
    prompt = Prompt("Be brief.", history, "Seven?", speaker=speaker)
    async with endpoint(stream(*REPLY)) as server, claude(server.url) as responder:
        assert [text async for text in responder.reply(prompt, nobody)]
    (request,) = server.requests
    assert request.line == "POST /v1/messages HTTP/1.1"
    assert request.headers["x-api-key"] == "the-key"
    assert request.headers["anthropic-version"] == "2023-06-01"
    assert request.headers["authorization"] == ""
    assert request.body == {
        "model": "the-model",
        "max_tokens": 8192,
        "stream": True,
        "system": "Be brief.",
        "messages": [
            {"role": "user", "content": "One.\nTwo."},
            {"role": "assistant", "content": "Three," + INTERRUPTED_MARK},
            {"role": "user", "content": "Five.\nSeven?"},
        ],
        "metadata": {"user_id": "c3d4"},
        "thinking": {"type": "disabled"},
    }
    assert "eve@" not in json.dumps(request.body)
    # This host is no vendor's: it is the deployment's own, and may know its users.
    assert request.headers["x-parley-session"] == "a1b2"
    assert request.headers["x-parley-user"] == "eve@example.com"


async def test_what_is_not_there_is_not_sent() -> None:
    body = await asked(Prompt(" ", [], "Hello?"))
    assert not {"system", "metadata"} & set(body)


@pytest.mark.parametrize("base", ["{}", "{}/", "{}/v1", "{}/v1/"])
async def test_a_base_url_may_have_the_version(base: str) -> None:
    async with endpoint(stream(*REPLY)) as server:
        url = base.format(server.url.removesuffix("/v1/"))
        async with claude(url) as responder:
            assert [text async for text in responder.reply(PROMPT, nobody)]
    assert server.requests[0].line.startswith("POST /v1/messages ")


DISABLED = {"thinking": {"type": "disabled"}}
BETWEEN = {"thinking": {"type": "between_tools"}}


def effort(name: str) -> dict[str, Any]:
    return {"output_config": {"effort": name}}


def of_effort(body: Any) -> dict[str, Any]:
    return {name: body[name] for name in ("thinking", "output_config") if name in body}


@pytest.mark.parametrize(
    ("wanted", "model", "expected"),
    [
        ("none", "claude-haiku-5-5", DISABLED),
        ("none", "eu.anthropic.claude-haiku-4-5-20251001-v1:0", DISABLED),
        ("none", "claude-sonnet-5-5", BETWEEN),
        ("none", "claude-opus-5-5", effort("low")),
        ("none", "us.anthropic.claude-fable-5-2", effort("low")),
        ("minimal", "claude-haiku-5-5", effort("low")),
        ("low", "claude-haiku-5-5", effort("low")),
        ("medium", "claude-haiku-5-5", effort("medium")),
        ("high", "claude-sonnet-5-5", effort("high")),
        ("model", "claude-sonnet-5-5", {}),
    ],
)
async def test_how_much_a_model_thinks(wanted: str, model: str, expected: dict[str, Any]) -> None:
    body = await asked(REASONING_EFFORT=wanted, LLM_MODEL=model)
    assert of_effort(body) == expected


def refused(message: str) -> Answer:
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
    return plain("400 Bad Request", json.dumps(error))


async def ask_twice(server: Endpoint, log: list[tuple[str, dict[str, Any]]]) -> list[Any]:
    async with claude(server.url, log=log) as responder:
        for _ in range(2):
            assert (
                "".join([spoken(text) async for text in responder.reply(PROMPT, nobody)])
                == "Hello."
            )
    return [of_effort(request.body) for request in server.requests]


async def test_what_a_model_refuses_to_be_told_is_told_otherwise_and_remembered() -> None:
    log: list[tuple[str, dict[str, Any]]] = []
    answers = (
        refused('"thinking.type.disabled" is not supported for this model.'),
        refused("thinking: Input tag 'between_tools' does not match any of the expected tags"),
        stream(*REPLY),
    )
    async with endpoint(*answers) as server:
        told = await ask_twice(server, log)
    assert told == [DISABLED, BETWEEN, effort("low"), effort("low")]
    ((name, fields),) = log
    assert name == "reasoning_effort_refused"
    assert "ReasoningEffort model" in fields["advice"]
    assert "Hello" not in json.dumps(fields)


async def test_in_the_end_nothing_is_told() -> None:
    no = refused("This model does not support the effort parameter; adaptive thinking is on.")
    async with endpoint(no, no, no, stream(*REPLY)) as server:
        told = await ask_twice(server, [])
    assert told[-2:] == [{}, {}]


async def test_nothing_is_asked_again_for_another_reason() -> None:
    async with endpoint(refused("messages: Be brief. Hello?")) as server, claude(server.url) as one:
        with pytest.raises(ProviderError):
            await anext(one.reply(PROMPT, nobody))
    assert len(server.requests) == 1


async def test_what_was_said_says_nothing_of_the_effort() -> None:
    answer = refused("bad request: I think. What effort?")
    async with endpoint(answer) as server, claude(server.url) as responder:
        with pytest.raises(ProviderError):
            await anext(responder.reply(Prompt("I think.", [], "What effort?"), nobody))
    assert len(server.requests) == 1


def test_an_effort_that_is_none_is_refused_at_the_start() -> None:
    with pytest.raises(ConfigurationError, match="ReasoningEffort"):
        build_responder(build_context(variables={"REASONING_EFFORT": "lots"}))


STATUSES = [
    ("401 Unauthorized", "authentication_error", "key", "unauthorized"),
    ("402 Payment Required", "billing_error", "quota", "refused"),
    ("403 Forbidden", "permission_error", "permission", "unauthorized"),
    ("404 Not Found", "not_found_error", "not_found", "refused"),
    ("413 Too Large", "request_too_large", "context", "refused"),
    ("429 Too Many", "rate_limit_error", "busy", "rate_limited"),
    ("500 Error", "api_error", "down", "unavailable"),
    ("504 Timeout", "timeout_error", "down", "unavailable"),
    ("529 Overloaded", "overloaded_error", "down", "unavailable"),
    ("418 Teapot", "future_error", "request", "refused"),
]


@pytest.mark.parametrize(("status", "name", "reason", "kind"), STATUSES)
async def test_statuses(status: str, name: str, reason: str, kind: str) -> None:
    body = {
        "type": "error",
        "error": {"type": name, "message": "Hello?"},
        "request_id": "req_011CSH",
    }
    error, _ = await failed(plain(status, json.dumps(body)))
    assert (error.cause.reason, error.kind) == (reason, kind)
    assert (error.cause.provider_code, error.cause.request_id) == (name, "req_011CSH")
    assert "Hello" not in error.cause.advice


async def test_credit_that_is_used_up_is_no_bad_request() -> None:
    error, _ = await failed(refused("Your credit balance is too low to access the Anthropic API."))
    assert (error.cause.reason, error.kind, error.cause.status) == ("quota", "refused", 400)
    assert "AnthropicApiKey" in error.cause.advice


async def test_a_spend_limit_is_the_accounts() -> None:
    details = {"error_code": "enforced_spend_limit_reached"}
    body = {"type": "error", "error": {"type": "invalid_request_error", "details": details}}
    error, _ = await failed(plain("400 Bad Request", json.dumps(body)))
    assert error.cause.reason == "quota"


async def test_a_busy_account_says_when_to_come_again() -> None:
    error, _ = await failed(plain("429 Too Many", retry_after="7"))
    assert error.retry_after_ms == 7000


@pytest.mark.parametrize("named", [True, False])
async def test_an_error_within_a_200_is_a_failure_after_what_was_said(named: bool) -> None:
    error_event = event("error", named, error={"type": "overloaded_error", "message": "Hello?"})
    error, pieces = await failed(stream(START, begun(), delta(text="Hel"), error_event))
    assert (error.kind, error.cause.provider_code, pieces) == (
        "unavailable",
        "overloaded_error",
        ["Hel"],
    )


@pytest.mark.parametrize(
    ("reason", "kind", "found"),
    [
        ("refusal", "filtered", "filter"),
        ("max_tokens", "empty", "length"),
        ("tool_use", "refused", "tool_call"),
        ("pause_turn", "refused", "tool_call"),
        ("model_context_window_exceeded", "refused", "context"),
        ("end_turn", "empty", "empty"),
        (None, "empty", "empty"),
    ],
)
async def test_a_reply_without_words_says_why(reason: str | None, kind: str, found: str) -> None:
    error, _ = await failed(stream(START, stopped(reason), STOP))
    assert (error.kind, error.cause.reason) == (kind, found)


async def test_a_function_that_is_called_without_a_word_is_named() -> None:
    block = begun("tool_use", id="toolu_1", name="get_time", input={})
    error, _ = await failed(
        stream(START, block, delta("input_json_delta", partial_json="{}"), END, stopped(), STOP)
    )
    assert error.cause.reason == "tool_call"


async def test_what_was_said_before_a_refusal_is_a_reply() -> None:
    answer = stream(START, begun(), delta(text="Well."), END, stopped("refusal"), STOP)
    assert await said(answer) == ["Well."]


@pytest.mark.parametrize("then", ["end", "cut"])
async def test_a_stream_without_its_end_is_a_failure_after_what_was_said(then: str) -> None:
    error, pieces = await failed(stream(START, begun(), delta(text="Hel"), stopped(), then=then))
    assert (error.kind, error.cause.reason, pieces) == ("unavailable", "connection_lost", ["Hel"])


async def test_a_stream_that_stalls_is_given_up() -> None:
    error, pieces = await failed(stream(START, delta(text="Hel"), then="stall"), SHORT_S)
    assert (error.kind, pieces) == ("timeout", ["Hel"])


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        "{}",
        "nonsense",
        '{"choices": []}',
        "<html>",
        # Bedrock answers so, with status 200, where there is no such API.
        '{"Output": {"__type": "com.amazon.coral.service#UnknownOperationException"}}',
    ],
)
async def test_another_protocol_is_known_as_one(body: str) -> None:
    error, _ = await failed(plain("200 OK", body))
    assert (error.kind, error.cause.reason) == ("invalid", "no_protocol")
    assert "LlmBaseUrl" in error.cause.advice


async def test_nobody_is_there() -> None:
    async with claude(f"http://127.0.0.1:{closed_port()}") as responder:
        with pytest.raises(ProviderError) as raised:
            await anext(responder.reply(PROMPT, nobody))
        await responder.warm_up()
    assert raised.value.cause.reason == "connection_refused"


async def test_an_endpoint_that_never_answers_is_given_up() -> None:
    async with stalled_port() as port, claude(f"http://127.0.0.1:{port}", SHORT_S) as responder:
        with pytest.raises(ProviderError) as raised:
            await anext(responder.reply(PROMPT, nobody))
    assert raised.value.kind == "timeout"


async def test_a_connection_is_warmed_up_and_used_again() -> None:
    async with endpoint(plain("200 OK"), stream(*REPLY)) as server, claude(server.url) as responder:
        await responder.warm_up()
        assert [text async for text in responder.reply(PROMPT, nobody)]
        assert (server.connections, responder.connection_reused) == (1, True)
    assert server.requests[0].line == "GET /v1/models HTTP/1.1"


async def test_that_it_was_asked_is_told_before_it_answers() -> None:
    told: list[str] = []
    async with endpoint(stream(*REPLY)) as server, claude(server.url) as responder:
        reply = responder.reply(PROMPT, lambda: told.append("asked"))
        await anext(reply)
        assert told == ["asked"]
        await reply.aclose()


async def check(answer: Answer) -> Endpoint:
    async with endpoint(answer) as server, http_client() as client:
        context = build_context(client, {"LLM_BASE_URL": server.url, "LLM_MODEL": "a/b"})
        found = build_check("responder", context)
        assert found.keys == ("anthropic_api_key",)
        await found.check()
    return server


async def test_the_check_looks_the_model_up() -> None:
    server = await check(plain("200 OK"))
    (request,) = server.requests
    assert request.line == "GET /v1/models/a%2Fb HTTP/1.1"
    assert request.headers["x-api-key"] == "the-key"


@pytest.mark.parametrize(
    ("status", "named"), [("404 Not Found", "LlmModel"), ("401 Unauthorized", "AnthropicApiKey")]
)
async def test_the_check_says_what_to_look_at(status: str, named: str) -> None:
    with pytest.raises(Unhealthy, match=named):
        await check(plain(status))
