"""The voices that can be asked for, and the speech that they make.

A voice's id, as ElevenLabs has it, stands for an espeak-ng voice with a variant,
a rate and a pitch. `Speaker` has `espeak_worker` say a text sentence by sentence,
so that the first sentence can be heard while the next is being made.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from parley_standins.alignment import CharacterTimes, align
from parley_standins.audio_formats import Samples, from_pcm, resample
from parley_standins.espeak import SAMPLE_RATE_HZ, Utterance

DEFAULT_VOICE_ID = "21m00Tcm4TlvDq8ikWAM"
DEFAULT_SPEED = 1.0
DEFAULT_STABILITY = 0.5
MAX_SENTENCE_CHARACTERS = 160
"""Longer sentences are cut at a comma, else at a space: what is heard first comes sooner."""

_SENTENCE = re.compile(r".*?(?:[.!?…。]+[\"'”’)\]]*\s+|\n+\s*|$)", re.DOTALL)
_UNSPEAKABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Voice:
    """One voice.

    Attributes:
        words_per_minute: at a speed of 1.
        pitch, pitch_range: espeak-ng's, 0 to 99.
    """

    voice_id: str
    name: str
    espeak_name: str
    gender: str
    words_per_minute: int = 160
    pitch: int = 50
    pitch_range: int = 50

    def described(self) -> dict[str, Any]:
        """Return the voice as the lists of voices have it."""
        return {
            "voice_id": self.voice_id,
            "name": self.name,
            "category": "premade",
            "labels": {"gender": self.gender, "accent": "american", "engine": self.espeak_name},
            "description": f"espeak-ng, {self.espeak_name}",
            "preview_url": None,
            "available_for_tiers": [],
            "settings": {"stability": DEFAULT_STABILITY, "similarity_boost": 0.75, "speed": 1.0},
        }


# Variants that the recogniser understands well; most of espeak-ng's it does not.
VOICES: dict[str, Voice] = {
    voice.voice_id: voice
    for voice in (
        Voice("21m00Tcm4TlvDq8ikWAM", "Rachel", "en-us+f5", "female", pitch=55, pitch_range=40),
        Voice("pNInz6obpgDQGcFmaJgB", "Adam", "en-us+klatt4", "male", 150),
        Voice("EXAVITQu4vr4xnSDxMaL", "Bella", "en-us+f2", "female"),
        Voice("ErXwobaYiN019PkySvjV", "Antoni", "en-us+edward", "male"),
        Voice("TxGEqnHWrfWFTfGW9XjX", "Josh", "en-us+benjamin", "male", 150),
        Voice("JBFqnCBsd6RMkjVDRZzb", "George", "en-us+klatt2", "male", 150),
    )
}


@dataclass(frozen=True, slots=True)
class VoiceSettings:
    """What a request may change of a voice.

    Attributes:
        speed: 1 is the voice's own.
        stability: 0 to 1; the less, the livelier the melody.
    """

    speed: float = DEFAULT_SPEED
    stability: float = DEFAULT_STABILITY


@dataclass(frozen=True, slots=True)
class SpokenSentence:
    """One sentence's sound and the times of all of its characters, from its start."""

    text: str
    samples: Samples
    rate_hz: int
    times: CharacterTimes

    @property
    def duration_ms(self) -> float:
        """How long it sounds."""
        return self.samples.size * 1000 / self.rate_hz


class SpeechFailed(Exception):
    """The speech engine could not say it."""


def sentences(text: str) -> list[str]:
    """Return a text's sentences, each with the space behind it; joined, they are the text."""
    found: list[str] = []
    for match in _SENTENCE.finditer(text):
        rest = match.group()
        while len(rest) > MAX_SENTENCE_CHARACTERS:
            cut = _cut(rest)
            found.append(rest[:cut])
            rest = rest[cut:]
        if rest:
            found.append(rest)
    return found


def _cut(text: str) -> int:
    head = text[:MAX_SENTENCE_CHARACTERS]
    for mark in (", ", "; ", ": ", " "):
        at = head.rfind(mark)
        if at > MAX_SENTENCE_CHARACTERS // 3:
            return at + len(mark)
    return MAX_SENTENCE_CHARACTERS


def utterance(text: str, voice: Voice, settings: VoiceSettings) -> Utterance:
    """Return what espeak-ng is told to say."""
    livelier = (DEFAULT_STABILITY - settings.stability) * 60
    return Utterance(
        # Control characters would end the text or be commands.
        text=_UNSPEAKABLE.sub(" ", text),
        voice=voice.espeak_name,
        words_per_minute=max(80, min(450, round(voice.words_per_minute * settings.speed))),
        pitch=voice.pitch,
        pitch_range=max(0, min(99, round(voice.pitch_range + livelier))),
    )


class Speaker:
    """Speech from a worker process that is started once and again if it ends."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._lock = asyncio.Lock()

    async def start(self) -> None:
        """Start the worker, and speak once: the first time, every part of it is slow."""
        await self._say("Ready.", VOICES[DEFAULT_VOICE_ID], VoiceSettings(), 16_000)

    async def stop(self) -> None:
        """End the worker."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def speak(
        self, text: str, voice: Voice, settings: VoiceSettings, rate_hz: int
    ) -> AsyncIterator[SpokenSentence]:
        """Say a text, sentence by sentence. Nothing comes of one without a visible character.

        Raises:
            SpeechFailed: the engine can't.
        """
        for sentence in sentences(text) if text.strip() else ():
            # A cancelled request must not leave its answer for the next one to read.
            yield await asyncio.shield(self._say(sentence, voice, settings, rate_hz))

    async def _say(
        self, sentence: str, voice: Voice, settings: VoiceSettings, rate_hz: int
    ) -> SpokenSentence:
        async with self._lock:
            header, pcm = await self._exchange(utterance(sentence, voice, settings))
        if "error" in header:
            raise SpeechFailed(header["error"])
        samples = resample(from_pcm(pcm), SAMPLE_RATE_HZ, rate_hz)
        words = [(first, count, at * 1000 / SAMPLE_RATE_HZ) for first, count, at in header["words"]]
        times = align(sentence, words, samples.size * 1000 / rate_hz)
        return SpokenSentence(sentence, samples, rate_hz, times)

    async def _exchange(self, spoken: Utterance) -> tuple[dict[str, Any], bytes]:
        process = await self._worker()
        assert process.stdin is not None
        assert process.stdout is not None
        fields = {name: getattr(spoken, name) for name in Utterance.__slots__}
        try:
            process.stdin.write(json.dumps(fields).encode() + b"\n")
            await process.stdin.drain()
            line = await process.stdout.readline()
            if not line:
                raise SpeechFailed("the speech engine ended")
            header: dict[str, Any] = json.loads(line)
            return header, await process.stdout.readexactly(header.get("bytes", 0))
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            raise SpeechFailed(f"the speech engine ended: {error}") from None

    async def _worker(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "parley_standins.espeak_worker",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=1 << 20,
            )
        return self._process
