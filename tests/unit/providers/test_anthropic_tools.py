"""Tools over Anthropic's Messages API, against a scripted HTTP server."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from anthropic.types import RawMessageStreamEvent
from anthropic.types.message_create_params import MessageCreateParamsStreaming
from pydantic import TypeAdapter

from parley.errors import ProviderError
from parley.protocol.tool_rounds import ToolCalls
from parley.providers.anthropic.responder import build_responder
from parley.providers.llm import Prompt, ReplyPiece
from tests.unit.chat_server import Answer, Endpoint, endpoint, http_client, plain, stream
from tests.unit.provider_context import build_context
from tests.unit.tool_prompts import MODEL, OFFERS, a_round, check_body, claude_refusal

PROMPT = Prompt("Be brief.", [], "Where is order A-1?", tools=OFFERS)
_EVENTS: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


def event(kind: str, **fields: Any) -> str:
    """One event, which Anthropic's SDK knows."""
    found = {"type": kind, **fields}
    if kind != "message_start":
        _EVENTS.validate_python(found)
    return f"event: {kind}\ndata: {json.dumps(found)}\n\n"


def begun(index: int, kind: str, **fields: Any) -> str:
    return event("content_block_start", index=index, content_block={"type": kind, **fields})


def delta(index: int, kind: str, **fields: Any) -> str:
    return event("content_block_delta", index=index, delta={"type": kind, **fields})


def tool(index: int, name: str, *pieces: str) -> str:
    parts = [begun(index, "tool_use", id=f"toolu_{index}", name=name, input={})]
    parts += [delta(index, "input_json_delta", partial_json=each) for each in pieces]
    return "".join([*parts, event("content_block_stop", index=index)])


def text(index: int, said: str) -> str:
    return begun(index, "text", text="") + delta(index, "text_delta", text=said)


def stopped(reason: str) -> str:
    usage = {"output_tokens": 1}
    ended = {"stop_reason": reason, "stop_sequence": None}
    return event("message_delta", delta=ended, usage=usage) + event("message_stop")


START = event("message_start", message={"type": "message", "role": "assistant", "content": []})
USE = stopped("tool_use")


async def ask(
    *answers: Answer, prompt: Prompt = PROMPT
) -> tuple[list[ReplyPiece], ProviderError | None, Endpoint]:
    pieces: list[ReplyPiece] = []
    failure: ProviderError | None = None
    async with endpoint(*answers) as server, http_client() as client:
        given = {"LLM_BASE_URL": server.url, "LLM_MODEL": MODEL}
        responder = build_responder(build_context(client, given, timeout_s=30))
        try:
            async for piece in responder.reply(prompt, lambda: None):
                if piece:
                    pieces.append(piece)
        except ProviderError as error:
            failure = error
    return pieces, failure, server


async def calls_of(*parts: str) -> ToolCalls:
    pieces, failure, _ = await ask(stream(START, *parts))
    assert failure is None
    assert isinstance(pieces[-1], ToolCalls)
    return pieces[-1]


async def test_calls_come_last_with_what_was_said_before() -> None:
    use = tool(1, "order_status", '{"order"', ': "A-1"}') + tool(2, "time")
    pieces, _, _ = await ask(stream(START, text(0, "One moment."), use, USE))
    said, calls = pieces
    assert said == "One moment."
    assert isinstance(calls, ToolCalls)
    assert [(call.name, call.arguments, call.id) for call in calls.calls] == [
        ("order_status", '{"order": "A-1"}', "toolu_1"),
        ("time", "{}", "toolu_2"),
    ]
    assert (calls.model, calls.extra) == (MODEL, {})


@pytest.mark.parametrize("size", [1, 5, 64])
async def test_calls_do_not_depend_on_how_the_network_cuts_them(size: int) -> None:
    parts = (START, tool(0, "order_status", '{"order"', ': "Ä-1"}'), USE)
    pieces, _, _ = await ask(stream(*parts, size=size))
    assert isinstance(pieces[0], ToolCalls)
    assert pieces[0].calls[0].arguments == '{"order": "Ä-1"}'


