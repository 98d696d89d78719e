"""Transcriptions against a scripted server: what is sent, how it adapts, and how it fails."""

from __future__ import annotations

import array
import asyncio
import json
import math
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from parley.audio.wav import read_wav
from parley.errors import ConfigurationError, ProviderError
from parley.protocol.messages import AudioFormat
from parley.providers.openai_audio import transcriber as module
from parley.providers.openai_audio.transcriber import WhisperTranscriber, build_transcriber
from parley.providers.stt import TranscriptPiece
from tests.unit.audio_server import described, error_body, fields, file_in, silence
from tests.unit.chat_server import Answer, Endpoint, endpoint, http_client, plain, stream
from tests.unit.provider_context import build_context
from tests.unit.speech_server import closed_port

TEXT = {"text": "Hello there."}
VERBOSE = {**TEXT, "language": "english", "segments": [{"text": "Hello there."}]}
REFUSAL = plain("400 Bad Request", error_body(type="invalid_request_error"))


def speech(seconds: float = 1.5, rate_hz: int = 16_000) -> bytes:
    """A tone between pauses: loud and uneven."""
    count = round(rate_hz * seconds)
    tone = (
        round(8_000 * math.sin(2 * math.pi * 440 * i / rate_hz)) if count / 3 < i < count / 2 else 0
        for i in range(count)
    )
    return array.array("h", tone).tobytes()


SPEECH = speech()


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with http_client() as found:
        yield found


def transcriber(
    client: httpx.AsyncClient, server: Endpoint, model: str = "", **options: Any
) -> WhisperTranscriber:
    variables = {"TRANSCRIPTION_BASE_URL": server.url, "TRANSCRIPTION_MODEL": model}
    return build_transcriber(build_context(client, variables, **options))


async def heard(
    asked: WhisperTranscriber,
    pcm: bytes = SPEECH,
    language: str = "en",
    audio_format: AudioFormat = "pcm_16000",
) -> list[TranscriptPiece]:
    stream = await asked.open(audio_format, language, "manual")
    try:
        for at in range(0, len(pcm), 3_200):
            await stream.send(pcm[at : at + 3_200])
        await stream.finish()
        return [piece async for piece in stream.pieces()]
    finally:
        await stream.close()


async def failed(
    client: httpx.AsyncClient, answer: Answer, pcm: bytes = SPEECH, **options: Any
) -> ProviderError:
    async with endpoint(answer) as server:
        with pytest.raises(ProviderError) as raised:
            await heard(transcriber(client, server, **options), pcm)
    return raised.value


def delta(text: str) -> str:
    return f"data: {json.dumps({'type': 'transcript.text.delta', 'delta': text})}\n\n"


DONE = f"data: {json.dumps({'type': 'transcript.text.done', **TEXT})}\n\n"


async def test_the_utterance_goes_up_whole_as_wav(client: httpx.AsyncClient) -> None:
    async with endpoint(plain("200 OK", json.dumps(VERBOSE))) as server:
        (piece,) = await heard(transcriber(client, server, "whisper-1"))
    assert piece == TranscriptPiece("Hello there.", final=True, language="en")
    (request,) = server.requests
    assert request.line == "POST /v1/audio/transcriptions HTTP/1.1"
    assert request.headers["authorization"] == "Bearer the-key"
    assert fields(request) == {
        "model": "whisper-1",
        "language": "en",
        "response_format": "verbose_json",
        "stream": "true",
    }
    assert read_wav(file_in(request)) == ("pcm_16000", SPEECH)


async def test_a_language_that_is_to_be_found_out_is_not_sent(client: httpx.AsyncClient) -> None:
    async with endpoint(plain("200 OK", json.dumps({**TEXT, "language": "german"}))) as server:
        (piece,) = await heard(transcriber(client, server), language="")
    assert piece.language == "de"
    assert "language" not in fields(server.requests[0])


async def test_an_empty_key_is_not_sent(client: httpx.AsyncClient) -> None:
    async with endpoint(plain("200 OK", json.dumps(TEXT))) as server:
        await heard(transcriber(client, server, key=""))
    assert server.requests[0].headers["authorization"] == ""


