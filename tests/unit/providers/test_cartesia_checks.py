"""What `GET /health?deep=1` finds of Cartesia."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
import pytest

from parley.errors import ConfigurationError
from parley.protocol.messages import Stage
from parley.providers.cartesia.checks import build_check
from parley.providers.checks import Unhealthy
from tests.unit.provider_context import build_context


async def check(
    stage: Stage,
    status: int = 200,
    body: object = None,
    variables: Mapping[str, str] | None = None,
) -> httpx.Request:
    """Check a stage; return what was asked."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(status, json=body or {})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        made = build_check(stage, build_context(client, variables))
        assert made.keys == ("cartesia_api_key",)
        await made.check()
    (request,) = asked
    return request


async def test_the_voice_is_looked_up() -> None:
    request = await check(
        "synthesizer", variables={"SPEECH_BASE_URL": "https://proxy.example/cartesia"}
    )
    voice = build_context().defaults.voice
    assert str(request.url) == f"https://proxy.example/cartesia/voices/{voice}"
    assert request.method == "GET"
    assert request.headers["Authorization"] == "Bearer the-key"
    assert request.headers["Cartesia-Version"]


async def test_a_transcriber_shows_its_key() -> None:
    request = await check("transcriber", variables={"TRANSCRIPTION_MODEL": "ink-whisper"})
    assert str(request.url) == "https://api.cartesia.ai/voices?limit=1"


@pytest.mark.parametrize("stage", ["synthesizer", "transcriber"])
@pytest.mark.parametrize(
    ("status", "names"), [(401, "CartesiaApiKey"), (402, "CartesiaApiKey"), (500, "Cartesia")]
)
async def test_what_the_service_refuses(stage: Stage, status: int, names: str) -> None:
    with pytest.raises(Unhealthy, match=names):
        await check(stage, status)


@pytest.mark.parametrize("body", [{}, {"error_code": "voice_not_found", "title": "t"}])
async def test_a_voice_that_does_not_exist(body: object) -> None:
    with pytest.raises(Unhealthy, match="VoiceId"):
        await check("synthesizer", 404, body)


@pytest.mark.parametrize(
    ("stage", "variable", "parameter"),
    [
        ("synthesizer", "SPEECH_MODEL", "SpeechModel"),
        ("transcriber", "TRANSCRIPTION_MODEL", "TranscriptionModel"),
    ],
)
async def test_a_model_that_is_another_vendors(stage: Stage, variable: str, parameter: str) -> None:
    with pytest.raises(Unhealthy, match=parameter):
        await check(stage, variables={variable: "eleven_flash_v2_5"})


def test_a_model_that_does_not_understand_the_language() -> None:
    variables = {"TRANSCRIPTION_MODEL": "ink-2", "LANGUAGE": "de"}
    with pytest.raises(ConfigurationError):
        build_check("transcriber", build_context(variables=variables))
