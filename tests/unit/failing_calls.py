"""Calls of the three providers that fail, for the tests of why: over real sockets, with a key and
words that no sentence may have."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from parley.config import DEFAULT_SETTINGS
from parley.errors import ProviderError
from parley.providers.elevenlabs.synthesizer import build_synthesizer
from parley.providers.elevenlabs.transcriber import build_transcriber
from parley.providers.llm import Prompt
from parley.providers.openai_chat.responder import build_responder
from tests.unit.chat_server import endpoint, http_client, plain
from tests.unit.provider_context import build_context
from tests.unit.speech_server import Peer, SpeechServer, playing

KEY = "sk-proj-Tr0ub4dor-and-3"
WORDS = "ultramarine periwinkle"
TIMEOUT_S = 1.0


async def ask_llm(url: str) -> None:
    async with http_client() as client:
        chat = build_responder(
            build_context(
                client,
                {"LLM_BASE_URL": url, "LLM_MODEL": "the-model"},
                key=KEY,
                timeout_s=TIMEOUT_S,
            )
        )
        async for _ in chat.reply(Prompt("Be brief.", [], WORDS), lambda: None):
            pass


async def ask_tts(url: str) -> None:
    synthesizer = build_synthesizer(
        build_context(variables={"ELEVENLABS_BASE_URL": url, "SPEECH_MODEL": "the-model"}, key=KEY)
    )
    stream = await synthesizer.open("pcm_24000", DEFAULT_SETTINGS)
    try:
        await stream.speak(WORDS)
        await stream.finish()
        async for _ in stream.pieces():
            pass
    finally:
        await stream.close()


async def ask_stt(url: str) -> None:
    transcriber = build_transcriber(
        build_context(
            variables={"ELEVENLABS_BASE_URL": url, "TRANSCRIPTION_MODEL": "the-model"},
            key=KEY,
            timeout_s=TIMEOUT_S,
        )
    )
    stream = await transcriber.open("pcm_16000", "en", "manual")
    try:
        await stream.send(bytes(3200))
        await stream.finish()
        async for _ in stream.pieces():
            pass
    finally:
        await stream.close()


@dataclass(frozen=True)
class Called:
    """One of the three calls, and what its sentences name."""

    ask: Callable[[str], Awaitable[None]]
    code: str
    key_parameter: str
    url_parameter: str
    model_parameter: str


CALLS = {
    "llm": Called(ask_llm, "reply_failed", "LlmApiKey", "LlmBaseUrl", "LlmModel"),
    "tts": Called(ask_tts, "speech_failed", "ElevenLabsApiKey", "ElevenLabsBaseUrl", "SpeechModel"),
    "stt": Called(
        ask_stt,
        "transcription_failed",
        "ElevenLabsApiKey",
        "ElevenLabsBaseUrl",
        "TranscriptionModel",
    ),
}


async def failed(provider: str, url: str) -> ProviderError:
    """How a call fails."""
    called = CALLS[provider]
    with pytest.raises(ProviderError) as raised:
        await called.ask(url)
    error = raised.value
    assert (error.code, error.cause.provider) == (called.code, provider)
    for text in (error.message, json.dumps(error.cause.log_fields())):
        assert not any(secret in text for secret in (KEY, KEY[:8], KEY[-8:], *WORDS.split()))
    assert not any(name in error.message for name in ("Llm", "ElevenLabs", "API", "key"))
    return error


async def refused(
    provider: str,
    status: int,
    body: Any,
    headers: dict[str, str] | list[tuple[str, str]] | None = None,
) -> ProviderError:
    """How a call fails that a real server answers so."""
    raw = body if isinstance(body, str) else json.dumps(body)
    phrase = httpx.codes.get_reason_phrase(status) or "Odd"
    pairs = list(headers.items()) if isinstance(headers, dict) else headers or []
    if provider == "llm":
        async with endpoint(plain(f"{status} {phrase}", raw, pairs)) as server:
            return await failed(provider, server.url)
    async with playing() as speech:
        speech.refusal, speech.refusal_body = (status, pairs), raw.encode()
        return await failed(provider, speech.url)


async def told_by(provider: str, name: str, server: SpeechServer) -> ProviderError:
    """How a call fails when the service sends an error frame of this name."""

    async def script(peer: Peer) -> None:
        if provider == "tts":
            await peer.send({"error": name, "message": f"{WORDS} {KEY}", "code": 1008})
        else:
            await peer.send({"message_type": name, "error": f"{WORDS} {KEY}"})
        await peer.close(1008)

    server.script = script
    return await failed(provider, server.url)
