"""Speech for a server: a text said sentence by sentence, in processes of their own.

The first sentence can be heard while the next is being made. What one engine cannot say, the next
one says.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from parley_standins.alignment import CharacterTimes, TimedWord, align
from parley_standins.audio_formats import Samples, from_pcm, resample
from parley_standins.speech_engines import ESPEAK, SpeechEngine
from parley_standins.voices import DEFAULT_VOICE_ID, VOICES, Voice, VoiceSettings, sentences


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


class Speaker:
    """Speech of one engine; of another one where that cannot.

    Args:
        engines: the preferred one first; the last one can say everything.
    """

    def __init__(self, engines: Sequence[SpeechEngine] = (ESPEAK,)) -> None:
        self._workers = [_Worker(engine) for engine in engines]

    @property
    def engine(self) -> str:
        """Who speaks if it can."""
        return self._workers[0].engine.name

    async def start(self) -> None:
        """Start the preferred engine, and speak once: the first time, every part of it is slow.

        Raises:
            SpeechFailed: it cannot.
        """
        await self._workers[0].say("Ready.", VOICES[DEFAULT_VOICE_ID], VoiceSettings(), 16_000)

    async def stop(self) -> None:
        """End the workers."""
        for worker in self._workers:
            await worker.stop()

    async def speak(
        self, text: str, voice: Voice, settings: VoiceSettings, rate_hz: int
    ) -> AsyncIterator[SpokenSentence]:
        """Say a text, sentence by sentence. Nothing comes of one without a visible character.

        Raises:
            SpeechFailed: no engine can.
        """
        for sentence in sentences(text) if text.strip() else ():
            # A cancelled request must not leave its answer for the next one to read.
            yield await asyncio.shield(self._say(sentence, voice, settings, rate_hz))

    async def _say(
        self, sentence: str, voice: Voice, settings: VoiceSettings, rate_hz: int
    ) -> SpokenSentence:
        *preferred, last = self._workers
        for worker in preferred:
            if worker.engine.can_say(sentence):
                with contextlib.suppress(SpeechFailed):
                    return await worker.say(sentence, voice, settings, rate_hz)
        return await last.say(sentence, voice, settings, rate_hz)


class _Worker:
    """A process of an engine, started when it is needed, and again if it has ended."""

    def __init__(self, engine: SpeechEngine) -> None:
        self.engine = engine
        self._process: asyncio.subprocess.Process | None = None
        self._lock = asyncio.Lock()

    async def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def say(
        self, sentence: str, voice: Voice, settings: VoiceSettings, rate_hz: int
    ) -> SpokenSentence:
        async with self._lock:
            header, pcm = await self._exchange(self.engine.request(sentence, voice, settings))
        if "error" in header:
            raise SpeechFailed(header["error"])
        made_at = header["rate_hz"]
        samples = resample(from_pcm(pcm), made_at, rate_hz)
        words = [
            TimedWord(first, count, *(at * 1000 / made_at for at in times))
            for first, count, *times in header["words"]
        ]
        times = align(sentence, words, samples.size * 1000 / rate_hz)
        return SpokenSentence(sentence, samples, rate_hz, times)

    async def _exchange(self, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        process = await self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            await process.stdin.drain()
            line = await process.stdout.readline()
            if not line:
                raise SpeechFailed("the speech engine ended")
            header: dict[str, Any] = json.loads(line)
            return header, await process.stdout.readexactly(header.get("bytes", 0))
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            raise SpeechFailed(f"the speech engine ended: {error}") from None

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                self.engine.worker,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=1 << 20,
            )
        return self._process
