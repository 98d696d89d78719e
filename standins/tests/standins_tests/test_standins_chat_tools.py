"""Tools at the chat stand-in: the official SDK's own accumulator, what is refused, the quirks."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from parley_standins.__main__ import serve_app
from parley_standins.faults import ChatSettings
from parley_standins.openai_chat import chat_app
from standins_tests.conftest import KEY
from standins_tests.tool_offers import BOOKED, CHAT_TOOLS

TWO_ORDERS = "Where are order A-123 and order B-7?"
CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "book_table", "arguments": '{"people": 2, "time": "20:00"}'},
}
ASKED: list[Any] = [{"role": "user", "content": "Book a table for two at eight."}]
CALLED: list[Any] = [*ASKED, {"role": "assistant", "content": None, "tool_calls": [CALL]}]
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": BOOKED}
ANSWERED: list[Any] = [*CALLED, RESULT]


class Chat:
    """The stand-in and its control API."""

    def __init__(self, url: str, http: httpx.AsyncClient) -> None:
        self.url = url
        self.http = http

    async def put(self, **settings: Any) -> None:
        (await self.http.put(f"{self.url}/_control", json=settings)).raise_for_status()

    async def quirk(self, **quirks: Any) -> None:
        await self.put(faults={"tools": quirks})

    async def ask(self, messages: list[Any] = ASKED, **changes: Any) -> httpx.Response:
        body = {"model": "standin", "messages": messages, "tools": CHAT_TOOLS, **changes}
        body = {name: value for name, value in body.items() if value is not None}
        headers = {"Authorization": f"Bearer {KEY}"}
        url = f"{self.url}/v1/chat/completions"
        return await self.http.post(url, json=body, headers=headers)

    async def stream(self, said: str, **changes: Any) -> list[dict[str, Any]]:
        """The choices of a stream."""
        messages = [{"role": "user", "content": said}]
        answer = await self.ask(messages, stream=True, **changes)
        lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: {")]
        return [json.loads(line)["choices"][0] for line in lines]

    async def refusals(self) -> dict[str, int]:
        answer = await self.http.get(f"{self.url}/_refusals")
        return dict(answer.json()["refusals"])


@pytest.fixture
async def chat() -> AsyncIterator[Chat]:
    app = chat_app(KEY, ChatSettings())
    async with serve_app(app, "127.0.0.1", 0) as url, httpx.AsyncClient() as http:
        yield Chat(url, http)


@contextlib.asynccontextmanager
async def sdk(chat: Chat) -> AsyncIterator[Any]:
    from openai import AsyncOpenAI

    async with AsyncOpenAI(base_url=f"{chat.url}/v1", api_key=KEY, max_retries=0) as client:
        yield client


async def streamed(client: Any, messages: list[Any]) -> Any:
    """The completion that the SDK makes of a stream."""
    async with client.chat.completions.stream(
        model="standin", messages=messages, tools=CHAT_TOOLS
    ) as stream:
        return await stream.get_final_completion()


def pieces(choices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [piece for choice in choices for piece in choice["delta"].get("tool_calls", [])]


def words(choices: list[dict[str, Any]]) -> str:
    return "".join(choice["delta"].get("content") or "" for choice in choices)


async def test_the_sdk_puts_together_parallel_calls_and_their_results(chat: Chat) -> None:
    async with sdk(chat) as client:
        asked: list[Any] = [{"role": "user", "content": TWO_ORDERS}]
        choice = (await streamed(client, asked)).choices[0]
        calls = choice.message.tool_calls
        assert [json.loads(call.function.arguments) for call in calls] == [
            {"order": "A-123"},
            {"order": "B-7"},
        ]
        assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
        results = [
            {"role": "tool", "tool_call_id": call.id, "content": '{"status": "on its way"}'}
            for call in calls
        ]
        echoed = choice.message.to_dict(exclude_unset=False)
        kept = {name: echoed[name] for name in ("role", "content", "tool_calls")}
        end = (await streamed(client, [*asked, kept, *results])).choices[0]
    assert end.message.content == "Order A-123 is on its way. Order B-7 is on its way."
    assert end.finish_reason == "stop"
    assert await chat.refusals() == {}


async def test_arguments_come_in_fragments(chat: Chat) -> None:
    found = pieces(await chat.stream("Book a table for two at eight."))
    assert len(found) > 4
    assert all(list(piece) == ["index", "function"] for piece in found[1:])


async def test_a_whole_answer_has_the_calls(chat: Chat) -> None:
    choice = (await chat.ask()).json()["choices"][0]
    (call,) = choice["message"]["tool_calls"]
    assert call["function"] == CALL["function"]
    assert "index" not in call


async def test_without_tools_nothing_is_called(chat: Chat) -> None:
    choice = (await chat.ask(tools=None)).json()["choices"][0]
    assert "tool_calls" not in choice["message"]
    assert choice["finish_reason"] == "stop"


def changed(messages: list[Any], at: int, **fields: Any) -> list[Any]:
    """Messages in which one has other fields; None takes a field out."""
    made = copy.deepcopy(messages)
    made[at] = {k: v for k, v in {**made[at], **fields}.items() if v != "-"}
    return made


def with_schema(schema: Any) -> list[Any]:
    return [{"type": "function", "function": {"name": "x", "parameters": schema}}]


@pytest.mark.parametrize(
    ("messages", "changes", "reason"),
    [
        (CALLED, {}, "call_without_result"),
        ([*CALLED, {"role": "user", "content": "Hello"}, RESULT], {}, "call_without_result"),
        (changed(ANSWERED, 2, tool_call_id="call_2"), {}, "result_without_call"),
        ([*ANSWERED, RESULT], {}, "result_without_call"),
        ([*ASKED, RESULT], {}, "result_out_of_place"),
        ([*ANSWERED, {"role": "user", "content": "Hi"}, RESULT], {}, "result_out_of_place"),
        (changed(ANSWERED, 1, tool_calls=[CALL, CALL]), {}, "duplicate_id"),
        (changed(ANSWERED, 1, tool_calls=[]), {}, "empty_tool_calls"),
        ([*ASKED, {"role": "assistant", "content": None}, *ASKED], {}, "content"),
        (changed(ANSWERED, 2, content=""), {}, "result"),
        (changed(ANSWERED, 1, tool_calls=[{**CALL, "id": ""}]), {}, "call"),
        (
            changed(ANSWERED, 1, tool_calls=[{**CALL, "function": {"name": "x", "arguments": {}}}]),
            {},
            "call",
        ),
        (ASKED, {"tools": []}, "empty_tools"),
        (ASKED, {"tools": [*CHAT_TOOLS, CHAT_TOOLS[0]]}, "duplicate_tool"),
        (ASKED, {"tools": with_schema({"type": "string"})}, "schema"),
        (ASKED, {"tools": with_schema("x")}, "schema"),
        (ASKED, {"tools": with_schema({"type": "object"})}, "schema"),
        (
            ASKED,
            {"tools": with_schema({"type": "object", "properties": {}, "required": ["a"]})},
            "schema",
        ),
        (ASKED, {"tools": [{"type": "function", "function": {"name": "a.b"}}]}, "tool_name"),
        (ASKED, {"tool_choice": "any"}, "tool_choice"),
        (ASKED, {"tool_choice": "auto", "tools": None}, "tool_choice"),
        (ASKED, {"parallel_tool_calls": True, "tools": None}, "tool_choice"),
        (
            ASKED,
            {"tool_choice": {"type": "function", "function": {"name": "unknown"}}},
            "tool_choice",
        ),
    ],
)
async def test_a_request_that_real_endpoints_refuse_is_refused_and_counted(
    chat: Chat, messages: list[Any], changes: dict[str, Any], reason: str
) -> None:
    answer = await chat.ask(messages, **changes)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert await chat.refusals() == {reason: 1}
    await chat.http.delete(f"{chat.url}/_refusals")
    assert await chat.refusals() == {}


async def test_a_message_with_calls_need_not_have_content(chat: Chat) -> None:
    # The API's reference: "Required unless `tool_calls` or `function_call` is specified."
    answer = await chat.ask(changed(ANSWERED, 1, content="-"))
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("oddity", "messages", "reason"),
    [
        ("thought_signature", ANSWERED, "missing_thought_signature"),
        ("reasoning_content", ANSWERED, "missing_reasoning_content"),
        ("short_ids", ANSWERED, "id"),
        ("no_user_after_results", [*ANSWERED, *ASKED], "user_after_results"),
    ],
)
async def test_an_endpoint_may_refuse_what_others_take(
    chat: Chat, oddity: str, messages: list[Any], reason: str
) -> None:
    assert (await chat.ask(messages)).status_code == 200
    is_flag = oddity in ("short_ids", "no_user_after_results")
    await chat.put(oddities={oddity: True} if is_flag else {"must_echo": oddity})
    assert (await chat.ask(messages)).status_code == 400
    assert await chat.refusals() == {reason: 1}


async def test_tools_may_go_with_no_effort_alone(chat: Chat) -> None:
    await chat.put(oddities={"no_tools_with_effort": True})
    assert (await chat.ask()).status_code == 400
    assert (await chat.ask(reasoning_effort="low")).status_code == 400
    assert (await chat.ask(reasoning_effort="none")).status_code == 200
    assert (await chat.ask(tools=None, reasoning_effort="low")).status_code == 200


@pytest.mark.parametrize("field", ["thought_signature", "reasoning_content"])
async def test_what_has_to_come_back_is_given_with_the_calls(chat: Chat, field: str) -> None:
    await chat.put(oddities={"must_echo": field})
    message = (await chat.ask()).json()["choices"][0]["message"]
    assert field in json.dumps(message)
    result = {**RESULT, "tool_call_id": message["tool_calls"][0]["id"]}
    assert (await chat.ask([*ASKED, message, result])).status_code == 200
    assert field in json.dumps(await chat.stream("Book a table for two at eight."))


async def test_strict_roles_count_calls_and_results_to_the_assistants_turn(chat: Chat) -> None:
    await chat.put(oddities={"strict_roles": True})
    assert (await chat.ask(ANSWERED)).status_code == 200
    told = {"role": "assistant", "content": "Done."}
    assert (await chat.ask([*ANSWERED, told, *ASKED])).status_code == 200
    assert (await chat.ask([*ANSWERED, *ASKED])).status_code == 400


async def test_one_chunk_has_a_whole_call(chat: Chat) -> None:
    await chat.quirk(one_chunk=True)
    found = pieces(await chat.stream(TWO_ORDERS))
    assert [json.loads(piece["function"]["arguments"])["order"] for piece in found] == [
        "A-123",
        "B-7",
    ]


async def test_ids_and_indexes_may_be_missing_or_the_same(chat: Chat) -> None:
    await chat.quirk(one_chunk=True, no_id=True, no_index=True)
    found = pieces(await chat.stream(TWO_ORDERS))
    assert len(found) == 2
    assert not any("id" in piece or "index" in piece for piece in found)
    await chat.quirk(same_index=True)
    found = pieces(await chat.stream(TWO_ORDERS))
    assert {piece["index"] for piece in found} == {0}
    assert len({piece["id"] for piece in found if "id" in piece}) == 2


async def test_arguments_may_be_an_object_or_missing(chat: Chat) -> None:
    await chat.quirk(dict_arguments=True)
    (call,) = pieces(await chat.stream("Book a table for two at eight."))
    assert call["function"]["arguments"] == {"people": 2, "time": "20:00"}
    await chat.quirk(no_arguments=True)
    (call,) = pieces(await chat.stream("Hold on."))
    assert call["function"] == {"name": "skip_turn"}


async def test_arguments_may_be_cut(chat: Chat) -> None:
    await chat.quirk(cut_arguments=True)
    choices = await chat.stream("Book a table for two at eight.")
    arguments = "".join(piece["function"]["arguments"] for piece in pieces(choices))
    with pytest.raises(ValueError, match=r"."):
        json.loads(arguments)
    assert choices[-1]["finish_reason"] == "length"


@pytest.mark.parametrize("end", ["stop", "length", "content_filter", "missing"])
async def test_the_end_may_be_another_or_missing(chat: Chat, end: str) -> None:
    await chat.quirk(end=end)
    choices = await chat.stream("Hold on.")
    assert pieces(choices)
    assert choices[-1]["finish_reason"] == (None if end == "missing" else end)


async def test_words_may_stand_around_the_calls(chat: Chat) -> None:
    await chat.quirk(text_before="Let me see.", text_after="Done!")
    choices = await chat.stream("Hold on.")
    at = next(i for i, choice in enumerate(choices) if "tool_calls" in choice["delta"])
    assert words(choices[:at]) == "Let me see."
    assert words(choices[at:]) == "Done!"


async def test_calls_may_leak_as_text(chat: Chat) -> None:
    await chat.quirk(leaked=True)
    choices = await chat.stream("Hold on.")
    assert words(choices).startswith('<tool_call>\n{"name": "skip_turn"')
    assert (pieces(choices), choices[-1]["finish_reason"]) == ([], "stop")


async def test_a_call_may_fail_within_the_model(chat: Chat) -> None:
    await chat.quirk(failed="status")
    answer = await chat.ask(stream=True)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "tool_use_failed")
    await chat.quirk(failed="event")
    answer = await chat.ask(stream=True)
    assert answer.status_code == 200
    assert "tool_use_failed" in answer.text
    assert await chat.refusals() == {}


async def test_tools_may_be_refused_in_ollamas_words(chat: Chat) -> None:
    await chat.quirk(refused=True)
    answer = await chat.ask([{"role": "user", "content": "Hello."}])
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].endswith("does not support tools")
    assert await chat.refusals() == {}


async def test_a_choice_of_no_tool_may_be_ignored(chat: Chat) -> None:
    assert pieces(await chat.stream("Hold on.", tool_choice="none")) == []
    await chat.quirk(ignores_none=True)
    assert pieces(await chat.stream("Hello.", tool_choice="none"))


async def test_ids_may_be_the_same_in_every_turn(chat: Chat) -> None:
    await chat.put(oddities={"repeats_ids": True})
    ids = [pieces(await chat.stream(said))[0]["id"] for said in ("Hold on.", "Wait a moment.")]
    assert ids == ["functions.skip_turn:0"] * 2


async def test_a_quirk_waits_for_a_call_and_is_over_after_its_times(chat: Chat) -> None:
    await chat.quirk(end="stop", times=2)
    await chat.stream("Hello.")
    ends = [(await chat.stream("Hold on."))[-1]["finish_reason"] for _ in range(3)]
    assert ends == ["stop", "stop", "tool_calls"]
    await chat.quirk(end="stop", times="always")
    ends = [(await chat.stream("Hold on."))[-1]["finish_reason"] for _ in range(2)]
    assert ends == ["stop", "stop"]