async def test_thoughts_are_kept_in_their_places_and_sent_back_unchanged() -> None:
    calls = await calls_of(
        begun(0, "thinking", thinking="", signature=""),
        delta(0, "thinking_delta", thinking="Hm"),
        delta(0, "thinking_delta", thinking=", yes."),
        delta(0, "signature_delta", signature="c2ln"),
        begun(1, "redacted_thinking", data="eHl6"),
        text(2, "One moment."),
        tool(3, "time"),
        USE,
    )
    thought = {"type": "thinking", "thinking": "Hm, yes.", "signature": "c2ln"}
    hidden = {"type": "redacted_thinking", "data": "eHl6"}
    round_ = a_round("time", text="One moment.")
    again = replace(PROMPT, rounds=(type(round_)(0, calls, "One moment.", round_.results),))
    _, _, server = await ask(
        stream(START, text(0, "It is noon."), stopped("end_turn")), prompt=again
    )
    body = server.requests[0].body
    assert body["messages"][1]["content"] == [
        thought,
        hidden,
        {"type": "text", "text": "One moment."},
        {"type": "tool_use", "id": "toolu_3", "name": "time", "input": {}},
    ]
    assert claude_refusal(body) is None
    check_body(MessageCreateParamsStreaming, body)


async def test_what_the_vendor_runs_itself_is_no_call() -> None:
    search = begun(0, "server_tool_use", id="srvtoolu_1", name="web_search", input={})
    pieces, failure, _ = await ask(stream(START, search, text(1, "Found."), stopped("end_turn")))
    assert (pieces, failure) == (["Found."], None)


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (stopped("max_tokens"), ("empty", "length")),
        (stopped("refusal"), ("filtered", "filter")),
        ("", ("unavailable", "connection_lost")),
    ],
)
async def test_calls_that_may_not_be_whole_do_not_run(end: str, expected: tuple[str, str]) -> None:
    pieces, failure, _ = await ask(stream(START, tool(0, "time"), end))
    assert pieces == []
    assert failure is not None
    assert (failure.kind, failure.cause.reason) == expected


async def test_when_no_tool_may_be_called_the_text_counts() -> None:
    answer = stream(START, text(0, "It is noon."), tool(1, "time"), USE)
    pieces, _, server = await ask(answer, prompt=replace(PROMPT, may_call=False))
    assert pieces == ["It is noon."]
    assert server.requests[0].body["tool_choice"] == {"type": "none"}


async def test_a_request_offers_tools_as_the_sdk_has_them_and_each_time_the_same() -> None:
    answer = stream(START, text(0, "Hi."), stopped("end_turn"))
    bodies = [(await ask(answer))[2].requests[0].body for _ in range(2)]
    check_body(MessageCreateParamsStreaming, bodies[0])
    assert bodies[0] == bodies[1]
    assert bodies[0]["tools"][1]["input_schema"] == {"type": "object", "properties": {}}
    assert "tool_choice" not in bodies[0]


async def test_calls_of_an_answer_that_does_not_stream_are_calls() -> None:
    block = {"type": "tool_use", "id": "toolu_0", "name": "time", "input": {"a": 1}}
    whole = {"type": "message", "content": [block], "stop_reason": "tool_use"}
    pieces, _, _ = await ask(plain("200 OK", json.dumps(whole)))
    assert isinstance(pieces[0], ToolCalls)
    assert pieces[0].calls[0].arguments == '{"a": 1}'


async def test_a_leaked_call_is_asked_for_once_more_and_never_spoken() -> None:
    leak = stream(START, text(0, '<invoke name="time">'), stopped("end_turn"))
    pieces, failure, server = await ask(leak)
    assert pieces == []
    assert failure is not None
    assert (failure.kind, failure.cause.reason) == ("invalid", "leaked_call")
    assert len(server.requests) == 2
