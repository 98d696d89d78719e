"""Whether a deployment works, and what is said of what does not."""

from __future__ import annotations

import asyncio
import json
import tomllib
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from parley.http.health import DeepHealth, Health, HealthCheck, build_checks
from parley.providers.checks import ProviderCheck, Unhealthy
from parley.providers.elevenlabs import checks as elevenlabs
from parley.providers.openai_chat import checks as openai_chat
from parley.providers.replies.check import ASK_AGAIN_S
from parley.storage.table import Table
from parley.version import VERSION
from tests.unit.provider_context import build_context
from tests.unit.speech_server import closed_port


async def well() -> None:
    """A probe of what works."""


def checks(health: Health) -> dict[str, HealthCheck]:
    """What was found."""
    assert health.checks is not None
    return health.checks


def test_the_version_is_the_projects() -> None:
    project = tomllib.loads(
        (Path(__file__).parents[3] / "layers" / "parley" / "pyproject.toml").read_text()
    )
    assert project["project"]["version"] == VERSION


async def test_all_is_well_if_everything_is() -> None:
    health = await DeepHealth({"a": well, "b": well}).check()
    assert health.status == "ok"
    assert {name: check.ok for name, check in checks(health).items()} == {"a": True, "b": True}


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (Unhealthy("It has a cold."), "It has a cold."),
        (OSError("sk-a-secret"), "It cannot be reached or read (OSError)."),
    ],
)
async def test_one_that_fails_is_named_and_the_others_are_looked_at(
    error: Exception, detail: str
) -> None:
    async def ill() -> None:
        raise error

    health = await DeepHealth({"a": ill, "b": well}).check()
    assert health.status == "failing"
    assert checks(health)["a"].detail == detail
    assert checks(health)["b"].ok


async def test_what_works_may_have_a_remark() -> None:
    async def remark() -> str:
        return "It has had a cold."

    health = await DeepHealth({"a": remark}).check()
    assert (health.status, checks(health)["a"].ok) == ("ok", True)
    assert checks(health)["a"].detail == "It has had a cold."


async def test_one_that_does_not_answer_is_not_waited_for() -> None:
    async def silent() -> None:
        await asyncio.Event().wait()

    health = await DeepHealth({"a": silent}, timeout_s=0.01).check()
    assert checks(health)["a"].detail == "It did not answer within 0.01 s."


async def test_an_answer_is_kept_for_a_while() -> None:
    asked, now_s = [], [100.0]

    async def count() -> None:
        asked.append(1)

    health = DeepHealth({"a": count}, keep_s=10, now_s=lambda: now_s[0])
    first = await health.check()
    now_s[0] = 109.9
    assert await health.check() is first
    now_s[0] = 110.0
    await health.check()
    assert len(asked) == 2


KEYS = {"elevenlabs_api_key": "speech-key", "llm_api_key": "llm-key"}


async def read_key(name: str) -> str:
    """Read a provider's key."""
    return KEYS.get(name, "")


SPOKEN = "data: " + json.dumps({"choices": [{"delta": {"content": "Hi"}}]}) + "\n\n"
MODELS = [{"model_id": "eleven_flash_v2_5"}, {"model_id": "eleven_v3"}]
WELL: dict[str, httpx.Response] = {
    "/v1/models": httpx.Response(200, json=MODELS),
    "/v1/voices/21m00Tcm4TlvDq8ikWAM": httpx.Response(200, json={}),
    "/llm/v1/models": httpx.Response(200, json={"data": []}),
    "/llm/v1/chat/completions": httpx.Response(200, text=SPOKEN),
}


class Providers:
    """Providers that answer as a test says.

    Attributes:
        answers: by path; what is not named is well.
        asked: what they were asked.
        now_s: the time.
    """

    def __init__(self, **variables: str) -> None:
        self.answers = dict(WELL)
        self.asked: list[httpx.Request] = []
        self.now_s = 100.0
        client = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))
        urls = {"ELEVENLABS_BASE_URL": "https://speech", "LLM_BASE_URL": "https://chat/llm/v1/"}
        providers = build_context(client, {**urls, **variables}, key=read_key)
        self.checks = {
            "elevenlabs": elevenlabs.build_check("synthesizer", providers).check,
            "llm": openai_chat.build_check("responder", providers, lambda: self.now_s).check,
        }

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        found = self.answers[request.url.path]
        return httpx.Response(found.status_code, headers=found.headers, content=found.content)

    @property
    def paths(self) -> list[str]:
        return [request.url.path for request in self.asked]


async def test_providers_are_asked_with_their_keys() -> None:
    providers = Providers()
    await providers.checks["elevenlabs"]()
    await providers.checks["llm"]()
    assert [str(request.url) for request in providers.asked] == [
        "https://speech/v1/models",
        "https://speech/v1/voices/21m00Tcm4TlvDq8ikWAM",
        "https://chat/llm/v1/chat/completions",
    ]
    assert providers.asked[0].headers["xi-api-key"] == "speech-key"
    assert providers.asked[1].headers["xi-api-key"] == "speech-key"
    assert providers.asked[2].headers["authorization"] == "Bearer llm-key"
    assert json.loads(providers.asked[2].content)["model"] == "gpt-6-luna"


