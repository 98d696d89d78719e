"""What speaks: programs that are asked for one sentence at a time, and how each is asked.

Each has a worker: a process that reads one JSON line for each sentence, and answers with a header
line and PCM. The header has `bytes`, `rate_hz` and `words`, in samples: (first character, number of
characters, start, and the end if the engine knows it); or `error`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from parley_standins.voices import DEFAULT_STABILITY, Voice, VoiceSettings

_UNSPEAKABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
HIBARI_SPEEDS = (0.5, 2.0)


@dataclass(frozen=True, slots=True)
class SpeechEngine:
    """A program that speaks.

    Attributes:
        worker: its module.
        request: what the worker is sent for a sentence.
        can_say: whether it knows how to read a text.
    """

    name: str
    worker: str
    request: Callable[[str, Voice, VoiceSettings], dict[str, Any]]
    can_say: Callable[[str], bool]


def _ask_espeak(text: str, voice: Voice, settings: VoiceSettings) -> dict[str, Any]:
    livelier = (DEFAULT_STABILITY - settings.stability) * 60
    return {
        # Control characters would end the text or be commands.
        "text": _UNSPEAKABLE.sub(" ", text),
        "voice": voice.espeak_name,
        "words_per_minute": max(80, min(450, round(voice.words_per_minute * settings.speed))),
        "pitch": voice.pitch,
        "pitch_range": max(0, min(99, round(voice.pitch_range + livelier))),
    }


def _ask_hibari(text: str, voice: Voice, settings: VoiceSettings) -> dict[str, Any]:
    slowest, fastest = HIBARI_SPEEDS
    return {
        "text": _UNSPEAKABLE.sub(" ", text),
        "speed": max(slowest, min(fastest, settings.speed)),
        "playback": voice.timbre.playback,
        "pitch": voice.timbre.pitch,
    }


def is_latin(text: str) -> bool:
    """Whether a text has letters or digits, and all letters are of the Latin script.

    hibari is silent at others.
    """
    signs = [sign for sign in text if sign.isalnum()]
    return bool(signs) and all(
        sign.isdecimal() or unicodedata.name(sign, "").startswith("LATIN") for sign in signs
    )


ESPEAK = SpeechEngine(
    "espeak-ng", "parley_standins.espeak_worker", _ask_espeak, can_say=lambda _text: True
)
HIBARI = SpeechEngine(
    "hibari", "parley_standins.natural.hibari_worker", _ask_hibari, can_say=is_latin
)
