"""Recognition of the stand-in's own voices: how good it is, and that it invents nothing."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from parley_standins.audio_formats import to_pcm
from parley_standins.speaker import Speaker
from parley_standins.stt_decoder import SttDecoder, make_decoder
from parley_standins.voices import VOICES, Voice, VoiceSettings
from standins_tests.conftest import word_error_rate

EVERYDAY = (
    "what time is it",
    "my name is alice",
    "what is my name",
    "tell me a story about the sea",
    "how many days are in a week",
    "count to ten",
    "what is two plus three",
    "what did i say",
    "thank you very much",
    "hello how are you today",
    "good morning",
    "what is the weather like today",
    "i live in london",
    "what is seven times eight",
    "tell me a joke",
    "where do you live",
    "my favorite color is green",
    "what is my favorite color",
    "what can you do",
    "repeat after me the sky is blue",
    "say that again",
    "what day is it today",
    "i have two dogs and a cat",
    "please count from one to five",
    "remind me to call my mother tomorrow",
    "do you like music",
    "how old are you",
    "can you help me with something",
    "tell me a long story about a dog",
    "why is the sky blue",
)
FOR_TOOLS = (
    "book a table for two at eight",
    "can you book a table for six at half past seven",
    "where is order b seven",
    "show me a note that says the kitchen closes at ten",
    "yes book it please",
)
"""What the demo's tools are asked for."""
MAX_WORD_ERROR_RATE = {"Rachel": 0.10, "Adam": 0.15, "Antoni": 0.15}


@pytest.fixture(scope="module")
def decoder() -> SttDecoder:
    return SttDecoder(make_decoder())


def heard(decoder: SttDecoder, pcm: bytes) -> str:
    for at in range(0, len(pcm), 3200):
        decoder.hear(pcm[at : at + 3200])
    return decoder.finish()[0]


def all_spoken(voice: Voice, texts: tuple[str, ...]) -> list[bytes]:
    async def speak() -> list[bytes]:
        speaker = Speaker()
        settings = VoiceSettings()
        try:
            return [
                b"".join(
                    [to_pcm(s.samples) async for s in speaker.speak(text, voice, settings, 16_000)]
                )
                for text in texts
            ]
        finally:
            await speaker.stop()

    return asyncio.run(speak())


@pytest.mark.parametrize("name", MAX_WORD_ERROR_RATE)
def test_everyday_sentences_are_recognised(decoder: SttDecoder, name: str) -> None:
    voice = next(voice for voice in VOICES.values() if voice.name == name)
    texts = (EVERYDAY[::3] if name == "Rachel" else EVERYDAY[::5]) + FOR_TOOLS
    spoken = all_spoken(voice, tuple(f"{text.capitalize()}." for text in texts))
    results = [(text, heard(decoder, pcm)) for text, pcm in zip(texts, spoken, strict=True)]
    words = sum(len(text.split()) for text in texts)
    errors = sum(word_error_rate(text, got) * len(text.split()) for text, got in results)
    wrong = [result for result in results if result[0] != result[1]]
    assert errors / words <= MAX_WORD_ERROR_RATE[name], wrong


def test_what_was_heard_before_changes_nothing(decoder: SttDecoder) -> None:
    first, other = all_spoken(VOICES["21m00Tcm4TlvDq8ikWAM"], ("What did I say?", "Good night."))
    once = heard(decoder, first)
    heard(decoder, other)
    assert heard(decoder, first) == once


@pytest.mark.parametrize("level", [0, 60, 600, 2000])
def test_silence_and_noise_give_no_sentence(decoder: SttDecoder, level: int) -> None:
    noise = np.random.default_rng(1).normal(0, level, 48_000) if level else np.zeros(48_000)
    words = heard(decoder, noise.astype(np.int16).tobytes()).split()
    assert len(words) <= (2 if level > 100 else 0)
