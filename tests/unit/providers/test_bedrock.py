"""Models on Amazon Bedrock: keys made of the role, addresses, ids."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from botocore.credentials import Credentials

from parley.aws import clients
from parley.errors import ConfigurationError, ProviderError
from parley.protocol.messages import Stage
from parley.providers import registry
from parley.providers.bedrock import anthropic, openai_chat
from parley.providers.bedrock.config import bedrock_endpoint, claude_model, read_region
from parley.providers.bedrock.key import EXPIRES_S, KEPT_S, BedrockKeys, make_key
from parley.providers.checks import Unhealthy
from parley.providers.llm import Prompt
from tests.unit.chat_server import endpoint, http_client, plain, spoken, stream
from tests.unit.chat_server import event as chat_event
from tests.unit.provider_context import build_context
from tests.unit.providers.test_anthropic import REPLY

ROLE = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "a/long+token==" * 40)
ANYWHERE = bedrock_endpoint(build_context(variables={"AWS_REGION": "eu-west-1"}), "/x", "m")
PROMPT = Prompt("Be brief.", [], "Hello?")


@pytest.fixture(autouse=True)
def role(monkeypatch: pytest.MonkeyPatch) -> None:
    """The functions' role, whatever the machine has."""
    monkeypatch.setattr(clients.botocore_session(), "get_credentials", lambda: ROLE)


def nobody() -> None:
    """Nobody wants to know when the request has been sent."""


def signed(key: str) -> dict[str, list[str]]:
    """What a key is made of."""
    request = base64.b64decode(key.removeprefix("bedrock-api-key-")).decode()
    parts = urlsplit(f"https://{request}")
    assert (parts.netloc, parts.path) == ("bedrock.amazonaws.com", "/")
    return parse_qs(parts.query)


def test_a_key_is_a_signed_request() -> None:
    fields = signed(make_key(ROLE, "eu-west-1"))
    assert fields["Action"] == ["CallWithBearerToken"]
    assert fields["Version"] == ["1"]
    assert fields["X-Amz-Expires"] == [str(EXPIRES_S)]
    assert fields["X-Amz-Security-Token"] == [ROLE.token]
    assert fields["X-Amz-Credential"][0].endswith("/eu-west-1/bedrock/aws4_request")


def test_a_key_is_that_of_awss_own_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    from aws_bedrock_token_generator.token_generator import _generate_token

    now = datetime(2026, 12, 1, 12)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_args, **_named: now)
    assert make_key(ROLE, "us-east-1") == _generate_token(ROLE, "us-east-1", EXPIRES_S)


async def test_a_key_is_kept_for_minutes_and_for_one_pair_of_credentials() -> None:
    found, now_s = [ROLE], [0.0]
    keys = BedrockKeys(ANYWHERE, "eu-west-1", find=lambda: found[0], now_s=lambda: now_s[0])
    made: list[float] = []
    made_of: list[str] = []

    async def ask() -> None:
        await keys()
        made.append(keys._made_at_s)
        made_of.append(signed(await keys())["X-Amz-Security-Token"][0])

    for now_s[0] in (0.0, KEPT_S - 1, KEPT_S, KEPT_S + 1):
        await ask()
    assert made == [0.0, 0.0, KEPT_S, KEPT_S]
    found[0] = Credentials("AKIDOTHER", "other", "another")
    await ask()
    assert made[-1] == KEPT_S + 1
    assert made_of[-2:] == [ROLE.token, "another"]
    assert KEPT_S + 29 < EXPIRES_S  # a function runs no longer than 29 s


async def test_a_key_grows_old_by_the_time_of_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """It expires by that one, and a clock that only goes forward may stand still meanwhile."""
    monkeypatch.setattr("time.monotonic", lambda: 0.0)
    monkeypatch.setattr("time.time", lambda: 1_000_000_000.0)
    keys = BedrockKeys(ANYWHERE, "eu-west-1", find=lambda: ROLE)
    await keys()
    made_at_s = keys._made_at_s
    monkeypatch.setattr("time.time", lambda: 1_000_000_000.0 + EXPIRES_S)
    await keys()
    assert keys._made_at_s == made_at_s + EXPIRES_S


