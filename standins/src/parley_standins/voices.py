"""The voices that can be asked for, and the sentences that a text has.

A voice's id, as ElevenLabs has it, stands for an espeak-ng voice with a variant, a rate and a
pitch, and for what becomes of hibari's one voice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

DEFAULT_VOICE_ID = "21m00Tcm4TlvDq8ikWAM"
DEFAULT_SPEED = 1.0
DEFAULT_STABILITY = 0.5
MAX_SENTENCE_CHARACTERS = 160
"""Longer sentences are cut at a comma, else at a space: what is heard first comes sooner."""

_SENTENCE = re.compile(r".*?(?:[.!?…。]+[\"'”’)\]]*\s+|\n+\s*|$)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Timbre:
    """What becomes of hibari's voice, a woman's.

    Attributes:
        playback: how fast it is played; pitch and formants move with it, the pace does not.
        pitch: by what its pitch is changed besides.
    """

    playback: float = 1.0
    pitch: float = 1.0


@dataclass(frozen=True, slots=True)
class Voice:
    """One voice.

    Attributes:
        words_per_minute: at a speed of 1.
        pitch, pitch_range: espeak-ng's, 0 to 99.
        timbre: hibari's.
    """

    voice_id: str
    name: str
    espeak_name: str
    gender: str
    words_per_minute: int = 160
    pitch: int = 50
    pitch_range: int = 50
    timbre: Timbre = Timbre()

    def described(self, engine: str) -> dict[str, Any]:
        """Return the voice as the lists of voices have it, with who speaks."""
        return {
            "voice_id": self.voice_id,
            "name": self.name,
            "category": "premade",
            "labels": {"gender": self.gender, "accent": "american", "engine": engine},
            "description": f"{self.name}, by {engine}",
            "preview_url": None,
            "available_for_tiers": [],
            "settings": {"stability": DEFAULT_STABILITY, "similarity_boost": 0.75, "speed": 1.0},
        }


# Variants that the recogniser understands well; most of espeak-ng's it does not.
VOICES: dict[str, Voice] = {
    voice.voice_id: voice
    for voice in (
        Voice("21m00Tcm4TlvDq8ikWAM", "Rachel", "en-us+f5", "female", pitch=55, pitch_range=40),
        Voice(
            "pNInz6obpgDQGcFmaJgB", "Adam", "en-us+klatt4", "male", 150, timbre=Timbre(0.9, 0.67)
        ),
        Voice("EXAVITQu4vr4xnSDxMaL", "Bella", "en-us+f2", "female", timbre=Timbre(1.08, 1.0)),
        Voice("ErXwobaYiN019PkySvjV", "Antoni", "en-us+edward", "male", timbre=Timbre(0.92, 0.78)),
        Voice(
            "TxGEqnHWrfWFTfGW9XjX", "Josh", "en-us+benjamin", "male", 150, timbre=Timbre(0.88, 0.8)
        ),
        Voice(
            "JBFqnCBsd6RMkjVDRZzb", "George", "en-us+klatt2", "male", 150, timbre=Timbre(0.86, 0.64)
        ),
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
