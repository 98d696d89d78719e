"""Whether an audio endpoint is reached, for next to nothing."""

from __future__ import annotations

import pytest

from parley.errors import ConfigurationError
from parley.protocol.messages import Stage
from parley.providers.checks import Unhealthy
from parley.providers.openai_audio.checks import build_check
from tests.unit.chat_server import Answer, endpoint, http_client, plain
from tests.unit.provider_context import build_context
from tests.unit.speech_server import closed_port

VARIABLES = {"transcriber": "TRANSCRIPTION_BASE_URL", "synthesizer": "SPEECH_BASE_URL"}


async def checked(stage: Stage, answer: Answer) -> list[str]:
    async with http_client() as client, endpoint(answer) as server:
        context = build_context(client, {VARIABLES[stage]: server.url})
        await build_check(stage, context).check()
        assert server.requests[0].headers["authorization"] == "Bearer the-key"
        return [request.line for request in server.requests]


@pytest.mark.parametrize("stage", ["transcriber", "synthesizer"])
@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "405 Method Not Allowed"])
async def test_a_server_that_answers_is_reached(stage: Stage, status: str) -> None:
    assert await checked(stage, plain(status)) == ["GET /v1/models HTTP/1.1"]


@pytest.mark.parametrize(
    ("stage", "parameter"),
    [("transcriber", "TranscriptionApiKey"), ("synthesizer", "SpeechApiKey")],
)
async def test_a_key_that_is_refused_is_named(stage: Stage, parameter: str) -> None:
    with pytest.raises(Unhealthy, match=f"refused the API key.*check {parameter}"):
        await checked(stage, plain("401 Unauthorized"))


async def test_a_server_that_is_down_is_named() -> None:
    async with http_client() as client:
        url = f"http://127.0.0.1:{closed_port()}/v1"
        check = build_check("synthesizer", build_context(client, {"SPEECH_BASE_URL": url}))
        with pytest.raises(Unhealthy, match=r"Nobody listens at .*check SpeechBaseUrl"):
            await check.check()


def test_a_hosted_service_needs_a_key_and_another_none() -> None:
    def keys(stage: Stage, url: str) -> tuple[str, ...]:
        return build_check(stage, build_context(None, {VARIABLES[stage]: url})).keys

    assert keys("transcriber", "") == ("transcription_api_key",)
    assert keys("synthesizer", "https://api.groq.com/openai/v1") == ("speech_api_key",)
    assert keys("synthesizer", "http://10.0.0.5:8880/v1") == ()


def test_an_address_is_needed() -> None:
    with pytest.raises(ConfigurationError, match="SpeechBaseUrl"):
        build_check("synthesizer", build_context(None))
