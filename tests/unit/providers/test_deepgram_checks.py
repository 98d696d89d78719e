"""Whether Deepgram takes the key, asked over a real HTTP connection's answers."""

from __future__ import annotations

import httpx
import pytest

from parley.errors import ConfigurationError
from parley.providers import registry
from parley.providers.checks import ProviderCheck, Unhealthy
from tests.unit.provider_context import build_context


def checked(answer: httpx.Response | Exception, asked: list[httpx.Request]) -> ProviderCheck:
    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    client = httpx.AsyncClient(transport=httpx.MockTransport(handle))
    context = build_context(client)
    check = registry.build_check("transcriber", "deepgram", context)
    assert check is not None
    return check


async def test_the_key_is_shown_and_taken() -> None:
    asked: list[httpx.Request] = []
    check = checked(httpx.Response(200, json={"scopes": []}), asked)
    await check.check()
    (request,) = asked
    assert (request.method, str(request.url)) == ("GET", "https://api.deepgram.com/v1/auth/token")
    assert request.headers["authorization"] == "Token the-key"
    assert check.keys == ("deepgram_api_key",)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (
            httpx.Response(401, json={"err_code": "INVALID_AUTH", "err_msg": "the-key"}),
            r"refused the API key \(401, INVALID_AUTH\): check DeepgramApiKey",
        ),
        (httpx.Response(403, json={"err_code": "INSUFFICIENT_PERMISSIONS"}), "DeepgramApiKey"),
        (httpx.Response(404), "check TranscriptionBaseUrl"),
        (httpx.Response(503), "down or overloaded"),
        (httpx.ReadTimeout("slow"), "did not answer in time"),
        (httpx.ConnectError("nobody"), "."),
    ],
)
async def test_what_is_wrong_is_said(answer: httpx.Response | Exception, sentence: str) -> None:
    with pytest.raises(Unhealthy, match=sentence) as raised:
        await checked(answer, []).check()
    assert "the-key" not in str(raised.value)


def test_a_model_that_the_transcriber_refuses_is_refused() -> None:
    context = build_context(variables={"TRANSCRIPTION_MODEL": "nova-3"})
    with pytest.raises(ConfigurationError, match=r"^TranscriptionModel: "):
        registry.build_check("transcriber", "deepgram", context)
