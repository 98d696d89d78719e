"""The voice and the ear behind every stand-in for a speech service.

The small pair, espeak-ng and PocketSphinx, is there as soon as this package is. The natural pair,
hibari and Moonshine, sounds and hears like a person, but for English only. It needs the extra
`natural` and a folder of weights. What of it cannot be had is that of the small pair.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

from parley_standins.recognizer import POCKETSPHINX, RecognitionFailed, Recognizer, moonshine
from parley_standins.speaker import Speaker, SpeechFailed
from parley_standins.speech_engines import ESPEAK, HIBARI

Pair = Literal["small", "natural"]
MOONSHINE_FILES = ("encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin")


class Unavailable(Exception):
    """A part of the natural pair cannot be had; says why."""


class Engines:
    """One voice and one ear, for as many stand-ins as there are.

    Args:
        pair: which ones are preferred.
        weights: the folder of Moonshine's.

    Attributes:
        missing: why a part of the natural pair is not there, sentences without a full stop.
    """

    def __init__(self, pair: Pair = "small", weights: Path | None = None) -> None:
        self._pair = pair
        self._weights = weights
        self.missing: list[str] = []
        self.speaker = Speaker((ESPEAK,))
        self.recognizer = Recognizer(POCKETSPHINX)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Engines]:
        """Start both, and end both."""
        if self._pair == "natural":
            await self._start_natural()
        else:
            await self.recognizer.start()
            await self.speaker.start()
        try:
            yield self
        finally:
            await self.speaker.stop()
            await self.recognizer.stop()

    async def _start_natural(self) -> None:
        ears, voice = self.recognizer, self.speaker
        try:
            check_moonshine(self._weights)
            assert self._weights is not None
            self.recognizer = Recognizer(moonshine(self._weights))
            await self.recognizer.start()
        except Unavailable as why:
            self.missing.append(str(why))
            await self.recognizer.start()
        try:
            check_hibari()
            self.speaker = Speaker((HIBARI, ESPEAK))
            await self.speaker.start()
        except (Unavailable, SpeechFailed) as why:
            self.missing.append(
                f"hibari does not speak: {why}" if isinstance(why, SpeechFailed) else str(why)
            )
            await self.speaker.stop()
            self.speaker = voice
            await self.speaker.start()
        try:
            await self.recognizer.wait_until_ready()
        except RecognitionFailed as why:
            self.missing.append(str(why))
            await self.recognizer.stop()
            self.recognizer = ears
            await self.recognizer.start()


def check_hibari() -> None:
    """Make sure that the voice is installed.

    Raises:
        Unavailable: it is not.
    """
    _check_modules("hibari", "hibari", "onnxruntime")


def check_moonshine(weights: Path | None) -> None:
    """Make sure that what Moonshine needs is there.

    Raises:
        Unavailable: it is not.
    """
    _check_modules("Moonshine", "onnxruntime")
    if weights is None or not all((weights / name).is_file() for name in MOONSHINE_FILES):
        raise Unavailable(f"Moonshine has no weights in {weights}")


def _check_modules(engine: str, *modules: str) -> None:
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise Unavailable(f"{engine} needs the package {module}, which is not installed")
