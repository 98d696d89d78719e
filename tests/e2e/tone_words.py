"""Words as tones, and a transcriber that hears them: real sockets, and next to no computing.

Recognising speech for many sessions at once would take more of a machine than all that is measured.
The transcriber speaks Cartesia's protocol (`/stt/websocket`): binary audio, `finalize`, transcripts
that say what came since the last final one, `flush_done`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from websockets.asyncio.server import Server, ServerConnection, serve

RATE_HZ = 16_000
FRAME_SAMPLES = 160
WORD_FRAMES, GAP_FRAMES = 24, 3
"""Of 10 ms: 240 ms a word, and 30 ms between two, as in quick speech."""
BASE_LEVEL, LEVEL_STEP = 2_000, 200
_FRAME_BYTES = 2 * FRAME_SAMPLES


def speak(words: Sequence[str], vocabulary: Sequence[str]) -> bytes:
    """Return words as 16 kHz PCM, each a tone as loud as its place in the vocabulary."""
    gap = bytes(_FRAME_BYTES * GAP_FRAMES)
    return gap.join(_tone(vocabulary.index(word)) for word in words)


def _tone(place: int) -> bytes:
    level = BASE_LEVEL + place * LEVEL_STEP
    period = array("h", [level] * 8 + [-level] * 8)
    return period.tobytes() * (FRAME_SAMPLES // 16 * WORD_FRAMES)


@dataclass
class ToneTranscriber:
    """Hears the words of a vocabulary.

    Attributes:
        partial_ms: from the end of a word to the transcript with it.
        final_ms: from `finalize` to its transcript.
    """

    vocabulary: Sequence[str]
    partial_ms: float
    final_ms: float

    @contextlib.contextmanager
    def running(self) -> Iterator[str]:
        """Serve from a thread, on a port of the system's choice; yield the URL."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()

        async def start() -> Server:
            return await serve(self._hear, "127.0.0.1", 0, compression=None, max_size=None)

        server = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
        try:
            yield f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        finally:
            loop.call_soon_threadsafe(server.close)
            asyncio.run_coroutine_threadsafe(server.wait_closed(), loop).result(10)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)
            loop.close()

    async def _hear(self, socket: ServerConnection) -> None:
        utterance = _Utterance(self.vocabulary)
        outbox: asyncio.Queue[tuple[float, list[dict[str, object]]]] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        async def answer() -> None:
            while True:
                due_s, frames = await outbox.get()
                await asyncio.sleep(max(0.0, due_s - loop.time()))
                for frame in frames:
                    await socket.send(json.dumps({**frame, "request_id": "tones"}))

        answering = asyncio.create_task(answer())
        try:
            async for message in socket:
                if isinstance(message, bytes):
                    if utterance.hear(message):
                        partial = _transcript(" ".join(utterance.words), is_final=False)
                        outbox.put_nowait((loop.time() + self.partial_ms / 1000, [partial]))
                elif message == "finalize":
                    words = utterance.finish()
                    said = [_transcript(" ".join(words) + ".", is_final=True)] if words else []
                    done: list[dict[str, object]] = [*said, {"type": "flush_done"}]
                    outbox.put_nowait((loop.time() + self.final_ms / 1000, done))
        finally:
            answering.cancel()


def _transcript(text: str, *, is_final: bool) -> dict[str, object]:
    return {"type": "transcript", "text": f" {text}", "is_final": is_final, "language": "en"}


class _Utterance:
    """The words since the last final transcript."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self._vocabulary = vocabulary
        self._rest = b""
        self._place: int | None = None
        self.words: list[str] = []

    def hear(self, pcm: bytes) -> bool:
        """Take audio; return whether a word has ended in it."""
        data = self._rest + pcm
        whole = len(data) // _FRAME_BYTES * _FRAME_BYTES
        self._rest = data[whole:]
        before = len(self.words)
        for at in range(0, whole, _FRAME_BYTES):
            self._take(_place_of(data[at : at + _FRAME_BYTES]))
        return len(self.words) > before

    def _take(self, place: int | None) -> None:
        if self._place is not None and place != self._place:
            self.words.append(self._vocabulary[self._place])
        self._place = place

    def finish(self) -> list[str]:
        """Return the words, and begin anew."""
        self._take(None)
        words, self.words = self.words, []
        return words


def _place_of(frame: bytes) -> int | None:
    samples = array("h", frame)
    level = max(samples)
    return round((level - BASE_LEVEL) / LEVEL_STEP) if level >= BASE_LEVEL else None
