"""A workflow of n8n: the stand-in, or scripted answers, and the responder that talks to it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from parley.errors import ProviderError
from parley.providers.context import ProviderContext
from parley.providers.llm import Prompt, Responder, Speaker
from parley.providers.n8n.responder import N8nWorkflow, build_responder
from parley_standins.__main__ import serve_app
from parley_standins.engines import Engines
from parley_standins.n8n_app import build_app
from tests.unit.chat_server import Answer, endpoint, http_client, spoken
from tests.unit.provider_context import build_context
from tests.unit.speech_server import closed_port

KEY = "Bearer a-very-long-token"
SPEAKER = Speaker("keyed-hash", "turn-1", "anna", "acme")
ASKED = "What is two plus three?"
REPLY = "Two plus three is five."
PROMPT = Prompt("Be brief.", [], ASKED, "en", SPEAKER)
SHORT_S = 0.5
"""Of tests that wait for a timeout."""


@dataclass
class Workflow:
    """The stand-in, and the responder that talks to it."""

    url: str
    client: httpx.AsyncClient
    context: ProviderContext

    async def set_up(self, **settings: Any) -> None:
        answer = await self.client.put(f"{self.url}/_control", json=settings)
        assert answer.status_code == 200, answer.text

    async def records(self) -> list[dict[str, Any]]:
        answer = await self.client.get(f"{self.url}/_requests")
        return [r for r in answer.json()["requests"] if not r["path"].startswith("/_")]

    async def says(self, prompt: Prompt = PROMPT) -> str:
        workflow: Responder = build_responder(self.context)
        return "".join([spoken(piece) async for piece in workflow.reply(prompt, no)])

    async def fails(self, context: ProviderContext | None = None) -> tuple[ProviderError, str]:
        return await failure_of(build_responder(context or self.context))


def no() -> None:
    """Nobody wants to know when the request has been sent."""


async def failure_of(responder: N8nWorkflow) -> tuple[ProviderError, str]:
    """How a reply fails, and what was said before."""
    pieces: list[str] = []
    with pytest.raises(ProviderError) as raised:  # noqa: PT012 - what came before counts
        async for piece in responder.reply(PROMPT, no):
            pieces.append(piece)
    error = raised.value
    assert error.code == "reply_failed"
    logged = json.dumps(error.cause.log_fields())
    assert "a-very-long-token" not in logged
    assert ASKED not in logged
    return error, "".join(pieces)


def context_of(client: httpx.AsyncClient, url: str, **options: Any) -> ProviderContext:
    variables = {"LLM_BASE_URL": url, **options.pop("variables", {})}
    return build_context(client, variables, key=options.pop("key", KEY), **options)


@contextlib.asynccontextmanager
async def running(path: str = "/webhook/parley", **options: Any) -> AsyncIterator[Workflow]:
    app = build_app(KEY, Engines())
    async with http_client() as client, serve_app(app, "127.0.0.1", 0) as url:
        yield Workflow(url, client, context_of(client, url + path, **options))


@contextlib.asynccontextmanager
async def scripted(*answers: Answer, **options: Any) -> AsyncIterator[tuple[Any, N8nWorkflow]]:
    async with endpoint(*answers) as server, http_client() as client:
        url = server.url.replace("/v1/", "/webhook/parley")
        yield server, build_responder(context_of(client, url, **options))


NOT_REACHED: dict[str, tuple[Callable[[], str], str]] = {
    "closed": (lambda: f"http://127.0.0.1:{closed_port()}/webhook/x", "connection_refused"),
    "no such host": (lambda: "http://n8n.invalid/webhook/x", "host_not_found"),
    "no URL": (lambda: "nonsense", "invalid_url"),
}
