"""Recognition for a server: a pool of decoding processes, one per utterance at a time.

PocketSphinx decodes, or Moonshine (`RecognitionEngine`).

An `Utterance` takes audio as it comes and has a worker of the pool decode it at once.
Where all workers are busy it keeps the audio until one is free. The text is given
back as a person would write it: with capitals and a full stop or question mark.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parley_standins.audio_formats import StreamResampler, from_pcm, from_ulaw, to_pcm
from parley_standins.recognition_wire import HEADER, SAMPLE_RATE_HZ

MIN_WORKERS = 1
MAX_WORKERS = max(2, min(8, 2 * (os.cpu_count() or 1)))
"""More than the cores can feed would only start slowly; later utterances wait their turn."""
_CLOSING = (".", "?", "!", "…")

_QUESTIONS = frozenset(
    [
        "what",
        "who",
        "whom",
        "whose",
        "where",
        "when",
        "why",
        "how",
        "which",
        "is",
        "are",
        "am",
        "was",
        "were",
        "do",
        "does",
        "did",
        "can",
        "could",
        "will",
        "would",
        "shall",
        "should",
        "may",
        "have",
        "has",
    ]
)


@dataclass(frozen=True, slots=True)
class Word:
    """One recognised word, with its times in seconds from the utterance's start."""

    text: str
    start_s: float
    end_s: float
    log_probability: float


@dataclass(frozen=True, slots=True)
class Recognised:
    """What an utterance turned out to say."""

    text: str = ""
    words: tuple[Word, ...] = ()


class RecognitionFailed(Exception):
    """A decoder ended in the middle of an utterance."""


def written(spoken: str, *, complete: bool) -> str:
    """Return recognised words as a sentence; a complete one ends with a mark.

    >>> written("what time is it", complete=True)
    'What time is it?'
    """
    words = [w.capitalize() if w == "i" or w.startswith("i'") else w for w in spoken.split()]
    if not words:
        return ""
    if not complete or words[-1].endswith(_CLOSING):
        mark = ""
    else:
        mark = "?" if words[0].lower() in _QUESTIONS else "."
    return words[0][0].upper() + " ".join(words)[1:] + mark


class AudioDecoder:
    """Received audio made into what the recogniser hears, piece by piece.

    Args:
        codec: `pcm` (16-bit little-endian) or `ulaw`.
        rate_hz: of the received audio.
    """

    def __init__(self, codec: str, rate_hz: int) -> None:
        self._codec = codec
        self._resampler = StreamResampler(rate_hz, SAMPLE_RATE_HZ)
        self._rest = b""

    def decode(self, data: bytes) -> bytes:
        """Return the next audio, as 16-bit PCM at 16 kHz. A split sample waits for its other
        half."""
        if self._codec == "ulaw":
            return to_pcm(self._resampler.resample(from_ulaw(data)))
        data = self._rest + data
        whole = len(data) // 2 * 2
        self._rest = data[whole:]
        return to_pcm(self._resampler.resample(from_pcm(data[:whole])))


