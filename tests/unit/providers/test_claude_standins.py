"""Claude's responders against the stand-ins, which the official SDKs have read."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from aiohttp import web
from botocore.credentials import Credentials

from parley.aws import clients
from parley.errors import ProviderError
from parley.protocol.messages import Message
from parley.providers import registry
from parley.providers.llm import Prompt, Responder, Speaker
from parley_standins import anthropic_app, bedrock_app
from parley_standins.__main__ import serve_app
from tests.unit.chat_server import http_client, spoken
from tests.unit.provider_context import build_context

KEY = "standin-key"
HISTORY = [
    Message("user", "My name is Alice.", "t1"),
    Message("assistant", "Hello, Alice. How are you?", "t1", heard="Hello, Alice."),
]
PROMPT = Prompt("Be brief.", HISTORY, "What is my name?", speaker=Speaker("a1b2c3"))
WAYS: dict[str, tuple[Callable[[str], web.Application], str, str]] = {
    "anthropic": (anthropic_app.build_app, "", ""),
    "anthropic_bedrock": (bedrock_app.build_app, "/anthropic", ""),
    "openai_chat_bedrock": (bedrock_app.build_app, "/openai/v1", "openai.gpt-oss-20b-1:0"),
}


def nobody() -> None:
    """Nobody wants to know when the request has been sent."""


@pytest.fixture(autouse=True)
def role(monkeypatch: pytest.MonkeyPatch) -> None:
    """The functions' role, whatever the machine has."""
    found = Credentials("AKIDEXAMPLE", "secret", "token")
    monkeypatch.setattr(clients.botocore_session(), "get_credentials", lambda: found)


@contextlib.asynccontextmanager
async def responding(
    name: str, settings: dict[str, Any] | None = None, **variables: str
) -> AsyncIterator[Responder]:
    """A responder, and the stand-in that it asks."""
    build_app, path, model = WAYS[name]
    async with serve_app(build_app(KEY), "127.0.0.1", 0) as url, http_client() as client:
        await set_to(url, settings or {})
        given = {"LLM_BASE_URL": url + path, "LLM_MODEL": model, "AWS_REGION": "eu-west-1"}
        context = build_context(client, {**given, **variables}, key=KEY, timeout_s=30)
        yield registry.build_responder(name, context)


async def set_to(url: str, settings: dict[str, Any]) -> None:
    async with httpx.AsyncClient() as http:
        (await http.put(f"{url}/_control", json=settings)).raise_for_status()


async def pieces(responder: Responder, prompt: Prompt = PROMPT) -> list[str]:
    return [spoken(text) async for text in responder.reply(prompt, nobody)]


@pytest.mark.parametrize("name", WAYS)
async def test_a_conversation(name: str) -> None:
    async with responding(name) as responder:
        await responder.warm_up()
        assert "Alice" in "".join(await pieces(responder))
        assert responder.connection_reused is True


@pytest.mark.parametrize(
    "model", ["claude-haiku-5-5", "claude-haiku-4-5", "claude-sonnet-5-5", "claude-opus-5-5"]
)
@pytest.mark.parametrize("effort", ["none", "minimal", "low", "medium", "high", "model"])
async def test_every_model_takes_every_effort(model: str, effort: str) -> None:
    async with responding("anthropic", LLM_MODEL=model, REASONING_EFFORT=effort) as responder:
        for _ in range(2):
            assert "Alice" in "".join(await pieces(responder))


async def test_a_thought_is_a_sign_of_life() -> None:
    settings = {"oddities": {"thinks": True, "thinking_ms": 250, "pings": 2}}
    async with responding("anthropic", settings, REASONING_EFFORT="model") as responder:
        found = await pieces(responder)
    begin = next(at for at, text in enumerate(found) if text)
    assert begin > 4
    assert "Alice" in "".join(found)


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"oddities": {"refuses": True}}, "filtered"),
        ({"oddities": {"calls_tool": True}}, "refused"),
        ({"faults": {"llm": {"error_frame": "overloaded_error"}}}, "unavailable"),
        ({"faults": {"llm": {"cut": 1}}}, "unavailable"),
        ({"faults": {"llm": {"refuse": True}}}, "unavailable"),
        ({"faults": {"llm": {"status": 529}}}, "unavailable"),
        ({"faults": {"llm": {"status": 402}}}, "refused"),
        ({"faults": {"llm": {"status": 401}}}, "unauthorized"),
    ],
)
async def test_failures(settings: dict[str, Any], kind: str) -> None:
    async with responding("anthropic", settings) as responder:
        with pytest.raises(ProviderError) as raised:
            await pieces(responder)
    assert raised.value.kind == kind
    assert KEY not in raised.value.cause.advice
    assert "Alice" not in str(raised.value.cause)
