"""How n8n is set up: what is refused at the start, and what a check of health finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from parley.errors import ConfigurationError
from parley.providers import registry
from parley.providers.checks import Unhealthy
from parley.providers.n8n.checks import build_check
from parley.providers.n8n.responder import N8nWorkflow, build_responder
from tests.unit.chat_server import Answer, endpoint, http_client, plain
from tests.unit.n8n_workflow import (
    NOT_REACHED,
    Workflow,
    context_of,
    running,
)
from tests.unit.provider_context import build_context


@pytest.mark.parametrize(
    "url",
    [
        "https://n8n.example.com/webhook-test/parley",
        "https://n8n.example.com/sub/webhook-test/1f-2e/chat",
        "https://n8n.example.com/webhook-test",
    ],
)
def test_a_test_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="LlmBaseUrl is a test URL of n8n"):
        build_responder(build_context(variables={"LLM_BASE_URL": url}))


def test_a_webhook_is_needed() -> None:
    with pytest.raises(ConfigurationError, match="n8n needs LlmBaseUrl"):
        build_responder(build_context())


@pytest.mark.parametrize("name", ["Content-Type", "host", "User-Agent"])
def test_a_header_that_every_request_has_is_refused(name: str) -> None:
    variables = {"LLM_BASE_URL": "https://a/webhook/x", "N8N_HEADER_NAME": name}
    with pytest.raises(ConfigurationError, match=f"N8nHeaderName is {name}, which every request"):
        build_responder(build_context(variables=variables))


def test_the_second_responder_has_variables_of_its_own() -> None:
    variables = {"LLM_BASE_URL": "https://a/webhook/x", "FALLBACK_LLM_BASE_URL": ""}
    context = build_context(variables=variables)
    with pytest.raises(ConfigurationError, match="n8n needs FallbackLlmBaseUrl"):
        registry.build_responder("n8n", replace(context, is_fallback=True))
    assert isinstance(registry.build_responder("n8n", context), N8nWorkflow)


async def check(workflow: Workflow, path: str | None = None) -> str:
    """What a check of health finds; empty if all is well."""
    context = workflow.context
    if path:
        context = context_of(workflow.client, workflow.url + path)
    try:
        await build_check("responder", context).check()
    except Unhealthy as wrong:
        return str(wrong)
    return ""


async def test_a_check_runs_nothing() -> None:
    async with running() as workflow:
        assert await check(workflow) == ""
        assert [r["method"] for r in await workflow.records()] == ["OPTIONS"]


async def test_a_check_sees_that_nobody_listens() -> None:
    async with running() as workflow:
        await workflow.set_up(oddities={"active": False})
        assert "activate (publish)" in await check(workflow)
        # n8n names no methods of a path that may have a parameter in it.
        parameter = "/webhook/6c0e1a52-7a4b-4b0e-9d59-0a6f1a3c2b11"
        assert await check(workflow, f"{parameter}/anna") == ""
        assert "activate (publish)" in await check(workflow, f"{parameter}/chat")


async def test_a_check_sees_another_method() -> None:
    async with running() as workflow:
        await workflow.set_up(oddities={"method": "GET"})
        assert "HTTP Method to POST" in await check(workflow)


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (plain("204 No Content", ""), ""),
        (plain("204 No Content", "", Access_Control_Allow_Methods="*"), ""),
        (plain("405 Method Not Allowed", ""), ""),
        (plain("502 Bad Gateway", ""), "down or overloaded"),
        (plain("401 Unauthorized", ""), "N8nHeaderName"),
        (plain("301 Moved", "", Location="https://x"), "https"),
    ],
)
async def test_a_check_of_what_stands_before_n8n(answer: Answer, found: str) -> None:
    async with endpoint(answer) as server, http_client() as client:
        workflow = Workflow(server.url, client, context_of(client, f"{server.url}webhook/x"))
        seen = await check(workflow)
    assert found in seen
    assert bool(found) == bool(seen)


@pytest.mark.parametrize("url", [url for url, _ in NOT_REACHED.values()], ids=NOT_REACHED)
async def test_a_check_of_a_host_that_is_not_reached(url: Callable[[], str]) -> None:
    async with http_client() as client:
        with pytest.raises(Unhealthy, match="check LlmBaseUrl"):
            await build_check("responder", context_of(client, url())).check()