class _Worker:
    """One decoding process. Answers come in the order of the questions."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._answers: deque[asyncio.Future[Recognised]] = deque()
        self.on_partial: Callable[[str], None] | None = None
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._read_task = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, engine: RecognitionEngine) -> _Worker:
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                *engine.command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=1 << 22,
            )
        )

    @property
    def alive(self) -> bool:
        return self._process.returncode is None and not self._read_task.done()

    def send(self, kind: bytes, payload: bytes = b"") -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(HEADER.pack(kind, len(payload)) + payload)

    def ask(self, kind: bytes) -> asyncio.Future[Recognised]:
        answer: asyncio.Future[Recognised] = asyncio.get_running_loop().create_future()
        if not self.alive:
            answer.set_exception(RecognitionFailed("the recogniser has ended"))
            return answer
        self._answers.append(answer)
        self.send(kind)
        return answer

    async def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await self._read_task

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            self._take(json.loads(line))
        while self._answers:
            answer = self._answers.popleft()
            if not answer.done():
                answer.set_exception(RecognitionFailed("the recogniser ended"))
        if not self.ready.done():
            self.ready.cancel()

    def _take(self, message: dict[str, Any]) -> None:
        if "partial" in message:
            if self.on_partial:
                self.on_partial(message["partial"])
        elif "ready" in message:
            if not self.ready.done():
                self.ready.set_result(None)
        else:
            answer = self._answers.popleft()
            words = tuple(Word(*word) for word in message.get("words", ()))
            if not answer.done():
                answer.set_result(Recognised(message.get("final", ""), words))


@dataclass(frozen=True, slots=True)
class RecognitionEngine:
    """A program that hears.

    Attributes:
        command: of a worker: a module and its arguments.
        max_workers: that decode at once.
    """

    name: str
    command: tuple[str, ...]
    max_workers: int = MAX_WORKERS


POCKETSPHINX = RecognitionEngine("PocketSphinx", ("parley_standins.recognition_worker",))
MOONSHINE_WORKERS = 2
"""Each takes 180 MB."""


def moonshine(weights: Path) -> RecognitionEngine:
    """Return Moonshine with the weights of a folder."""
    command = ("parley_standins.natural.moonshine_worker", str(weights))
    return RecognitionEngine("Moonshine", command, MOONSHINE_WORKERS)


class Recognizer:
    """The pool: one worker from the start, more when they are needed, never more than so many."""

    def __init__(self, engine: RecognitionEngine = POCKETSPHINX) -> None:
        self._engine = engine
        self._idle: list[_Worker] = []
        self._busy: set[_Worker] = set()
        self._start_count = 0
        self._changed = asyncio.Condition()

    async def start(self) -> None:
        """Have the first workers loading their models."""
        self._idle = [await _Worker.start(self._engine) for _ in range(MIN_WORKERS)]

    async def stop(self) -> None:
        """End all workers."""
        workers = [*self._idle, *self._busy]
        self._idle, self._busy = [], set()
        await asyncio.gather(*(worker.stop() for worker in workers))

    @property
    def engine(self) -> str:
        """Who hears."""
        return self._engine.name

    async def wait_until_ready(self) -> None:
        """Wait until the first workers hear.

        Raises:
            RecognitionFailed: one has ended instead.
        """
        for worker in self._idle:
            await asyncio.wait({worker.ready})
            if worker.ready.cancelled():
                raise RecognitionFailed(f"{self.engine} did not start")

    def open_utterance(
        self, decoder: AudioDecoder, on_partial: Callable[[str], None] | None = None
    ) -> Utterance:
        """Open a new utterance; `on_partial` is called with the text so far when it changes."""
        return Utterance(self, decoder, on_partial)

    async def acquire(self) -> _Worker:
        """Return a worker, as soon as there is one; give it back with `release`."""
        async with self._changed:
            while True:
                self._idle = [worker for worker in self._idle if worker.alive]
                if self._idle:
                    worker = self._idle.pop()
                    break
                if len(self._busy) + self._start_count < self._engine.max_workers:
                    self._start_count += 1
                    try:
                        worker = await _Worker.start(self._engine)
                    finally:
                        self._start_count -= 1
                    break
                await self._changed.wait()
            self._busy.add(worker)
        return worker

    async def release(self, worker: _Worker) -> None:
        """Give a worker back."""
        worker.on_partial = None
        async with self._changed:
            if worker in self._busy:
                self._busy.discard(worker)
                self._idle.append(worker)
            self._changed.notify()


class Utterance:
    """Audio on its way to words.

    Args:
        recognizer: whose worker it uses.
        decoder: from the received format; it goes on through a session's utterances.
        on_partial: see `Recognizer.utterance`.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        decoder: AudioDecoder,
        on_partial: Callable[[str], None] | None,
    ) -> None:
        self._recognizer = recognizer
        self._decoder = decoder
        self._on_partial = on_partial
        self._pending: list[bytes] = []
        self._worker: _Worker | None = None
        self._acquire_task: asyncio.Task[None] | None = None

    def hear(self, data: bytes) -> None:
        """Take the next audio, in the format received."""
        pcm = self._decoder.decode(data)
        if self._worker is not None:
            self._worker.send(b"A", pcm)
            return
        self._pending.append(pcm)
        if self._acquire_task is None:
            self._acquire_task = asyncio.create_task(self._acquire())

    async def finish(self) -> Recognised:
        """Return all of it, once everything has been decoded.

        Raises:
            RecognitionFailed: a decoder ended.
        """
        return await self._end(b"E")

    async def forget(self) -> None:
        """Drop it, and let go of the worker."""
        with contextlib.suppress(RecognitionFailed):
            await self._end(b"X")

    async def _acquire(self) -> None:
        worker = await self._recognizer.acquire()
        worker.on_partial = self._on_partial
        for pcm in self._pending:
            worker.send(b"A", pcm)
        self._pending.clear()
        self._worker = worker

    async def _end(self, kind: bytes) -> Recognised:
        if self._acquire_task is None:
            return Recognised()
        await self._acquire_task
        worker, self._worker = self._worker, None
        assert worker is not None
        self._acquire_task = None
        try:
            return await worker.ask(kind)
        finally:
            await self._recognizer.release(worker)
