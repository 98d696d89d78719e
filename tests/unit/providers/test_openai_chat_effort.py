"""How much a model of a chat endpoint is told to think."""

from __future__ import annotations

import json
from typing import Any

import pytest

from parley.errors import ConfigurationError, ProviderError
from parley.providers.llm import Prompt
from parley.providers.openai_chat.responder import build_responder
from tests.unit.chat_server import Answer, Endpoint, endpoint, event, http_client, plain, stream
from tests.unit.provider_context import build_context

PROMPT = Prompt("Be brief.", [], "Hello?")
GOOD = stream(event("Hi."), "data: [DONE]\n\n")
LUNA = {"LLM_MODEL": "gpt-6-luna"}


def nobody() -> None:
    """Nobody wants to know when the request has been sent."""


def refused(message: str, status: str = "400 Bad Request") -> Answer:
    """How OpenAI refuses a parameter."""
    error = {"message": message, "type": "invalid_request_error", "param": "reasoning_effort"}
    return plain(status, json.dumps({"error": error}))


async def told(
    *answers: Answer,
    variables: dict[str, str],
    prompt: Prompt = PROMPT,
    times: int = 1,
    log: list[tuple[str, dict[str, Any]]] | None = None,
) -> list[str | None]:
    """What the endpoint is told with each request; None for nothing."""
    noted: list[tuple[str, dict[str, Any]]] = [] if log is None else log
    async with endpoint(*answers) as server, http_client() as client:
        given = {"LLM_BASE_URL": server.url, **variables}
        context = build_context(
            client, given, log=lambda name, fields: noted.append((name, fields))
        )
        responder = build_responder(context)
        for _ in range(times):
            assert [text async for text in responder.reply(prompt, nobody)] == ["Hi."]
    return efforts(server)


def efforts(server: Endpoint) -> list[str | None]:
    return [request.body.get("reasoning_effort") for request in server.requests]


@pytest.mark.parametrize(
    ("model", "wanted", "expected"),
    [
        ("gpt-6-luna", "none", "none"),
        ("gpt-6-luna", "", "none"),
        ("gpt-6-luna", "minimal", "low"),
        ("openai/gpt-5.4-mini", "none", "none"),
        ("us.openai.gpt-6.1-sol", "none", "none"),
        ("gpt-5-mini", "none", "minimal"),
        ("gpt-5-2025-08-07", "none", "minimal"),
        ("openai.gpt-oss-20b-1:0", "none", "low"),
        ("o3", "minimal", "low"),
        ("gpt-4o-mini", "none", None),
        ("gpt-4.1", "none", None),
        ("llama3.2", "none", None),
        ("qwen3:8b", "none", None),
        ("the-model", "none", None),
        ("gpt-6-luna", "high", "high"),
        ("the-model", "low", "low"),
        ("the-model", "medium", "medium"),
        ("gpt-6-luna", "model", None),
    ],
)
async def test_what_a_model_is_told(model: str, wanted: str, expected: str | None) -> None:
    variables = {"LLM_MODEL": model, "REASONING_EFFORT": wanted}
    assert await told(GOOD, variables=variables) == [expected]


@pytest.mark.parametrize("status", ["400 Bad Request", "422 Unprocessable Entity"])
async def test_a_value_that_is_refused_gives_way_to_the_next_and_is_remembered(status: str) -> None:
    no = refused("Unsupported value: 'none' is not supported with this model.", status)
    log: list[tuple[str, dict[str, Any]]] = []
    assert await told(no, GOOD, variables=LUNA, times=2, log=log) == ["none", "low", "low"]
    ((name, fields),) = log
    assert name == "reasoning_effort_refused"
    assert "gpt-6-luna" in fields["advice"]
    assert "Hello?" not in json.dumps(fields)


async def test_a_parameter_that_is_refused_is_left_out() -> None:
    no = refused("Unrecognized request argument supplied: reasoning_effort")
    variables = {"LLM_MODEL": "the-model", "REASONING_EFFORT": "high"}
    assert await told(no, GOOD, variables=variables, times=2) == ["high", None, None]


async def test_ollamas_own_word_is_understood() -> None:
    no = plain("400 Bad Request", '{"error": {"message": "\\"x\\" does not support thinking"}}')
    assert await told(no, no, GOOD, variables=LUNA) == ["none", "low", None]


async def test_the_effort_and_the_system_role_may_both_be_refused() -> None:
    answers = (
        refused("reasoning_effort is not supported"),
        plain("400 Bad Request", "System role not supported"),
        GOOD,
    )
    variables = {"LLM_MODEL": "the-model", "REASONING_EFFORT": "low"}
    assert await told(*answers, variables=variables, times=2) == ["low", None, None, None]


@pytest.mark.parametrize(
    "answer",
    [
        refused("x", "401 Unauthorized"),
        refused("x", "500 Error"),
        plain("400 Bad Request", '{"error": {"code": "context_length_exceeded"}}'),
        plain("400 Bad Request", "You said: Hello?"),
    ],
)
async def test_nothing_is_asked_again_for_another_reason(answer: Answer) -> None:
    async with endpoint(answer) as server, http_client() as client:
        responder = build_responder(build_context(client, {"LLM_BASE_URL": server.url, **LUNA}))
        with pytest.raises(ProviderError):
            await anext(responder.reply(PROMPT, nobody))
    assert efforts(server) == ["none"]


async def test_what_did_not_help_is_not_remembered() -> None:
    no = refused("reasoning_effort")
    log: list[tuple[str, dict[str, Any]]] = []
    async with endpoint(no, no, no, GOOD) as server, http_client() as client:
        given = {"LLM_BASE_URL": server.url, **LUNA}
        context = build_context(client, given, log=lambda name, fields: log.append((name, fields)))
        responder = build_responder(context)
        with pytest.raises(ProviderError):
            await anext(responder.reply(PROMPT, nobody))
        assert [text async for text in responder.reply(PROMPT, nobody)] == ["Hi."]
    assert efforts(server) == ["none", "low", None, "none"]
    assert log == []


def test_an_effort_that_is_none_is_refused_at_the_start() -> None:
    with pytest.raises(ConfigurationError, match="none, minimal, low"):
        build_responder(build_context(variables={"REASONING_EFFORT": "lots"}))
