"""docs/recipes.md's endpoint that looks things up, between Parley's client and a scripted model."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from parley.errors import ProviderError
from parley.providers.llm import Prompt
from parley.providers.openai_chat.responder import build_responder
from tests.recipes import recipe
from tests.unit.chat_server import (
    Answer,
    Endpoint,
    endpoint,
    event,
    http_client,
    plain,
    spoken,
    stream,
)
from tests.unit.provider_context import build_context

NOTES = "Kettles are repaired for free within two years.\n\nWe are closed on Sundays.\n"
SAID = stream(event("It is "), event("free."), event(finish_reason="stop"), "data: [DONE]\n\n")


@asynccontextmanager
async def looking_up(
    folder: Path, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Endpoint, str]]:
    """The scripted model behind the page's endpoint, and that endpoint's address."""
    (folder / "notes.md").write_text(NOTES)
    async with endpoint(answer) as model:
        monkeypatch.setenv("MODEL_URL", model.url.rstrip("/"))
        monkeypatch.setenv("MODEL_KEY", "the-models")
        monkeypatch.setenv("OWN_KEY", "our-own")
        monkeypatch.setattr("sys.argv", ["retrieval.py", str(folder / "notes.md")])
        page: dict[str, Any] = {"__name__": "retrieval"}
        exec(
            compile(recipe("An endpoint that looks things up", "python"), "retrieval.py", "exec"),
            page,
        )
        handler = type("Quiet", (page["Endpoint"],), {"log_message": lambda *_: None})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield model, f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


async def asked(url: str, question: str, key: str = "our-own") -> list[str]:
    """What Parley's own client gets for an answer."""
    async with http_client() as client:
        variables = {"LLM_BASE_URL": url, "LLM_MODEL": "the-model"}
        responder = build_responder(build_context(client, variables, key=key))
        prompt = Prompt("Be brief.", [], question)
        return [spoken(piece) async for piece in responder.reply(prompt, lambda: None)]


async def test_what_is_found_stands_before_the_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with looking_up(tmp_path, SAID, monkeypatch) as (model, url):
        assert await asked(url, "What does repairing a kettle cost?") == ["It is ", "free."]
    (request,) = [each for each in model.requests if each.line.startswith("POST")]
    system, question = request.body["messages"]
    assert system["content"].startswith("Be brief.")
    assert "Kettles are repaired for free" in system["content"]
    assert "Sundays" not in system["content"]
    assert question == {"role": "user", "content": "What does repairing a kettle cost?"}
    assert request.headers["authorization"] == "Bearer the-models"


async def test_a_question_that_nothing_answers_goes_on_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with looking_up(tmp_path, SAID, monkeypatch) as (model, url):
        assert await asked(url, "Hello?") == ["It is ", "free."]
    (request,) = [each for each in model.requests if each.line.startswith("POST")]
    assert request.body["messages"][0]["content"] == "Be brief."


@pytest.mark.parametrize(
    ("key", "answer", "kind"),
    [
        ("another", SAID, "unauthorized"),
        ("our-own", plain("429 Too Many Requests"), "rate_limited"),
        ("our-own", plain("503 Service Unavailable"), "unavailable"),
    ],
)
async def test_who_may_not_ask_and_a_model_that_refuses_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, answer: Answer, kind: str
) -> None:
    async with looking_up(tmp_path, answer, monkeypatch) as (_, url):
        with pytest.raises(ProviderError) as failed:
            await asked(url, "What does a kettle cost?", key)
    assert failed.value.kind == kind
