"""Tools at Claude's stand-in: the official SDK's own accumulator, what is refused, the quirks."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from parley_standins import anthropic_app, bedrock_app
from parley_standins.__main__ import serve_app
from standins_tests.conftest import KEY
from standins_tests.tool_offers import BOOKED, CLAUDE_TOOLS

MODEL = "claude-haiku-5-5"
CALL = {
    "type": "tool_use",
    "id": "toolu_1",
    "name": "book_table",
    "input": {"people": 2, "time": "20:00"},
}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": BOOKED}
TEXT = {"type": "text", "text": "And now?"}
ASKED: list[Any] = [{"role": "user", "content": "Book a table for two at eight."}]
CALLED: list[Any] = [*ASKED, {"role": "assistant", "content": [CALL]}]
ANSWERED: list[Any] = [*CALLED, {"role": "user", "content": [RESULT]}]
GOES_ON = [{"role": "assistant", "content": "Done."}, *ASKED]


class Claude:
    """The stand-in and its control API."""

    def __init__(self, url: str, http: httpx.AsyncClient) -> None:
        self.url = url
        self.http = http

    async def put(self, **settings: Any) -> None:
        (await self.http.put(f"{self.url}/_control", json=settings)).raise_for_status()

    async def ask(
        self, messages: list[Any] = ASKED, path: str = "/v1/messages", **changes: Any
    ) -> httpx.Response:
        body = {"model": MODEL, "max_tokens": 100, "messages": messages, "tools": CLAUDE_TOOLS}
        body = {name: value for name, value in {**body, **changes}.items() if value is not None}
        headers = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
        return await self.http.post(f"{self.url}{path}", json=body, headers=headers)

    async def refusals(self) -> dict[str, int]:
        answer = await self.http.get(f"{self.url}/_refusals")
        return dict(answer.json()["refusals"])


@pytest.fixture
async def claude() -> AsyncIterator[Claude]:
    app = anthropic_app.build_app(KEY)
    async with serve_app(app, "127.0.0.1", 0) as url, httpx.AsyncClient() as http:
        yield Claude(url, http)


@contextlib.asynccontextmanager
async def sdk(claude: Claude) -> AsyncIterator[Any]:
    from anthropic import AsyncAnthropic

    async with AsyncAnthropic(base_url=claude.url, api_key=KEY, max_retries=0) as client:
        yield client


async def streamed(client: Any, messages: list[Any]) -> Any:
    """The message that the SDK makes of a stream."""
    async with client.messages.stream(
        model=MODEL, max_tokens=100, messages=messages, tools=CLAUDE_TOOLS
    ) as stream:
        return await stream.get_final_message()


async def test_the_sdk_puts_together_parallel_calls_and_their_results(claude: Claude) -> None:
    asked: list[Any] = [{"role": "user", "content": "Where are order A-123 and order B-7?"}]
    async with sdk(claude) as client:
        message = await streamed(client, asked)
        assert [call.input for call in message.content] == [{"order": "A-123"}, {"order": "B-7"}]
        assert message.stop_reason == "tool_use"
        results = [
            {"type": "tool_result", "tool_use_id": call.id, "content": '{"status": "packed"}'}
            for call in message.content
        ]
        calls = [call.to_dict(mode="json") for call in message.content]
        kept = [{k: call[k] for k in ("type", "id", "name", "input")} for call in calls]
        echoed = {"role": "assistant", "content": kept}
        end = await streamed(client, [*asked, echoed, {"role": "user", "content": results}])
    assert end.content[0].text == "Order A-123 is packed. Order B-7 is packed."
    assert end.stop_reason == "end_turn"
    assert await claude.refusals() == {}


async def test_a_whole_message_has_the_call(claude: Claude) -> None:
    (call,) = (await claude.ask()).json()["content"]
    assert (call["name"], call["input"]) == (CALL["name"], CALL["input"])


async def test_a_result_says_by_a_flag_that_it_failed(claude: Claude) -> None:
    failed = {**RESULT, "content": "No table is free.", "is_error": True}
    answer = await claude.ask([*CALLED, {"role": "user", "content": [failed]}])
    text = answer.json()["content"][0]["text"]
    assert text == "I'm sorry, the booking didn't work. No table is free."


async def test_bedrock_calls_tools_of_both_apis() -> None:
    app = bedrock_app.build_app(KEY)
    async with serve_app(app, "127.0.0.1", 0) as url, httpx.AsyncClient() as http:
        bedrock = Claude(url, http)
        model = "global.anthropic.claude-haiku-5-5"
        answer = await bedrock.ask(path="/anthropic/v1/messages", model=model)
        assert answer.json()["stop_reason"] == "tool_use"
        await bedrock.put(faults={"tools": {"end": "stop"}})
        answer = await bedrock.ask(path="/anthropic/v1/messages", model=model)
        assert answer.json()["stop_reason"] == "end_turn"
        refused = await bedrock.ask(path="/anthropic/v1/messages", model=model, tools=[])
        assert (refused.status_code, await bedrock.refusals()) == (400, {"empty_tools": 1})


def changed(messages: list[Any], at: int, **fields: Any) -> list[Any]:
    made = copy.deepcopy(messages)
    made[at] = {**made[at], **fields}
    return made


def with_schema(schema: Any) -> list[Any]:
    return [{"name": "x", "input_schema": schema}]


@pytest.mark.parametrize(
    ("messages", "changes", "reason"),
    [
        ([*CALLED, *ASKED], {}, "call_without_result"),
        ([*CALLED, *GOES_ON], {}, "call_without_result"),
        (changed(ANSWERED, 2, content=[{**RESULT, "tool_use_id": "x"}]), {}, "result_without_call"),
        ([*ASKED, *GOES_ON[:1], ANSWERED[2]], {}, "result_without_call"),
        (changed(ANSWERED, 2, content=[RESULT, RESULT]), {}, "duplicate_result"),
        (changed(ANSWERED, 2, content=[TEXT, RESULT]), {}, "result_out_of_place"),
        (changed(ANSWERED, 1, content=[CALL, CALL]), {}, "duplicate_id"),
        (changed(ANSWERED, 1, content=[{**CALL, "input": "{}"}]), {}, "call"),
        (changed(ANSWERED, 1, content=[{**CALL, "id": "functions.x:0"}]), {}, "id"),
        (changed(ANSWERED, 1, content=[]), {}, "content"),
        ([*ASKED, {"role": "assistant"}, *ASKED], {}, "content"),
        (ANSWERED, {"tools": None}, "no_tools"),
        (ASKED, {"tools": []}, "empty_tools"),
        (ASKED, {"tools": [*CLAUDE_TOOLS, CLAUDE_TOOLS[0]]}, "duplicate_tool"),
        (ASKED, {"tools": with_schema({"type": "string"})}, "schema"),
        (ASKED, {"tools": with_schema(None)}, "schema"),
        (ASKED, {"tools": [{"name": "a.b", "input_schema": {"type": "object"}}]}, "tool_name"),
        (ASKED, {"tools": [{**CLAUDE_TOOLS[0], "function": {}}]}, "tools"),
        (ASKED, {"tool_choice": {"type": "required"}}, "tool_choice"),
        (ASKED, {"tool_choice": "auto"}, "tool_choice"),
        (ASKED, {"tool_choice": {"type": "tool", "name": "unknown"}}, "tool_choice"),
        (ASKED, {"tool_choice": {"type": "auto"}, "tools": None}, "tool_choice"),
    ],
)
async def test_a_request_that_anthropic_refuses_is_refused_and_counted(
    claude: Claude, messages: list[Any], changes: dict[str, Any], reason: str
) -> None:
    answer = await claude.ask(messages, **changes)
    assert (answer.status_code, answer.json()["type"]) == (400, "error")
    assert await claude.refusals() == {reason: 1}


async def test_words_may_follow_the_results(claude: Claude) -> None:
    answer = await claude.ask(changed(ANSWERED, 2, content=[RESULT, TEXT]))
    assert answer.status_code == 200


async def test_a_thought_may_have_to_come_back_with_its_call(claude: Claude) -> None:
    await claude.put(oddities={"must_echo_thinking": True})
    assert (await claude.ask(ANSWERED)).status_code == 400
    assert await claude.refusals() == {"missing_thinking": 1}
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "EqQBCgIYAhIM"}
    assert (await claude.ask(changed(ANSWERED, 1, content=[thought, CALL]))).status_code == 200
    assert (await claude.ask([*ANSWERED, *GOES_ON])).status_code == 200


async def test_a_choice_forbids_or_forces_a_call(claude: Claude) -> None:
    none = await claude.ask(tool_choice={"type": "none"})
    assert none.json()["stop_reason"] == "end_turn"
    hello: list[Any] = [{"role": "user", "content": "Hello."}]
    forced = await claude.ask(hello, tool_choice={"type": "tool", "name": "skip_turn"})
    assert forced.json()["content"][0]["name"] == "skip_turn"


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    lines = answer.text.splitlines()
    return [json.loads(line[6:]) for line in lines if line.startswith("data: ")]


@pytest.mark.parametrize(
    ("quirk", "stop_reason", "kinds"),
    [
        ({"end": "stop"}, "end_turn", ["tool_use"]),
        ({"end": "length"}, "max_tokens", ["tool_use"]),
        ({"end": "missing"}, None, ["tool_use"]),
        ({"cut_arguments": True}, "max_tokens", ["tool_use"]),
        (
            {"text_before": "Let me see.", "text_after": "Done!"},
            "tool_use",
            ["text", "tool_use", "text"],
        ),
    ],
)
async def test_a_stream_may_end_or_go_on_otherwise(
    claude: Claude, quirk: dict[str, Any], stop_reason: str | None, kinds: list[str]
) -> None:
    await claude.put(faults={"tools": quirk})
    found = events(await claude.ask(stream=True))
    begun = [event["content_block"]["type"] for event in found if "content_block" in event]
    ends = [event["delta"]["stop_reason"] for event in found if event["type"] == "message_delta"]
    arguments = "".join(event.get("delta", {}).get("partial_json", "") for event in found)
    assert begun == kinds
    assert ends == ([stop_reason] if stop_reason else [])
    assert arguments.endswith("}") is ("cut_arguments" not in quirk)


async def test_tools_may_be_refused_and_none_be_ignored(claude: Claude) -> None:
    await claude.put(faults={"tools": {"refused": True}})
    assert (await claude.ask()).status_code == 400
    assert await claude.refusals() == {}
    await claude.put(faults={"tools": {"ignores_none": True}})
    answer = await claude.ask(ANSWERED, tool_choice={"type": "none"})
    assert answer.json()["stop_reason"] == "tool_use"


async def test_ids_may_be_the_same_in_every_turn(claude: Claude) -> None:
    await claude.put(oddities={"repeats_ids": True})
    ids = [(await claude.ask()).json()["content"][0]["id"] for _ in range(2)]
    assert ids == ["book_table_0"] * 2
