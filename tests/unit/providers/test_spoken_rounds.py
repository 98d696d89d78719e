"""A reply with a tool in the middle, spoken by each synthesizer against its stand-in."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import httpx
import pytest

from parley.audio.heard import heard_text, split_heard
from parley.protocol.messages import Audio, AudioFormat, Settings, Word
from parley.providers.cartesia.synthesizer import build_synthesizer as build_cartesia
from parley.providers.elevenlabs.synthesizer import build_synthesizer as build_elevenlabs
from parley.providers.openai_audio.synthesizer import build_synthesizer as build_openai
from parley.providers.tts import SpeechStream, Synthesizer
from parley.turn.tools import silence
from parley_standins.__main__ import serve_app
from parley_standins.cartesia_service import CARTESIA_VOICES
from parley_standins.elevenlabs_app import elevenlabs_app
from parley_standins.engines import Engines
from parley_standins.faults import SpeechSettings
from parley_standins.vendors import build_app
from tests.unit.fakes import FakeResponder, until
from tests.unit.provider_context import build_context
from tests.unit.stage import Stage
from tests.unit.turn.tools import ASKED, FakeTool, spec, toolbox

# The stand-in is a program of its own, where warnings are no errors.
pytestmark = pytest.mark.filterwarnings("ignore::aiohttp.web.NotAppKeyWarning")

KEY = "the-key"
PAUSE_S = 1.1
"""A context of Cartesia's is dead after it."""
BUILD: dict[str, Any] = {
    "elevenlabs": build_elevenlabs,
    "cartesia": build_cartesia,
    "openai_audio": build_openai,
}
NAMES = [
    "elevenlabs",
    "elevenlabs eleven_v3_conversational",
    "elevenlabs eleven_v4",
    "cartesia",
    "openai_audio",
]
SAID = "Let me look. Still looking. It **is** here, Sir."
VOICES = {"cartesia": next(iter(CARTESIA_VOICES)), "openai_audio": "af_heart"}


class Voiced:
    """A synthesizer that speaks with a voice of its own."""

    def __init__(self, inner: Synthesizer, voice: str) -> None:
        self._inner = inner
        self._voice = voice
        self.rules = inner.rules

    async def open(self, audio_format: AudioFormat, settings: Settings) -> SpeechStream:
        if self._voice:
            settings = settings.merged_with(Settings(voice=self._voice))
        return await self._inner.open(audio_format, settings)


async def test_a_reply_around_a_call_is_whole_in_order_and_timed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(silence, "FILL_AGAIN_AFTER_S", 0.1)
    async with Engines().running() as engines, httpx.AsyncClient() as client:
        # All at once: each of them waits most of the time.
        stages = await asyncio.gather(*(speak(name, engines, client) for name in NAMES))
    for name, stage in zip(NAMES, stages, strict=True):
        assert (name, stage.wire.end.text) == (name, SAID)
        check_times(stage)


async def speak(name: str, engines: Engines, client: httpx.AsyncClient) -> Stage:
    """Run a turn with a vendor's synthesizer, and a model of its where there are some."""
    vendor, _, model = name.partition(" ")
    if vendor == "elevenlabs":
        app = elevenlabs_app(KEY, SpeechSettings(), engines)
    else:
        app = build_app(vendor, KEY, engines)
    async with serve_app(app, "127.0.0.1", 0) as url:
        base = f"{url}/v1" if vendor == "openai_audio" else url
        variables = {"SPEECH_BASE_URL": base, "ELEVENLABS_BASE_URL": url, "SPEECH_MODEL": model}
        built = BUILD[vendor](build_context(client, variables, key=KEY))
        return await run(Voiced(built, VOICES.get(vendor, "")))


async def run(synthesizer: Voiced) -> Stage:
    """Run a turn whose tool takes its time, until after a filler."""
    tool = FakeTool()
    tool.may_answer.clear()
    stage = Stage(
        responder=FakeResponder([["Let me look.", ASKED], ["It **is** here, ", "Sir."]]),
        synthesizer=synthesizer,  # type: ignore[arg-type]  # a stage is typed for the fake
        toolbox=toolbox(tool, spec(say={"": ["Still looking."]})),
    )
    turn = asyncio.create_task(stage.run())
    await until(lambda: "Still" in stage.text)
    await asyncio.sleep(PAUSE_S)
    tool.may_answer.set()
    await turn
    return stage


def check_times(stage: Stage) -> None:
    """Check that words and audio are whole, in order, and where they say they are."""
    sounds = stage.wire.of(Audio)
    words: list[Word] = [word for event in sounds for word in event.words]
    assert [word.text for word in words] == SAID.split()
    assert all(a.start_ms + a.duration_ms == b.start_ms for a, b in pairwise(sounds))
    ends = [word.end_ms for word in words]
    assert ends == sorted(ends)
    assert ends[-1] <= sounds[-1].start_ms + sounds[-1].duration_ms
    parts = split_heard(SAID, words)
    for word in words:
        assert heard_text(parts, word.end_ms).endswith(word.text)