async def test_a_function_without_a_role_is_told() -> None:
    with pytest.raises(ProviderError) as raised:
        await BedrockKeys(ANYWHERE, "eu-west-1", find=lambda: None)()
    assert (raised.value.kind, raised.value.cause.reason) == ("unauthorized", "no_role")


@pytest.mark.parametrize("module", [anthropic, openai_chat])
async def test_warming_up_without_a_role_does_not_fail(
    monkeypatch: pytest.MonkeyPatch, module: Any
) -> None:
    monkeypatch.setattr(clients.botocore_session(), "get_credentials", lambda: None)
    variables = {"AWS_REGION": "eu-west-1", "LLM_MODEL": "m"}
    async with http_client() as client:
        responder = module.build_responder(build_context(client, variables))
        await responder.warm_up()
    assert responder.connection_reused is None


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("", "eu-west-1"),
        ("http://127.0.0.1:4000/anthropic", "eu-west-1"),
        ("https://bedrock-runtime.us-gov-west-1.amazonaws.com/anthropic", "us-gov-west-1"),
        ("https://bedrock-runtime-fips.us-east-2.amazonaws.com/anthropic", "us-east-2"),
        ("https://vpce-1-2.bedrock-runtime.ap-south-1.vpce.amazonaws.com/anthropic", "ap-south-1"),
    ],
)
def test_the_region_is_that_of_the_address(url: str, region: str) -> None:
    assert (
        read_region(build_context(variables={"AWS_REGION": "eu-west-1", "LLM_BASE_URL": url}))
        == region
    )


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"LLM_BASE_URL": "https://bedrock-mantle.us-east-1.api.aws/anthropic"}, "LlmBaseUrl"),
        ({}, "AWS_REGION"),
    ],
)
def test_what_cannot_work_is_refused_at_the_start(variables: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        anthropic.build_responder(build_context(variables=variables))


def test_an_open_model_has_to_be_named() -> None:
    with pytest.raises(ConfigurationError, match="LlmModel"):
        openai_chat.build_responder(build_context(variables={"AWS_REGION": "us-east-1"}))


@pytest.mark.parametrize(
    ("region", "prefix"),
    [
        ("us-west-2", "us"),
        ("eu-central-1", "eu"),
        ("ap-northeast-1", "jp"),
        ("ap-southeast-2", "au"),
        ("ap-south-1", "global"),
        ("sa-east-1", "global"),
        ("us-gov-west-1", "us-gov"),
    ],
)
def test_claude_stays_in_the_geography_where_it_can(region: str, prefix: str) -> None:
    assert claude_model(region) == f"{prefix}.anthropic.claude-haiku-5-5"


@pytest.mark.parametrize(
    ("region", "host"),
    [("eu-west-1", "eu-west-1.amazonaws.com"), ("cn-north-1", "cn-north-1.amazonaws.com.cn")],
)
def test_the_address_is_the_regions(region: str, host: str) -> None:
    found = bedrock_endpoint(build_context(variables={"AWS_REGION": region}), "/openai/v1", "")
    assert found.base_url == f"https://bedrock-runtime.{host}/openai/v1"


async def test_claude_is_asked_with_a_key_of_the_role() -> None:
    async with endpoint(stream(*REPLY)) as server, http_client() as client:
        url = server.url.removesuffix("/v1/") + "/anthropic"
        variables = {"AWS_REGION": "eu-west-1", "LLM_BASE_URL": url}
        responder = anthropic.build_responder(build_context(client, variables))
        assert "".join([spoken(text) async for text in responder.reply(PROMPT, nobody)]) == "Hello."
    (request,) = server.requests
    assert request.line == "POST /anthropic/v1/messages HTTP/1.1"
    assert "x-api-key" not in request.headers
    assert request.body["model"] == "eu.anthropic.claude-haiku-5-5"
    fields = signed(request.headers["authorization"].removeprefix("Bearer "))
    assert fields["X-Amz-Credential"][0].startswith("AKIDEXAMPLE/")


async def test_an_open_model_is_asked_with_a_key_of_the_role() -> None:
    answer = stream(chat_event("Hello."), "data: [DONE]\n\n")
    async with endpoint(answer) as server, http_client() as client:
        url = server.url.removesuffix("/v1/") + "/openai/v1"
        variables = {
            "AWS_REGION": "eu-west-1",
            "LLM_BASE_URL": url,
            "LLM_MODEL": "openai.gpt-oss-20b-1:0",
        }
        responder = openai_chat.build_responder(build_context(client, variables))
        assert [text async for text in responder.reply(PROMPT, nobody)] == ["Hello."]
    (request,) = server.requests
    assert request.line == "POST /openai/v1/chat/completions HTTP/1.1"
    assert request.body["model"] == "openai.gpt-oss-20b-1:0"
    assert request.headers["authorization"].startswith("Bearer bedrock-api-key-")


async def test_a_role_that_may_not_ask_is_named() -> None:
    """AWS names the error in a header, and says who may not do what in the text."""
    header = "AccessDeniedException:http://internal.amazon.com/coral/com.amazon.bedrock/"
    body = '{"Message": "User: arn:aws:sts::123456789012:assumed-role/x is not authorized"}'
    answer = plain("403 Forbidden", body, x_amzn_errortype=header)
    async with endpoint(answer) as server, http_client() as client:
        variables = {"AWS_REGION": "eu-west-1", "LLM_BASE_URL": server.url}
        responder = anthropic.build_responder(build_context(client, variables))
        with pytest.raises(ProviderError) as raised:
            await anext(responder.reply(PROMPT, nobody))
    cause = raised.value.cause
    assert (cause.reason, cause.provider_code) == ("permission", "AccessDeniedException")
    assert "the function's role" in cause.advice
    assert "123456789012" not in cause.advice


class Bedrock:
    """Bedrock, as a test says it answers."""

    def __init__(self, status: int = 200) -> None:
        self.asked: list[str] = []
        self.status = status

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(f"{request.method} {request.url}")
        if request.method == "GET":
            return httpx.Response(404, json={})
        return httpx.Response(self.status, text="".join(REPLY))

    def context(self, **variables: str) -> Any:
        client = httpx.AsyncClient(transport=httpx.MockTransport(self.answer))
        return build_context(client, {"AWS_REGION": "eu-west-1", **variables})


STAGE: Stage = "responder"


async def test_the_check_asks_once_and_then_looks_whether_somebody_is_there() -> None:
    bedrock = Bedrock()
    found = registry.build_check(STAGE, "anthropic_bedrock", bedrock.context())
    assert found is not None
    assert found.keys == ()
    await found.check()
    await found.check()
    host = "https://bedrock-runtime.eu-west-1.amazonaws.com/anthropic/v1"
    assert bedrock.asked == [f"POST {host}/messages", f"GET {host}/models"]


async def test_the_check_says_what_to_look_at() -> None:
    found = registry.build_check(STAGE, "anthropic_bedrock", Bedrock(403).context())
    assert found is not None
    with pytest.raises(Unhealthy, match="the function's role"):
        await found.check()


async def test_the_check_of_an_open_model_is_its_own() -> None:
    bedrock = Bedrock()
    context = bedrock.context(LLM_MODEL="openai.gpt-oss-20b-1:0")
    found = registry.build_check(STAGE, "openai_chat_bedrock", context)
    assert found is not None
    with pytest.raises(Unhealthy, match="broke off"):  # a reply of Claude's is none of this API
        await found.check()
    assert bedrock.asked[0].endswith("/openai/v1/chat/completions")
