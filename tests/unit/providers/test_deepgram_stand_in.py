"""Flux's adapter against the stand-in: speech in, its transcript out."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from parley.protocol.messages import AudioFormat, Endpointing
from parley.providers.deepgram.transcriber import build_transcriber
from parley.providers.stt import TranscriptPiece
from parley_standins.__main__ import serve_app
from parley_standins.engines import Engines
from parley_standins.vendors import build_app
from parley_standins.voices import DEFAULT_VOICE_ID, VOICES, VoiceSettings
from tests.unit.provider_context import build_context


@pytest.fixture
async def engines() -> AsyncIterator[Engines]:
    async with Engines().running() as started:
        yield started


async def said(engines: Engines, text: str, rate_hz: int) -> bytes:
    speech = engines.speaker.speak(text, VOICES[DEFAULT_VOICE_ID], VoiceSettings(), rate_hz)
    return b"".join([sentence.samples.tobytes() async for sentence in speech])


@pytest.mark.parametrize(
    ("audio_format", "endpointing", "language"),
    [
        ("pcm_16000", "manual", "en"),
        ("pcm_22050", "manual", "en"),
        ("pcm_48000", "server_vad", ""),
    ],
)
async def test_what_is_said_is_transcribed(
    engines: Engines, audio_format: AudioFormat, endpointing: Endpointing, language: str
) -> None:
    rate_hz = int(audio_format.removeprefix("pcm_"))
    pcm = await said(engines, "What time is it?", rate_hz)
    app = build_app("deepgram", "the-key", engines)
    async with serve_app(app, "127.0.0.1", 0) as url:
        context = build_context(variables={"TRANSCRIPTION_BASE_URL": url})
        stream = await build_transcriber(context).open(audio_format, language, endpointing)
        step = rate_hz // 5
        for at in range(0, len(pcm), step):
            await stream.send(pcm[at : at + step])
        if endpointing == "manual":
            await stream.finish()
        else:
            await stream.send(bytes(rate_hz * 2))
        *_, last = [piece async for piece in stream.pieces()]
        await stream.close()
    assert last == TranscriptPiece("What time is it?", True, "" if language else "en")