async def test_words_come_as_they_are_understood(client: httpx.AsyncClient) -> None:
    async with endpoint(stream(delta("Hello"), delta(" there."), DONE)) as server:
        pieces = await heard(transcriber(client, server, "gpt-transcribe"))
        pieces = await heard(transcriber(client, server, "gpt-transcribe"))
    assert [piece.text for piece in pieces][-1] == "Hello there."
    assert [piece.final for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert fields(server.requests[0])["response_format"] == "json"


async def test_the_connection_is_free_when_the_transcript_is_final(
    client: httpx.AsyncClient,
) -> None:
    async with endpoint(stream(delta("Hello there."), DONE)) as server:
        asked = transcriber(client, server)
        for _ in range(2):
            opened = await asked.open("pcm_16000", "en", "manual")
            await opened.send(SPEECH)
            await opened.finish()
            pieces = opened.pieces()
            while not (await anext(pieces)).final:  # as the turn does: it asks for no more
                pass
    assert server.connections == 1


@pytest.mark.parametrize(
    ("model", "refusals", "form"),
    [
        ("whisper-1", 1, {"response_format": "verbose_json"}),
        ("whisper-1", 2, {"response_format": "json", "stream": "true"}),
        ("whisper-1", 3, {"response_format": "json"}),
        ("gpt-transcribe", 1, {"response_format": "json"}),
    ],
)
async def test_what_a_server_refuses_is_not_asked_for_again(
    client: httpx.AsyncClient, model: str, refusals: int, form: dict[str, str]
) -> None:
    answers = [REFUSAL] * refusals + [plain("200 OK", json.dumps(TEXT))]
    async with endpoint(*answers) as server:
        events: list[str] = []
        asked = transcriber(client, server, model, log=lambda event, _fields: events.append(event))
        for _ in range(2):
            (piece,) = await heard(asked)
            assert piece.text == "Hello there."
    assert len(server.requests) == refusals + 2
    assert events == ["transcription_request_refused"]
    sent = fields(server.requests[-1])
    assert {name: sent.get(name) for name in ("response_format", "stream")} == {
        "stream": None,
        **form,
    }


async def test_a_request_that_is_refused_in_every_form_is_tried_so_again(
    client: httpx.AsyncClient,
) -> None:
    async with endpoint(REFUSAL) as server:
        asked = transcriber(client, server, "whisper-1")
        for _ in range(2):
            with pytest.raises(ProviderError) as raised:
                await heard(asked)
            assert described(raised.value) == ("transcription_failed", "refused", "request")
    assert len(server.requests) == 8


async def test_another_refusal_is_final(client: httpx.AsyncClient) -> None:
    answer = plain("400 Bad Request", error_body(code="model_not_found"))
    async with endpoint(answer) as server:
        with pytest.raises(ProviderError) as raised:
            await heard(transcriber(client, server))
    assert described(raised.value) == ("transcription_failed", "refused", "model")
    assert len(server.requests) == 1


# --- silence --------------------------------------------------------------------------


@pytest.mark.parametrize("pcm", [b"", bytes(64_000), bytes([3, 0, 253, 255]) * 16_000])
async def test_silence_is_not_uploaded(client: httpx.AsyncClient, pcm: bytes) -> None:
    async with endpoint(silence) as server:
        assert await heard(transcriber(client, server), pcm) == [TranscriptPiece("", final=True)]
    assert server.requests == []


async def test_other_work_goes_on_while_a_whole_utterance_comes_at_once(
    client: httpx.AsyncClient,
) -> None:
    turns = 0

    async def work() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with endpoint(plain("200 OK", json.dumps(TEXT))) as server:
        stream = await transcriber(client, server).open("pcm_16000", "en", "manual")
        other = asyncio.create_task(work())
        for _ in range(50):
            await stream.send(bytes(3_200))
        other.cancel()
        await stream.close()
    assert turns >= 40


async def test_words_for_silence_are_no_transcript(client: httpx.AsyncClient) -> None:
    segment = {"text": "Thank you.", "no_speech_prob": 0.8, "avg_logprob": -0.4}
    answer = {"text": "Thank you.", "language": "english", "segments": [segment]}
    async with endpoint(plain("200 OK", json.dumps(answer))) as server:
        (piece,) = await heard(transcriber(client, server))
    assert piece == TranscriptPiece("", final=True, language="en")


async def test_a_short_utterance_is_padded(client: httpx.AsyncClient) -> None:
    pcm = speech(0.6, 24_000)
    async with endpoint(plain("200 OK", json.dumps(TEXT))) as server:
        await heard(transcriber(client, server), pcm + b"\x01", audio_format="pcm_24000")
    audio_format, sent = read_wav(file_in(server.requests[0]))
    assert (audio_format, len(sent)) == ("pcm_24000", 48_000)
    assert sent.startswith(pcm)


# --- failures -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        (plain("401 Unauthorized"), "unauthorized", "key"),
        (plain("402 Payment Required"), "refused", "quota"),
        (plain("404 Not Found"), "refused", "not_found"),
        (plain("413 Content Too Large"), "refused", "request"),
        (plain("429 Too Many Requests"), "rate_limited", "busy"),
        (plain("429 Too Many", error_body(code="insufficient_quota")), "refused", "quota"),
        (plain("500 Oops", '{"error":"failed to process audio"}'), "unavailable", "down"),
        (plain("200 OK", "", Content_Type="application/json"), "invalid", "no_protocol"),
        (plain("200 OK", "<html>", Content_Type="text/html"), "invalid", "no_protocol"),
        (plain("200 OK", '{"text": '), "invalid", "no_protocol"),
        (plain("200 OK", error_body(code="server_error")), "unavailable", "down"),
        (stream(delta("Hello"), then="cut"), "unavailable", "connection_lost"),
        (stream(delta("Hello")), "unavailable", "connection_lost"),
    ],
)
async def test_a_failure_says_why(
    client: httpx.AsyncClient, answer: Answer, kind: str, reason: str
) -> None:
    error = await failed(client, answer)
    assert described(error) == ("transcription_failed", kind, reason)
    assert "secret" not in str(error.cause)


