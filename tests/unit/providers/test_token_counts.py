"""What models' answers say of tokens, in each vendor's words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import httpx
import pytest

from parley.providers.anthropic.reply import MessagesReply
from parley.providers.llm import Prompt, Tokens
from parley.providers.openai_chat.reply import ChatReply
from parley.providers.openai_chat.responder import build_responder
from parley.providers.replies.token_counts import read_count
from tests.unit.chat_server import event
from tests.unit.provider_context import build_context

DONE = "data: [DONE]\n\n"


def chat_event(**fields: Any) -> str:
    return f"data: {json.dumps(fields)}\n\n"


def usage(read: Any, written: Any) -> dict[str, Any]:
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": 0}


def read_chat(*events: str) -> tuple[str, Tokens]:
    reply = ChatReply()
    texts = [text for each in events for text in reply.feed(each.encode())]
    return "".join([*texts, *reply.close()]), reply.tokens


END = event(finish_reason="stop")


@pytest.mark.parametrize(
    ("events", "tokens"),
    [
        ([event("Hi."), END, chat_event(choices=[], usage=usage(12, 3)), DONE], Tokens(12, 3)),
        ([event("Hi."), END, chat_event(usage=usage(12, 3)), DONE], Tokens(12, 3)),
        (
            [chat_event(choices=[{"delta": {"content": "Hi."}}], usage=usage(12, 1)),
             chat_event(choices=[{"finish_reason": "stop"}], usage=usage(12, 3))],
            Tokens(12, 3),
        ),
        (
            [event("Hi."), chat_event(choices=[{"finish_reason": "stop"}],
                                      x_groq={"usage": usage(5, 2)}), DONE],
            Tokens(5, 2),
        ),
        ([chat_event(choices=[{"delta": {"content": "Hi."}}], usage=None), END, DONE], Tokens()),
        ([event("Hi."), END, chat_event(choices=[], usage=usage("12", -1)), DONE], Tokens()),
        ([event("Hi."), END, chat_event(choices=[], usage=["12"]), DONE], Tokens()),
    ],
    ids=["at the end", "without choices", "with each event", "Groq", "null", "nonsense", "a list"],
)  # fmt: skip
def test_a_chat_endpoint_says_it(events: Sequence[str], tokens: Tokens) -> None:
    assert read_chat(*events) == ("Hi.", tokens)


def test_a_chat_endpoint_that_does_not_stream_says_it() -> None:
    choices = [{"message": {"content": "Hi."}, "finish_reason": "stop"}]
    assert read_chat(json.dumps({"choices": choices, "usage": usage(9, 4)})) == (
        "Hi.",
        Tokens(9, 4),
    )


def claude_event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def read_claude(start: Any, end: Any, *, whole: bool = True) -> Tokens:
    reply = MessagesReply()
    block = {"type": "text", "text": "Hi."}
    events = [
        claude_event("message_start", message={"usage": start}),
        claude_event("content_block_start", index=0, content_block=block),
    ]
    if whole:
        events += [
            claude_event("message_delta", delta={"stop_reason": "end_turn"}, usage=end),
            claude_event("message_stop"),
        ]
    texts = [text for each in events for text in reply.feed(each)]
    if whole:
        texts += reply.close()
    assert "".join(texts) == "Hi."
    return reply.tokens


@pytest.mark.parametrize(
    ("start", "end", "tokens"),
    [
        ({"input_tokens": 10, "output_tokens": 1}, {"output_tokens": 30}, Tokens(10, 30)),
        (
            {"input_tokens": 10, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 80},
            {"output_tokens": 30},
            Tokens(95, 30),
        ),
        (
            {"input_tokens": 10, "cache_read_input_tokens": 80},
            {"input_tokens": 10, "output_tokens": 30},
            Tokens(90, 30),
        ),
        (None, None, Tokens()),
        ([], "many", Tokens()),
    ],
)
def test_claude_says_it(start: Any, end: Any, tokens: Tokens) -> None:
    assert read_claude(start, end) == tokens


def test_claude_says_at_once_what_it_has_read() -> None:
    assert read_claude({"input_tokens": 10, "output_tokens": 1}, None, whole=False) == Tokens(10)


@pytest.mark.parametrize("base_url", [None, "https://eu.api.openai.com/v1", "https://x.test/v1"])
async def test_openai_is_asked_for_it_and_nobody_else(base_url: str | None) -> None:
    requests: list[httpx.Request] = []
    told: list[Tokens] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        last = chat_event(choices=[], usage=usage(12, 3))
        return httpx.Response(200, text=event("x") + END + last + DONE)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        variables = {"LLM_BASE_URL": base_url} if base_url else {}
        responder = build_responder(build_context(client, variables))
        prompt = replace(Prompt("Be brief.", [], "Hello?"), note_tokens=told.append)
        assert [piece async for piece in responder.reply(prompt, lambda: None)] == ["x"]
    asked = json.loads(requests[0].content).get("stream_options")
    assert asked == ({"include_usage": True} if requests[0].url.host != "x.test" else None)
    assert told == [Tokens(12, 3)]


async def test_a_reply_that_is_not_read_to_its_end_says_what_it_knows() -> None:
    told: list[Tokens] = []

    def answer(_request: httpx.Request) -> httpx.Response:
        first = chat_event(choices=[{"delta": {"content": "x"}}], usage=usage(12, 1))
        return httpx.Response(200, text=first + event("y") + END + DONE)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        responder = build_responder(build_context(client))
        prompt = replace(Prompt("Be brief.", [], "Hello?"), note_tokens=told.append)
        reply = responder.reply(prompt, lambda: None)
        assert await anext(reply) == "x"
        await reply.aclose()
    assert told == [Tokens(12, 1)]


@pytest.mark.parametrize("found", [True, "12", None, -1, 10**12, float("nan"), float("inf"), []])
def test_what_is_no_number_of_tokens_is_none(found: Any) -> None:
    assert read_count(found) is None


@pytest.mark.parametrize(("found", "count"), [(0, 0), (12, 12), (12.0, 12)])
def test_a_number_of_tokens_is_one(found: Any, count: int) -> None:
    assert read_count(found) == count
