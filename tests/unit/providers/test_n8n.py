"""n8n as a responder, against the stand-in's workflow and against scripted answers."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from parley.errors import ProviderError
from parley.protocol.messages import Message
from parley.providers.context import ProviderContext
from parley.providers.llm import Prompt, Speaker
from parley.providers.n8n import responder
from parley.providers.n8n.config import ADVICE
from parley.providers.n8n.responder import N8nWorkflow, build_request, build_responder
from parley_standins.n8n_stream import LOOKS_UP
from tests.unit.chat_server import endpoint, http_client, plain
from tests.unit.n8n_workflow import (
    ASKED,
    KEY,
    NOT_REACHED,
    PROMPT,
    REPLY,
    SHORT_S,
    context_of,
    failure_of,
    no,
    running,
    scripted,
)
from tests.unit.speech_server import closed_port, stalled_port

OPEN_CLIENT = responder.open_client


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch) -> Callable[[ProviderContext], httpx.AsyncClient]:
    """What opens n8n's own client; most tests have it use the one that they close."""
    monkeypatch.setattr(responder, "open_client", lambda context: context.http_client)
    return OPEN_CLIENT


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A workflow may be silent for a moment only."""
    monkeypatch.setattr(N8nWorkflow, "rules", replace(N8nWorkflow.rules, timeout_s=SHORT_S))


# --- replies ----------------------------------------------------------------------------


WAYS: dict[str, tuple[dict[str, Any], str]] = {
    "streamed": ({}, REPLY),
    "streamed in bits": ({"written_bytes": 3}, REPLY),
    "two rounds": ({"looks_up": True}, f"{LOOKS_UP} {REPLY}"),
    "a sub-agent": ({"sub_agent": True}, REPLY),
    "said again": ({"responds_again": True}, REPLY),
    "rounds said again": ({"responds_again": True, "looks_up": True}, f"{LOOKS_UP} {REPLY}"),
    "said by the Respond node alone": ({"responds_again": True, "agent_streams": False}, REPLY),
    "signs of life": ({"keeps_alive": True}, REPLY),
    "after a failure": ({"fails": "recovers"}, REPLY),
    "the last node": ({"respond": "last_node"}, REPLY),
    "all of its items": ({"respond": "last_node", "respond_with": "items"}, REPLY),
    "another field": ({"respond": "last_node", "field": "answer"}, REPLY),
    "the Respond node": ({"respond": "respond_node"}, REPLY),
    "text": ({"respond": "respond_node", "respond_with": "text"}, REPLY),
    "without a header": ({"auth": "none"}, REPLY),
}


@pytest.mark.parametrize("path", ["/webhook/parley", "/webhook/1f-2e/chat"])
@pytest.mark.parametrize(("oddities", "reply"), WAYS.values(), ids=WAYS)
async def test_a_workflow_replies_in_each_way(
    oddities: dict[str, Any], reply: str, path: str
) -> None:
    async with running(path) as workflow:
        await workflow.set_up(oddities=oddities)
        assert await workflow.says() == reply


async def test_the_words_come_as_they_are_streamed() -> None:
    async with running() as workflow:
        pieces = [piece async for piece in build_responder(workflow.context).reply(PROMPT, no)]
        assert len(pieces) > 3
        assert "" not in pieces


async def test_a_workflow_has_its_memory_by_the_sessions_key() -> None:
    async with running() as workflow:
        await workflow.says(Prompt("", [], "My name is Anna.", speaker=Speaker("one")))
        question = "What is my name?"
        assert "Anna" in await workflow.says(Prompt("", [], question, speaker=Speaker("one")))
        assert "Anna" not in await workflow.says(Prompt("", [], question, speaker=Speaker("two")))


async def test_a_request_is_what_a_chat_trigger_reads() -> None:
    async with running() as workflow:
        await workflow.says()
        (record,) = await workflow.records()
        assert (record["method"], record["path"]) == ("POST", "/webhook/parley")
        assert record["body"] == {
            "action": "sendMessage",
            "sessionId": "keyed-hash",
            "chatInput": ASKED,
            "metadata": {
                "turn": "turn-1",
                "user": "anna",
                "tenant": "acme",
                "language": "en",
                "instructions": "Be brief.",
            },
        }
        headers = {name.lower(): value for name, value in record["headers"].items()}
        assert headers["user-agent"].startswith("parley/")
        assert headers["content-type"] == "application/json"
        assert not {"origin", "traceparent"} & set(headers)


def test_what_is_not_known_is_left_out() -> None:
    first, second = (build_request(Prompt("", [], "Hi.")) for _ in range(2))
    assert first["metadata"] == {}
    assert first["sessionId"] != second["sessionId"]  # else everybody shared one memory
    assert first["sessionId"]


@pytest.mark.parametrize("heard", [None, "It is", ""])
def test_a_request_says_what_was_heard_and_never_the_history(heard: str | None) -> None:
    history = [
        Message("user", "What time is it?", "t0"),
        Message("assistant", "It is noon.", "t0", heard=heard),
    ]
    request = build_request(Prompt("", history, "Hi."))
    assert request["metadata"].get("heard") == heard
    assert "noon" not in json.dumps(request)


def test_an_older_interruption_is_not_news() -> None:
    history = [
        Message("assistant", "It is noon.", "t0", heard="It"),
        Message("user", "Thanks.", "t1"),
        Message("assistant", "Not at all.", "t1"),
    ]
    assert "heard" not in build_request(Prompt("", history, "Hi."))["metadata"]


@pytest.mark.parametrize("sampled", ["0", "1"])
async def test_the_trace_goes_along(sampled: str) -> None:
    trace = (
        "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;"
        f"Sampled={sampled};Lineage=a:0"
    )
    async with running(variables={"_X_AMZN_TRACE_ID": trace}) as workflow:
        await workflow.says()
        (record,) = await workflow.records()
    headers = {name.lower(): value for name, value in record["headers"].items()}
    expected = f"00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-0{sampled}"
    assert headers["traceparent"] == expected


AUTH = {
    "another header": ({"auth": "header", "header": "X-Parley"}, "X-Parley", KEY),
    "a token": ({"auth": "jwt"}, "", f"Bearer {KEY}"),
    "basic": (
        {"auth": "basic"},
        "Authorization",
        "Basic " + base64.b64encode(f"parley:{KEY}".encode()).decode(),
    ),
}


@pytest.mark.parametrize(("oddities", "name", "value"), AUTH.values(), ids=AUTH)
async def test_one_header_covers_every_authentication(
    oddities: dict[str, Any], name: str, value: str
) -> None:
    async with running(variables={"N8N_HEADER_NAME": name}, key=value) as workflow:
        await workflow.set_up(oddities=oddities)
        assert await workflow.says() == REPLY


async def test_an_empty_key_is_not_sent() -> None:
    async with running(key="") as workflow:
        await workflow.set_up(oddities={"auth": "none"})
        await workflow.says()
        (record,) = await workflow.records()
    assert "authorization" not in {name.lower() for name in record["headers"]}


async def test_who_waits_is_told_when_the_request_is_on_its_way() -> None:
    asked: list[int] = []
    async with running() as workflow:
        await workflow.set_up(delays={"first_item_ms": 50})
        async for _ in build_responder(workflow.context).reply(PROMPT, lambda: asked.append(1)):
            assert asked


def test_a_workflow_is_never_asked_twice() -> None:
    rules = N8nWorkflow.rules
    assert not rules.repeatable
    assert rules.timeout_s >= 30


async def test_a_connection_is_warmed_up_and_runs_nothing() -> None:
    async with running() as workflow:
        responder = build_responder(workflow.context)
        await responder.warm_up()
        assert [r["method"] for r in await workflow.records()] == ["OPTIONS"]
        async for _ in responder.reply(PROMPT, no):
            pass
        assert responder.connection_reused is True


async def test_a_warm_up_never_raises() -> None:
    async with http_client() as client:
        await build_responder(
            context_of(client, f"http://127.0.0.1:{closed_port()}/webhook/x")
        ).warm_up()
        await build_responder(context_of(client, "http://[::")).warm_up()


# --- failures ---------------------------------------------------------------------------


FAILURES: dict[str, tuple[dict[str, Any], str, str]] = {
    "inactive": ({"active": False}, "not_registered", "activate (publish) the workflow"),
    "another method": ({"method": "GET"}, "wrong_method", "HTTP Method to POST"),
    "a wrong header": ({"auth": "jwt"}, "key", "check N8nHeaderName and N8nHeaderValue"),
    "no header": ({"header": "X-Other"}, "key", "check N8nHeaderName and N8nHeaderValue"),
    "no credential": ({"auth": "no_credential"}, "no_credential", "choose one"),
    "it only starts": ({"respond": "immediately"}, "starts_only", "Respond in its Webhook node"),
    "hosted chat": ({"respond": "response_nodes"}, "hosted_chat", "Using Response Nodes"),
    "streams nothing": ({"agent_streams": False}, "streams_nothing", "Enable Streaming"),
    "fails": ({"fails": "before"}, "workflow_failed", "Executions"),
    "fails whole": ({"respond": "last_node", "fails": "before"}, "workflow_failed", "Executions"),
    "no data": ({"respond": "last_node", "respond_with": "nothing"}, "no_data", "last node"),
    "nothing": ({"respond": "respond_node", "respond_with": "nothing"}, "no_data", "last node"),
    "a file": ({"respond": "respond_node", "respond_with": "file"}, "file", "text or JSON"),
    "a redirect": ({"respond": "respond_node", "respond_with": "redirect"}, "redirect", "https"),
    "a field of no reply": ({"respond": "last_node", "field": "url"}, "no_text", "`output`"),
}


@pytest.mark.parametrize(("oddities", "reason", "advice"), FAILURES.values(), ids=FAILURES)
async def test_each_way_to_set_it_up_wrongly_is_named(
    oddities: dict[str, Any], reason: str, advice: str
) -> None:
    async with running() as workflow:
        await workflow.set_up(oddities=oddities)
        error, before = await workflow.fails()
        assert error.cause.reason == reason
        assert advice in error.cause.advice
        assert before == ""
        assert len(await workflow.records()) == 1


async def test_a_chat_trigger_that_is_not_public_is_named() -> None:
    async with running("/webhook/1f-2e/chat") as workflow:
        await workflow.set_up(oddities={"public": False})
        error, _ = await workflow.fails()
        assert "Make Chat Publicly Available" in error.cause.advice


STATUSES: dict[str, tuple[int, str | None, str, str]] = {
    "401": (401, None, "key", "unauthorized"),
    "403": (403, None, "key", "unauthorized"),
    "an address": (403, "IP is not whitelisted to access the webhook!", "address", "refused"),
    "428": (428, None, "no_account", "refused"),
    "429": (429, None, "busy", "rate_limited"),
    "500": (500, None, "workflow_failed", "unavailable"),
    "not started": (
        500,
        "Workflow Webhook Error: Workflow could not be started!",
        "not_started",
        "refused",
    ),
    "an unused node": (
        500,
        "Unused Respond to Webhook node found in the workflow",
        "not_started",
        "refused",
    ),
    "a problem": (
        500,
        "There was a problem executing the workflow",
        "workflow_failed",
        "unavailable",
    ),
    "502": (502, None, "down", "unavailable"),
    "503": (503, None, "down", "unavailable"),
    "504": (504, None, "timeout", "timeout"),
    "524": (524, None, "timeout", "timeout"),
    "400": (400, None, "request", "refused"),
}


@pytest.mark.parametrize(("status", "code", "reason", "kind"), STATUSES.values(), ids=STATUSES)
async def test_statuses(status: int, code: str | None, reason: str, kind: str) -> None:
    async with running() as workflow:
        await workflow.set_up(faults={"webhook": {"status": status, "code": code}})
        error, _ = await workflow.fails()
        assert (error.cause.reason, error.kind, error.cause.status) == (reason, kind, status)
        assert str(status) in error.cause.advice


async def test_how_long_to_wait_is_kept() -> None:
    async with running() as workflow:
        await workflow.set_up(faults={"webhook": {"status": 429, "retry_after": 7}})
        error, _ = await workflow.fails()
        assert error.retry_after_ms == 7000


async def test_a_page_of_404_is_not_n8ns() -> None:
    page = plain("404 Not Found", "<html>is not registered</html>", Content_Type="text/html")
    async with scripted(page) as (_, responder):
        error, _ = await failure_of(responder)
    assert error.cause.reason == "not_found"
    assert "LlmBaseUrl" in error.cause.advice


async def test_a_failure_after_words_keeps_them() -> None:
    async with running() as workflow:
        await workflow.set_up(oddities={"fails": "after"})
        error, before = await workflow.fails()
        assert (error.cause.reason, before) == ("workflow_failed", REPLY)


CUTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "reset": ({"refuse": True}, "connection_lost", ""),
    "reset after the headers": ({"cut": 0}, "connection_lost", ""),
    "reset amid the words": ({"cut": 2}, "connection_lost", "Two plus"),
}


@pytest.mark.parametrize(("fault", "reason", "words"), CUTS.values(), ids=CUTS)
async def test_a_connection_that_breaks(fault: dict[str, Any], reason: str, words: str) -> None:
    async with running() as workflow:
        await workflow.set_up(faults={"webhook": fault})
        error, before = await workflow.fails()
        assert (error.cause.reason, error.kind, before) == (reason, "unavailable", words)
        assert len(await workflow.records()) == 1


async def test_half_a_line_of_nonsense_costs_no_reply() -> None:
    async with running() as workflow:
        await workflow.set_up(faults={"webhook": {"garbage": True}})
        assert await workflow.says() == REPLY.removeprefix("Two")


async def test_half_an_answer_is_no_reply() -> None:
    async with running() as workflow:
        await workflow.set_up(
            oddities={"respond": "last_node"}, faults={"webhook": {"garbage": True}}
        )
        error, _ = await workflow.fails()
        assert (error.cause.reason, error.kind) == ("no_protocol", "invalid")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("stall", ["before", "after"])
async def test_a_workflow_that_stalls(stall: str) -> None:
    async with running(timeout_s=SHORT_S) as workflow:
        await workflow.set_up(faults={"webhook": {"stall": stall}})
        error, before = await workflow.fails()
        assert (error.cause.reason, error.kind) == ("timeout", "timeout")
        assert before == ("Two" if stall == "after" else "")


@pytest.mark.usefixtures("impatient")
async def test_lines_that_keep_the_connection_open_are_no_answer() -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        text = b'{"type":"keepalive"}\n'
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(f"{len(text):x}\r\n".encode() + text + b"\r\n")
                await writer.drain()
                await asyncio.sleep(SHORT_S / 5)

    async with scripted(answer, timeout_s=SHORT_S) as (_, responder):
        error, _ = await failure_of(responder)
    assert error.kind == "timeout"


async def test_each_word_gives_a_workflow_its_time_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(N8nWorkflow, "rules", replace(N8nWorkflow.rules, timeout_s=2.0))
    async with running(timeout_s=0.1) as workflow:
        await workflow.set_up(delays={"item_ms": 500})
        assert await workflow.says() == REPLY  # after more than 2 s


async def test_a_slow_workflow_is_waited_for() -> None:
    async with running(timeout_s=0.05) as workflow:
        await workflow.set_up(delays={"first_item_ms": 300})
        assert await workflow.says() == REPLY


@pytest.mark.parametrize(("keepalive_s", "connections"), [(60.0, 1), (0.0, 2)])
async def test_a_connection_that_was_idle_for_long_is_not_used_again(
    opened: Callable[[ProviderContext], httpx.AsyncClient],
    monkeypatch: pytest.MonkeyPatch,
    keepalive_s: float,
    connections: int,
) -> None:
    monkeypatch.setattr(responder, "KEEPALIVE_S", keepalive_s)
    answer = plain("200 OK", json.dumps({"output": REPLY}))
    async with endpoint(answer, answer) as server, http_client() as shared:
        url = server.url.replace("/v1/", "/webhook/parley")
        context = context_of(shared, url)
        async with opened(context) as client:
            monkeypatch.setattr(responder, "open_client", lambda _context: client)
            workflow = build_responder(context)
            for _ in range(2):
                assert "".join([text async for text in workflow.reply(PROMPT, no)]) == REPLY
    assert server.connections == connections


@pytest.mark.parametrize(("url", "reason"), NOT_REACHED.values(), ids=NOT_REACHED)
async def test_a_host_that_is_not_reached(url: Callable[[], str], reason: str) -> None:
    asked: list[int] = []
    async with http_client() as client:
        responder = build_responder(context_of(client, url()))
        with pytest.raises(ProviderError) as raised:
            await anext(responder.reply(PROMPT, lambda: asked.append(1)))
    assert raised.value.cause.reason == reason
    assert asked == [1]


async def test_a_host_that_takes_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parley.providers.n8n.responder.CONNECT_S", SHORT_S)
    async with stalled_port() as port, http_client() as client:
        url = f"https://127.0.0.1:{port}/webhook/x"  # its handshake stalls
        error, _ = await failure_of(build_responder(context_of(client, url)))
    assert (error.cause.reason, error.kind) == ("connect_timeout", "unavailable")


async def test_the_names_of_fields_are_logged_and_nothing_else() -> None:
    logged: list[tuple[str, dict[str, Any]]] = []
    body = json.dumps({"mood": "calm", "weather": ASKED})
    answer = plain("200 OK", body, Content_Type="application/json")
    async with scripted(answer, log=lambda *event: logged.append(event)) as (_, responder):
        await failure_of(responder)
    ((event, fields),) = logged
    assert (event, fields["fields"]) == ("workflow_answer_without_reply", ["mood", "weather"])
    assert ASKED not in json.dumps(fields)


@pytest.mark.parametrize("name", ["keyed-hash", "anna", "acme"])
async def test_who_speaks_is_in_no_log(name: str) -> None:
    """A workflow may well answer with what it was sent."""
    body = json.dumps({"code": name, "message": "no such customer"})
    async with scripted(plain("422 Unprocessable", body)) as (_, responder):
        error, _ = await failure_of(responder)
    assert error.cause.reason == "request"
    assert name not in json.dumps(error.cause.log_fields())


def test_every_advice_is_one_sentence() -> None:
    for sentence in ADVICE.values():
        assert sentence.endswith(".")
        assert ". " not in sentence
