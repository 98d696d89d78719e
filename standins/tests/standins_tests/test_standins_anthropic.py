"""Claude's stand-in, at Anthropic and on Bedrock, with the official SDKs: the contract that both
keep. Importing them takes seconds, so each test that needs one does it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from aiohttp import web

from parley_standins import anthropic_app, bedrock_app
from parley_standins.__main__ import serve_app
from standins_tests.conftest import KEY

MODEL = "claude-haiku-5-5"
HELLO: list[Any] = [{"role": "user", "content": "Say hello to everybody."}]
BUILDERS: dict[str, Callable[[str], web.Application]] = {
    "anthropic": anthropic_app.build_app,
    "bedrock": bedrock_app.build_app,
}


class Standin:
    """One stand-in and its control API."""

    def __init__(self, url: str, http: httpx.AsyncClient) -> None:
        self.url = url
        self.http = http

    async def put(self, **settings: Any) -> None:
        (await self.http.put(f"{self.url}/_control", json=settings)).raise_for_status()

    async def records(self) -> list[dict[str, Any]]:
        return list((await self.http.get(f"{self.url}/_requests")).json()["requests"])

    async def ask(self, path: str = "/v1/messages", **changes: Any) -> httpx.Response:
        body = {"model": MODEL, "max_tokens": 100, "messages": HELLO, "stream": True, **changes}
        headers = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
        return await self.http.post(f"{self.url}{path}", json=body, headers=headers)


@contextlib.asynccontextmanager
async def serving(name: str) -> AsyncIterator[Standin]:
    async with serve_app(BUILDERS[name](KEY), "127.0.0.1", 0) as url, httpx.AsyncClient() as http:
        yield Standin(url, http)


@pytest.fixture
async def claude() -> AsyncIterator[Standin]:
    async with serving("anthropic") as found:
        yield found


@pytest.fixture
async def bedrock() -> AsyncIterator[Standin]:
    async with serving("bedrock") as found:
        yield found


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    lines = answer.text.splitlines()
    return [json.loads(line[6:]) for line in lines if line.startswith("data: ")]


def said(answer: httpx.Response) -> str:
    deltas = [event.get("delta", {}) for event in events(answer)]
    return "".join(delta.get("text", "") for delta in deltas)


@contextlib.asynccontextmanager
async def sdk(url: str, key: str = KEY, retries: int = 0) -> AsyncIterator[Any]:
    from anthropic import AsyncAnthropic

    async with AsyncAnthropic(base_url=url, api_key=key, max_retries=retries, timeout=20) as client:
        yield client


async def test_the_sdk_reads_a_reply(claude: Standin) -> None:
    async with (
        sdk(claude.url) as client,
        client.messages.stream(model=MODEL, max_tokens=100, messages=HELLO) as stream,
    ):
        text = "".join([text async for text in stream.text_stream])
        message = await stream.get_final_message()
    assert text == message.content[0].text
    assert "hello" in text.lower()
    assert (message.stop_reason, message.model) == ("end_turn", MODEL)
    (record,) = await claude.records()
    assert record["headers"]["Authorization"] == "(redacted)"


async def test_the_sdk_reads_a_thought_and_a_call(claude: Standin) -> None:
    await claude.put(oddities={"thinks": True, "calls_tool": True, "pings": 3})
    async with (
        sdk(claude.url) as client,
        client.messages.stream(model=MODEL, max_tokens=100, messages=HELLO) as stream,
    ):
        message = await stream.get_final_message()
    thought, call = message.content
    assert (thought.type, thought.signature) == ("thinking", "EqQBCgIYAhIM")
    assert (call.type, call.name, call.input) == ("tool_use", "get_time", {})
    assert message.stop_reason == "tool_use"


async def test_the_sdk_reads_a_whole_message_and_a_limit(claude: Standin) -> None:
    async with sdk(claude.url) as client:
        message = await client.messages.create(model=MODEL, max_tokens=1, messages=HELLO)
    assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 1)


async def test_the_sdk_reads_a_refusal(claude: Standin) -> None:
    await claude.put(oddities={"refuses": True})
    async with (
        sdk(claude.url) as client,
        client.messages.stream(model=MODEL, max_tokens=100, messages=HELLO) as stream,
    ):
        message = await stream.get_final_message()
    assert (message.stop_reason, message.content) == ("refusal", [])


async def test_the_sdk_sees_an_error_within_a_200(claude: Standin) -> None:
    from anthropic import APIStatusError

    await claude.put(faults={"llm": {"error_frame": "overloaded_error"}})
    async with sdk(claude.url) as client:
        with pytest.raises(APIStatusError) as raised:
            async with client.messages.stream(
                model=MODEL, max_tokens=100, messages=HELLO
            ) as stream:
                await stream.get_final_message()
    assert "overloaded_error" in str(raised.value.body)


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (402, "billing_error"),
        (404, "not_found_error"),
        (429, "rate_limit_error"),
        (529, "overloaded_error"),
    ],
)
async def test_the_sdk_sees_a_status(claude: Standin, status: int, name: str) -> None:
    from anthropic import APIStatusError

    await claude.put(faults={"llm": {"status": status, "retry_after": 3}})
    async with sdk(claude.url) as client:
        with pytest.raises(APIStatusError) as raised:
            await client.messages.create(model=MODEL, max_tokens=9, messages=HELLO)
    assert raised.value.status_code == status
    assert raised.value.body["error"]["type"] == name
    assert raised.value.response.headers["retry-after"] == "3"


async def test_the_sdk_asks_again_by_itself(claude: Standin) -> None:
    await claude.put(faults={"llm": {"status": 529}})
    async with sdk(claude.url, retries=1) as client:
        assert await client.messages.create(model=MODEL, max_tokens=9, messages=HELLO)
    assert [record["status"] for record in await claude.records()] == [529, 200]


async def test_the_sdk_lists_models_and_its_key_is_checked(claude: Standin) -> None:
    from anthropic import AuthenticationError, NotFoundError

    async with sdk(claude.url) as client:
        assert MODEL in [model.id async for model in client.models.list()]
        assert (await client.models.retrieve(MODEL)).id == MODEL
        with pytest.raises(NotFoundError):
            await client.models.retrieve("claude-none")
    async with sdk(claude.url, key="another") as client:
        with pytest.raises(AuthenticationError):
            await client.models.retrieve(MODEL)


REFUSED = [
    ({"temperature": 1.0}, None),  # which the older version takes
    ({"future": 1}, "future: Extra inputs are not permitted"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"messages": []}, "at least one message"),
    ({"messages": [{"role": "system", "content": "x"}]}, "role"),
    ({"messages": [{"role": "user", "content": " "}]}, "must be non-empty"),
    ({"messages": [{"role": "assistant", "content": "x"}, *HELLO]}, "first message"),
    ({"messages": [*HELLO, {"role": "assistant", "content": "x"}]}, "prefill"),
    ({"metadata": {"user_id": "x" * 257}}, "metadata.user_id"),
    ({"thinking": {"type": "disabled"}}, None),
    ({"thinking": {"type": "disabled"}, "model": "claude-opus-5-5"}, "thinking.type.disabled"),
    ({"thinking": {"type": "between_tools"}, "model": "claude-sonnet-5-5"}, None),
    ({"output_config": {"effort": "low"}}, None),
    ({"output_config": {"effort": "minimal"}}, "output_config.effort"),
    ({"output_config": {"effort": "low"}, "model": "claude-haiku-4-5"}, "effort parameter"),
]


@pytest.mark.parametrize(("changes", "refused"), REFUSED)
async def test_what_a_request_may_say(
    claude: Standin, changes: dict[str, Any], refused: str | None
) -> None:
    answer = await claude.ask(**changes)
    assert answer.status_code == (400 if refused else 200)
    if refused:
        error = answer.json()["error"]
        assert error["type"] == "invalid_request_error"
        assert refused in error["message"]


async def test_the_newer_version_takes_no_temperature(claude: Standin) -> None:
    from anthropic import BadRequestError

    async with sdk(claude.url) as client:
        with pytest.raises(BadRequestError, match="temperature"):
            await client.messages.create(
                model=MODEL, max_tokens=9, messages=HELLO, extra_body={"temperature": 1.0}
            )


async def test_a_thought_that_is_switched_off_is_none(claude: Standin) -> None:
    await claude.put(oddities={"thinks": True})
    kinds = [event["type"] for event in events(await claude.ask(thinking={"type": "disabled"}))]
    assert kinds.count("content_block_start") == 1
    kinds = [event["type"] for event in events(await claude.ask())]
    assert kinds.count("content_block_start") == 2


async def test_events_can_do_without_their_names(claude: Standin) -> None:
    named = await claude.ask()
    await claude.put(oddities={"unnamed_events": True})
    unnamed = await claude.ask()
    assert "event: message_stop" in named.text
    assert "event:" not in unnamed.text
    assert said(named) == said(unnamed) != ""


async def test_the_whole_conversation_counts(claude: Standin) -> None:
    history = [
        {"role": "user", "content": "My name is Alice."},
        {"role": "assistant", "content": "Hello, Alice."},
        {"role": "user", "content": [{"type": "text", "text": "What is my name?"}]},
    ]
    assert "Alice" in said(await claude.ask(messages=history, system="Be brief."))


async def test_a_reply_can_be_cut(claude: Standin) -> None:
    await claude.put(faults={"llm": {"cut": 2}})
    with pytest.raises(httpx.TransportError):
        await claude.ask()


# --- Bedrock ---------------------------------------------------------------------------


def role_key(**changes: Any) -> str:
    from aws_bedrock_token_generator.token_generator import _generate_token
    from botocore.credentials import Credentials

    credentials = Credentials("AKIDEXAMPLE", "secret", "token")
    return str(_generate_token(credentials, "eu-west-1", changes.get("expires", 900)))


async def test_the_sdk_for_bedrock_reads_a_reply(bedrock: Standin) -> None:
    from anthropic import AsyncAnthropicBedrockMantle

    async with (
        AsyncAnthropicBedrockMantle(
            base_url=f"{bedrock.url}/anthropic", api_key=role_key(), aws_region="eu-west-1"
        ) as client,
        client.messages.stream(
            model="eu.anthropic.claude-haiku-5-5", max_tokens=100, messages=HELLO
        ) as stream,
    ):
        assert "hello" in (await stream.get_final_text()).lower()


async def test_openais_provider_for_bedrock_reads_a_reply(bedrock: Standin) -> None:
    from openai import AsyncOpenAI
    from openai.providers import bedrock as provider

    async with AsyncOpenAI(
        provider=provider(base_url=f"{bedrock.url}/openai/v1", api_key=role_key())
    ) as client:
        answer = await client.chat.completions.create(
            model="openai.gpt-oss-20b-1:0", messages=HELLO
        )
    assert "hello" in str(answer.choices[0].message.content).lower()


async def test_bedrock_does_not_know_every_model(bedrock: Standin) -> None:
    answer = await bedrock.ask("/anthropic/v1/messages", model="claude-haiku-5-5")
    assert answer.status_code == 400


async def test_both_apis_of_bedrock_have_one_control(bedrock: Standin) -> None:
    await bedrock.put(oddities={"messages": {"refuses": True}, "chat": {"calls_tool": True}})
    answer = await bedrock.ask("/anthropic/v1/messages", model="eu.anthropic.claude-haiku-5-5")
    assert events(answer)[-2]["delta"]["stop_reason"] == "refusal"
    await bedrock.put(faults={"llm": {"status": 529}})
    headers = {"Authorization": f"Bearer {KEY}"}
    body = {"model": "qwen.x", "messages": HELLO}
    url = f"{bedrock.url}/openai/v1/chat/completions"
    assert (await bedrock.http.post(url, json=body, headers=headers)).status_code == 529
    answer = await bedrock.http.post(url, json=body, headers=headers)
    assert answer.json()["choices"][0]["finish_reason"] == "tool_calls"


def test_which_keys_bedrock_takes() -> None:
    now = datetime.now(UTC)
    key = role_key()
    assert bedrock_app.is_valid_key(key, KEY, now)
    assert bedrock_app.is_valid_key(KEY, KEY, now)
    assert not bedrock_app.is_valid_key(key, KEY, now + timedelta(seconds=901))
    for wrong in ("", "another", key[:-40], key.replace("bedrock-api-key-", ""), f"{key}é"):
        assert not bedrock_app.is_valid_key(wrong, KEY, now)


async def test_bedrock_refuses_another_key(bedrock: Standin) -> None:
    headers = {"Authorization": "Bearer another", "anthropic-version": "2023-06-01"}
    for path in ("anthropic/v1/messages", "openai/v1/chat/completions"):
        body = {"model": "x", "messages": HELLO}
        answer = await bedrock.http.post(f"{bedrock.url}/{path}", json=body, headers=headers)
        assert answer.status_code == 403