async def test_a_limit_says_when_to_come_back(client: httpx.AsyncClient) -> None:
    error = await failed(client, plain("429 Too Many Requests", Retry_After="7"))
    assert error.retry_after_ms == 7_000


@pytest.mark.parametrize("answer", [silence, stream(delta("Hello"), then="stall")])
async def test_a_server_that_stalls_is_given_up(
    client: httpx.AsyncClient, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "timeout_of", lambda _seconds: httpx.Timeout(0.1))
    assert described(await failed(client, answer)) == ("transcription_failed", "timeout", "timeout")


async def test_nobody_listens(client: httpx.AsyncClient) -> None:
    server = Endpoint([], f"http://127.0.0.1:{closed_port()}/v1")
    with pytest.raises(ProviderError) as raised:
        await heard(transcriber(client, server))
    assert raised.value.cause.reason == "connection_refused"


async def test_an_utterance_of_more_than_25_mb_is_refused(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_UPLOAD_BYTES", 10_000)
    async with endpoint(silence) as server:
        stream = await transcriber(client, server).open("pcm_16000", "en", "manual")
        await stream.send(SPEECH)
        with pytest.raises(ProviderError) as raised:  # at once: nobody has said that it is over
            async with asyncio.timeout(5):
                await anext(aiter(stream.pieces()))
    assert described(raised.value) == ("transcription_failed", "refused", "utterance")
    assert "UtteranceSeconds" in raised.value.cause.advice


async def test_a_closed_stream_ends_its_request(client: httpx.AsyncClient) -> None:
    async with endpoint(stream(delta("Hello"), then="stall")) as server:
        opened = await transcriber(client, server).open("pcm_16000", "en", "manual")
        await opened.send(SPEECH)
        await opened.finish()
        assert not (await anext(aiter(opened.pieces()))).final
        await opened.close()
        await opened.close()
        async with asyncio.timeout(5):
            await server.tasks[0]  # type: ignore[misc]


# --- the deployment -------------------------------------------------------------------


def built(**variables: str) -> WhisperTranscriber:
    return build_transcriber(build_context(None, variables))


def test_the_model_follows_the_host() -> None:
    def model(**variables: str) -> str:
        return built(**variables)._endpoint.model

    assert model() == "gpt-transcribe"
    assert (
        model(TRANSCRIPTION_BASE_URL="https://api.groq.com/openai/v1") == "whisper-large-v3-turbo"
    )
    assert model(TRANSCRIPTION_BASE_URL="http://10.0.0.5:8080/v1") == "whisper-1"
    assert model(TRANSCRIPTION_MODEL="whisper-1") == "whisper-1"


def test_a_local_server_is_never_asked_twice_at_once() -> None:
    local = built(TRANSCRIPTION_BASE_URL="http://10.0.0.5:8080/v1").rules
    assert local.hedge_after_s > local.timeout_s
    assert built().rules.hedge_after_s < built().rules.timeout_s


@pytest.mark.parametrize(
    ("model", "language", "sentence"),
    [
        ("gpt-live-transcribe", "en", "choose gpt-transcribe"),
        ("Systran/faster-whisper-tiny.en", "de", "understands English only, and Language is de"),
        ("distil-whisper-large-v3-en", "fr", "understands English only, and Language is fr"),
    ],
)
def test_a_model_that_cannot_do_it_is_refused(model: str, language: str, sentence: str) -> None:
    context = build_context(None, {"TRANSCRIPTION_MODEL": model})
    settings = context.defaults.merged_with(type(context.defaults)(language=language))
    context = type(context)(
        context.variables, context.read_key, context.http_client, settings, 8.0, context.log
    )
    with pytest.raises(ConfigurationError, match="TranscriptionModel: ") as raised:
        build_transcriber(context)
    assert sentence in str(raised.value)


def test_a_model_of_one_language_detects_none() -> None:
    variables = {"TRANSCRIPTION_MODEL": "tiny.en", "LANGUAGE_DETECTION": "on"}
    with pytest.raises(ConfigurationError, match="understands English only, and LanguageDetection"):
        build_transcriber(build_context(None, variables))
    built(TRANSCRIPTION_MODEL="tiny.en", LANGUAGE_DETECTION="off")
    built(TRANSCRIPTION_MODEL="tiny", LANGUAGE_DETECTION="on")
