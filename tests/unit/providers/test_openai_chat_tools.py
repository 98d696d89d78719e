"""Tools over the chat endpoint's protocol, against a scripted HTTP server."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from openai.types.chat import ChatCompletionChunk
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming

from parley.errors import ProviderError
from parley.protocol.tool_rounds import ToolCalls
from parley.providers.llm import Prompt, ReplyPiece
from parley.providers.openai_chat.reply import MAX_THOUGHT_CHARS
from parley.providers.openai_chat.responder import build_responder
from tests.unit.chat_server import Answer, Endpoint, endpoint, event, http_client, plain, stream
from tests.unit.provider_context import build_context
from tests.unit.tool_prompts import MODEL, OFFERS, a_round, chat_refusal, check_body

PROMPT = Prompt("Be brief.", [], "Where is order A-1?", tools=OFFERS)
AFTER_CALLS = replace(PROMPT, rounds=(a_round("time"),))
DONE = "data: [DONE]\n\n"
GOOD = stream(event("Hi."), DONE)
LEAK = stream(event('<tool_call>{"name": "time"}'), event("</tool_call>"), DONE)
BAD_CALL = json.dumps({"error": {"message": "Failed to call", "code": "tool_use_failed"}})


def called(*calls: dict[str, Any], content: str | None = None, **choice: Any) -> str:
    """One event with pieces of calls, which OpenAI's SDK knows."""
    delta = {"content": content, "tool_calls": list(calls)}
    whole = {"index": 0, "delta": delta, "finish_reason": None, **choice}
    chunk = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    ChatCompletionChunk.model_validate({**chunk, "choices": [whole]})
    return f"data: {json.dumps({'choices': [whole]})}\n\n"


def entry(name: str = "time", arguments: str = "{}", **more: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"index": 0, "id": "c1", "type": "function", "function": function, **more}


CALL = called(entry())


class Asked:
    """What a responder yields of a server's answers, and what it asked and logged."""

    def __init__(self) -> None:
        self.pieces: list[ReplyPiece] = []
        self.log: list[tuple[str, dict[str, Any]]] = []
        self.server: Endpoint
        self.error: ProviderError | None = None

    @property
    def text(self) -> str:
        return "".join(piece for piece in self.pieces if isinstance(piece, str))

    @property
    def calls(self) -> ToolCalls | None:
        found = [piece for piece in self.pieces if isinstance(piece, ToolCalls)]
        assert found in ([], self.pieces[-1:]), "calls come last"
        return found[0] if found else None

    @property
    def bodies(self) -> list[Any]:
        return [request.body for request in self.server.requests]

    @property
    def events(self) -> list[str]:
        return [name for name, _ in self.log]


async def ask(*answers: Answer, prompt: Prompt = PROMPT, times: int = 1, **variables: str) -> Asked:
    asked = Asked()
    async with endpoint(*answers) as asked.server, http_client() as client:
        given = {"LLM_BASE_URL": asked.server.url, "LLM_MODEL": MODEL, **variables}
        context = build_context(
            client, given, timeout_s=30, log=lambda name, fields: asked.log.append((name, fields))
        )
        responder = build_responder(context)
        try:
            for _ in range(times):
                asked.pieces = []
                async for piece in responder.reply(prompt, lambda: None):
                    asked.pieces.append(piece)
        except ProviderError as error:
            asked.error = error
    return asked


async def reason(*answers: Answer, prompt: Prompt = PROMPT) -> tuple[str, str]:
    asked = await ask(*answers, prompt=prompt)
    assert asked.error is not None
    assert asked.calls is None
    return asked.error.kind, asked.error.cause.reason


# --- what is asked -----------------------------------------------------------------------


async def test_a_request_offers_tools_as_the_sdk_has_them_and_each_time_the_same() -> None:
    asked = await ask(GOOD, times=2)
    first, second = asked.bodies
    check_body(CompletionCreateParamsStreaming, first)
    assert [tool["function"]["name"] for tool in first["tools"]] == ["order_status", "time"]
    assert first["tools"][1]["function"]["parameters"] == {"type": "object", "properties": {}}
    assert {"tool_choice", "parallel_tool_calls"}.isdisjoint(first)
    assert first == second


async def test_calls_and_results_are_sent_as_the_sdk_has_them() -> None:
    (body,) = (await ask(GOOD, prompt=AFTER_CALLS)).bodies
    check_body(CompletionCreateParamsStreaming, body)
    assert chat_refusal(body) is None
    assert body["messages"][-1]["role"] == "tool"


async def test_without_tools_none_are_named() -> None:
    (body,) = (await ask(GOOD, prompt=replace(PROMPT, tools=()))).bodies
    assert {"tools", "tool_choice"}.isdisjoint(body)