async def test_a_model_that_answered_is_not_asked_again_soon() -> None:
    providers = Providers()
    for _ in range(3):
        await providers.checks["llm"]()
    assert providers.paths == ["/llm/v1/chat/completions", *["/llm/v1/models"] * 2]
    providers.now_s += ASK_AGAIN_S
    await providers.checks["llm"]()
    assert providers.paths[-1] == "/llm/v1/chat/completions"


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("name", ["elevenlabs", "llm"])
@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (401, "invalid_api_key", "refused the API key (401, invalid_api_key): check {key}"),
        (
            403,
            "odd_thing",
            "does not allow this to the API key (403, odd_thing): check what {key} may do",
        ),
        (401, "quota_exceeded", "quota at {host} is used up or not paid (401, quota_exceeded)"),
        (429, "insufficient_quota", "quota at {host} is used up or not paid (429, insufficient"),
        (429, "rate_limit_exceeded", "limits how much the account may ask"),
        (500, "server_error", "is down or overloaded (500, server_error)"),
        (301, "odd_thing", "{host} sends elsewhere (301, odd_thing): set {url}"),
    ],
)
async def test_a_provider_that_refuses_is_named_with_what_to_look_at(
    name: str, later: bool, status: int, code: str, said: str
) -> None:
    providers = Providers()
    if later:
        await providers.checks[name]()
    path = {"elevenlabs": "/v1/models", "llm": "/llm/v1/chat/completions"}[name]
    path = "/llm/v1/models" if name == "llm" and later else path
    body = {"error": {"message": "speech-key llm-key", "code": code}}
    providers.answers[path] = httpx.Response(status, json=body)
    names = {
        "elevenlabs": ("ElevenLabsApiKey", "speech", "ElevenLabsBaseUrl"),
        "llm": ("LlmApiKey", "chat", "LlmBaseUrl"),
    }
    key, host, url = names[name]
    with pytest.raises(Unhealthy) as raised:
        await providers.checks[name]()
    assert said.format(key=key, host=host, url=url) in str(raised.value)
    assert not any(secret in str(raised.value) for secret in ("speech-key", "llm-key"))


async def test_a_model_that_is_not_there_is_named() -> None:
    providers = Providers(LLM_MODEL="gpt-5-maxi", SPEECH_MODEL="eleven_x")
    body = {"error": {"code": "model_not_found"}}
    providers.answers["/llm/v1/chat/completions"] = httpx.Response(404, json=body)
    with pytest.raises(Unhealthy, match=r"No model 'gpt-5-maxi' at chat \(404, .*: check LlmModel"):
        await providers.checks["llm"]()
    with pytest.raises(Unhealthy, match="No model 'eleven_x' at speech: check SpeechModel"):
        await providers.checks["elevenlabs"]()


async def test_whether_the_newest_voices_models_are_listed_is_not_known() -> None:
    await Providers(SPEECH_MODEL="eleven_v4_turbo").checks["elevenlabs"]()


async def test_a_voice_that_is_not_there_is_named() -> None:
    providers = Providers()
    body = {"detail": {"status": "voice_not_found", "message": "x"}}
    path = "/v1/voices/21m00Tcm4TlvDq8ikWAM"
    providers.answers[path] = httpx.Response(400, json=body)
    with pytest.raises(Unhealthy, match=r"No such voice at speech .*check VoiceId"):
        await providers.checks["elevenlabs"]()
    providers.answers[path] = httpx.Response(401, json={"detail": {"status": "x"}})
    await providers.checks["elevenlabs"]()  # a key that may not read voices may speak


@pytest.mark.parametrize(
    "body", ['{"choices": [{"finish_reason": "tool_calls"}]}', '{"error": {"code": 503}}', "<html>"]
)
async def test_a_model_whose_answer_is_no_reply_is_not_well(body: str) -> None:
    providers = Providers()
    providers.answers["/llm/v1/chat/completions"] = httpx.Response(200, text=body)
    with pytest.raises(Unhealthy):
        await providers.checks["llm"]()


async def test_a_host_that_is_not_there_is_named() -> None:
    variables = {
        "ELEVENLABS_BASE_URL": "https://no-such-host.invalid",
        "LLM_BASE_URL": f"http://127.0.0.1:{closed_port()}/v1",
    }
    async with httpx.AsyncClient() as client:
        providers = build_context(client, variables, key=read_key)
        with pytest.raises(Unhealthy, match=r"^Host no-such-host\.invalid not found: check Eleven"):
            await elevenlabs.build_check("synthesizer", providers).check()
        with pytest.raises(Unhealthy, match=r"^Nobody listens at 127.0.0.1:[0-9]+: check LlmBase"):
            await openai_chat.build_check("responder", providers).check()


async def test_a_key_that_may_not_list_models_is_known_all_the_same() -> None:
    providers = Providers()
    body = {"detail": {"status": "missing_permissions"}}
    providers.answers["/v1/models"] = httpx.Response(401, json=body)
    await providers.checks["elevenlabs"]()


@pytest.mark.parametrize("missing", KEYS)
async def test_a_secret_without_a_key_that_is_needed_is_named(missing: str) -> None:
    async def read(name: str) -> str:
        return "" if name == missing else KEYS[name]

    needed = {name: ProviderCheck(well, keys=(name,)) for name in KEYS}
    checks = build_checks(Table(cast("Any", None), "t"), read, needed)
    assert list(checks) == ["table", "secret", *KEYS]
    with pytest.raises(Unhealthy, match=rf"^The secret has no {missing}\.$"):
        await checks["secret"]()
    await build_checks(Table(cast("Any", None), "t"), read_key, needed)["secret"]()


async def test_an_llm_without_a_list_of_models_is_reached_all_the_same() -> None:
    providers = Providers()
    providers.answers["/llm/v1/models"] = httpx.Response(404)
    for _ in range(2):
        await providers.checks["llm"]()