# --- what comes --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "end", [event(finish_reason="tool_calls"), event(finish_reason="stop"), DONE]
)
async def test_calls_come_last_after_any_whole_end(end: str) -> None:
    asked = await ask(stream(event("One moment."), called(entry(arguments='{"order":"A-1"}')), end))
    assert asked.text == "One moment."
    assert asked.calls is not None
    (call,) = asked.calls.calls
    assert (call.name, call.arguments, call.id) == ("time", '{"order":"A-1"}', "c1")
    assert asked.calls.model == MODEL


async def test_calls_of_an_answer_that_does_not_stream_are_calls() -> None:
    message = {"content": None, "tool_calls": [entry()]}
    whole = json.dumps({"choices": [{"message": message, "finish_reason": "tool_calls"}]})
    assert (await ask(plain("200 OK", whole))).calls is not None


async def test_the_older_function_call_is_a_call() -> None:
    delta = {"function_call": {"name": "time", "arguments": "{}"}}
    chunk = {"choices": [{"delta": delta, "finish_reason": "function_call"}]}
    asked = await ask(stream(f"data: {json.dumps(chunk)}\n\n", DONE))
    assert asked.calls is not None
    assert asked.calls.calls[0].name == "time"


async def test_what_the_model_thought_is_kept_and_not_said() -> None:
    thought = [{"choices": [{"delta": {"reasoning_content": each}}]} for each in ("Hm", ", yes.")]
    events = [f"data: {json.dumps(each)}\n\n" for each in thought]
    asked = await ask(stream(*events, CALL, DONE))
    assert asked.text == ""
    assert asked.calls is not None
    assert asked.calls.extra == {"reasoning_content": "Hm, yes."}


async def test_of_a_long_thought_as_much_is_kept_as_a_record_holds() -> None:
    thought = {"choices": [{"delta": {"reasoning_content": "Hm. " * 20_000}}]}
    asked = await ask(stream(f"data: {json.dumps(thought)}\n\n", CALL, DONE))
    assert asked.calls is not None
    assert len(asked.calls.extra["reasoning_content"]) == MAX_THOUGHT_CHARS


async def test_a_cut_stream_runs_nothing() -> None:
    assert await reason(stream(CALL, then="end")) == ("unavailable", "connection_lost")
    assert await reason(stream(CALL, then="cut")) == ("unavailable", "connection_lost")


async def test_calls_within_a_limit_or_a_filter_do_not_run() -> None:
    assert await reason(stream(CALL, event(finish_reason="length"))) == ("empty", "length")
    spoken = stream(event("One moment."), CALL, event(finish_reason="length"))
    assert await reason(spoken) == ("empty", "length")
    assert await reason(stream(CALL, event(finish_reason="content_filter"))) == (
        "filtered",
        "filter",
    )


async def test_when_no_tool_may_be_called_the_text_counts() -> None:
    prompt = replace(PROMPT, may_call=False)
    asked = await ask(stream(event("It is noon."), CALL, DONE), prompt=prompt)
    assert (asked.text, asked.calls) == ("It is noon.", None)
    assert asked.bodies[0]["tool_choice"] == "none"
    assert asked.bodies[0]["tools"]
    assert await reason(stream(CALL, DONE), prompt=prompt) == ("empty", "empty")


async def test_a_call_without_a_name_is_none() -> None:
    assert await reason(stream(called({"index": 0}), DONE)) == ("empty", "empty")


# --- call syntax is not spoken ------------------------------------------------------------


async def test_a_call_as_text_beside_the_call_is_not_spoken() -> None:
    asked = await ask(stream(called(entry(), content='{"name": "time"}'), DONE))
    assert asked.text == ""
    assert asked.calls is not None


async def test_text_beside_a_call_is_spoken_and_text_after_it_is_not() -> None:
    asked = await ask(stream(called(entry(), content="One moment."), event("time()"), DONE))
    assert asked.text == "One moment."
    assert asked.calls is not None


async def test_a_leaked_call_is_asked_for_once_more() -> None:
    asked = await ask(LEAK, stream(CALL, DONE))
    assert asked.text == ""
    assert asked.calls is not None
    assert len(asked.bodies) == 2
    assert [name for name, _ in asked.log] == ["leaked_call"]
    assert asked.log[0][1].keys() == {"provider", "host", "times"}, "no word of the model's"


async def test_a_call_that_leaks_again_fails_the_round() -> None:
    asked = await ask(LEAK)
    assert asked.error is not None
    assert (asked.error.kind, asked.error.cause.reason) == ("invalid", "leaked_call")
    assert (asked.text, len(asked.bodies), asked.events) == ("", 2, ["leaked_call"] * 2)


async def test_a_call_that_leaks_after_words_fails_the_round_and_is_not_spoken() -> None:
    asked = await ask(stream(event("One moment. "), event("<tool_call>{}"), DONE))
    assert asked.error is not None
    assert asked.error.cause.reason == "leaked_call"
    assert (asked.text, len(asked.bodies)) == ("One moment. ", 1)


async def test_without_tools_nothing_is_held_back() -> None:
    asked = await ask(LEAK, prompt=replace(PROMPT, tools=()))
    assert asked.pieces[0] == '<tool_call>{"name": "time"}'


# --- what servers refuse ------------------------------------------------------------------


@pytest.mark.parametrize(
    "refusal",
    [
        plain("400 Bad Request", BAD_CALL),
        stream(f"event: error\ndata: {BAD_CALL}\n\n"),
        stream(f"data: {BAD_CALL}\n\n"),
        plain("400 Bad Request", '{"error": {"message": "tool x was not in request.tools"}}'),
        plain("500 Internal Server Error", '{"error": {"message": "error parsing tool call: x"}}'),
    ],
)
async def test_a_call_that_the_server_cannot_read_is_asked_for_again_then_without_tools(
    refusal: Answer,
) -> None:
    asked = await ask(refusal, stream(CALL, DONE))
    assert asked.calls is not None
    asked = await ask(refusal, refusal, GOOD, prompt=AFTER_CALLS)
    assert asked.text == "Hi."
    assert ["tools" in body for body in asked.bodies] == [True, True, False]
    assert "tool_calls" not in json.dumps(asked.bodies[2])
    assert asked.events == ["bad_call", "bad_call"]


async def test_a_call_that_cannot_be_read_after_words_fails_the_round() -> None:
    refusal = stream(event("One moment."), f"data: {BAD_CALL}\n\n")
    assert await reason(refusal) == ("invalid", "bad_call")


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ("400 Bad Request", "registry.ollama.ai/library/gemma:2b does not support tools"),
        (
            "400 Bad Request",
            '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser',
        ),
        ("404 Not Found", "No endpoints found that support tool use."),
        ("500 Internal Server Error", "tools param requires --jinja flag"),
        ("400 Bad Request", "This model doesn't support tool use in streaming mode."),
    ],
)
async def test_a_server_that_takes_no_tools_is_asked_without_from_then_on(
    status: str, message: str
) -> None:
    refusal = plain(status, json.dumps({"error": {"message": message}}))
    asked = await ask(refusal, GOOD, times=2)
    assert asked.text == "Hi."
    assert ["tools" in body for body in asked.bodies] == [True, False, False]
    assert asked.events == ["tools_refused"]
    assert "--jinja" in asked.log[0][1]["advice"]


async def test_a_conversation_whose_calls_are_refused_goes_on_without_them_and_keeps_tools() -> (
    None
):
    refusal = plain("400 Bad Request", '{"error": {"message": "tool_call_id has no response"}}')
    asked = await ask(refusal, GOOD, prompt=AFTER_CALLS, times=2)
    assert ["tools" in body for body in asked.bodies] == [True, False, True]


async def test_a_server_that_takes_no_null_is_sent_empty_text() -> None:
    refusal = plain("400 Bad Request", '{"error": {"message": "content must be a string"}}')
    asked = await ask(refusal, GOOD, prompt=AFTER_CALLS, times=2)
    contents = [body["messages"][2]["content"] for body in asked.bodies]
    assert contents == [None, "", ""]
    assert asked.events == ["null_content_refused"]


async def test_a_server_that_wants_thoughts_is_sent_blank_ones() -> None:
    message = "thinking is enabled but reasoning_content is missing in assistant message"
    refusal = plain("400 Bad Request", json.dumps({"error": {"message": message}}))
    asked = await ask(refusal, GOOD, prompt=AFTER_CALLS, times=2)
    thoughts = [body["messages"][2].get("reasoning_content") for body in asked.bodies]
    assert thoughts == [None, " ", " "]
    assert asked.events == ["thought_wanted"]


@pytest.mark.parametrize(
    ("status", "message"),
    [("400 Bad Request", "no such model"), ("500 Internal Server Error", "the tool server died")],
)
async def test_another_refusal_is_an_error(status: str, message: str) -> None:
    refusal = plain(status, json.dumps({"error": {"message": message}}))
    asked = await ask(refusal)
    assert asked.error is not None
    assert len(asked.bodies) == 1


@pytest.mark.parametrize(
    ("model", "wanted", "told"),
    [
        ("gpt-5.6", "none", ["none"]),
        ("gpt-5.6", "model", [None, "none"]),
        ("gpt-5.4-mini", "high", ["high", "none"]),
        ("gpt-5.4-mini", "minimal", ["low", "none"]),
        ("a-deployment", "none", [None, "none"]),
    ],
)
async def test_a_model_that_takes_tools_with_no_effort_is_told_none(
    model: str, wanted: str, told: list[str | None]
) -> None:
    message = (
        f"Function tools with reasoning_effort are not supported for {model} in "
        "/v1/chat/completions. Please use /v1/responses instead."
    )
    refusal = plain("400 Bad Request", json.dumps({"error": {"message": message}}))
    answers = [refusal] * (len(told) - 1)
    asked = await ask(*answers, stream(CALL, DONE), LLM_MODEL=model, REASONING_EFFORT=wanted)
    assert asked.calls is not None
    assert [body.get("reasoning_effort") for body in asked.bodies] == told
    assert asked.events == ["reasoning_effort_refused"] * len(answers)
