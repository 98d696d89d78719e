"""An utterance on its way out: cut into chunks, and paced as a microphone would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from typing import TypeAlias

from parley_client.errors import BadAudio
from parley_client.pcm import AUDIBLE_AMPLITUDE, BYTES_PER_SAMPLE, duration_ms, samples_of

CHUNK_MS = 480
"""How much audio goes into one message. Coded as µ-law it just fits into 8 write units of the
server's table."""
FIRST_CHUNK_MS = 100
"""Of the first message, which the server's speech recognition begins with."""
PAUSE_MS = 100
"""So much quiet is a pause."""
FRAME_MS = 20
STALLED_S = 0.15
"""A source that is silent for longer may stay so."""

PcmSource: TypeAlias = bytes | bytearray | memoryview | Iterable[bytes] | AsyncIterable[bytes]
"""A whole utterance, or pieces of it of any size."""


class Chunker:
    """Cuts an utterance into chunks: one short one, then `usual_bytes` each.

    What was said before a pause is not kept waiting: the chunk ends there. A plain object.

    Args:
        usual_bytes: of a chunk, whole samples.
        rate_hz: of the audio; 0 to cut by size only.
        silence_awaited: whether the server waits for the silence after the utterance. Then no more
            of it is collected than for the first chunk.
    """

    def __init__(
        self, usual_bytes: int, rate_hz: int = 0, *, silence_awaited: bool = False
    ) -> None:
        first = FIRST_CHUNK_MS * rate_hz // 1000 * BYTES_PER_SAMPLE
        self._usual = usual_bytes
        self._first = self._size = min(first, usual_bytes) if rate_hz else usual_bytes
        self._silence_awaited = silence_awaited
        self._frame = FRAME_MS * rate_hz // 1000 * BYTES_PER_SAMPLE
        self._held = bytearray()
        self._looked = 0
        """How much of what is held has been searched for a pause."""
        self._quiet_ms = 0
        self._spoken = False

    def add(self, piece: bytes) -> list[bytes]:
        """Take more audio; return the chunks that are to be sent now."""
        self._held += piece
        chunks = []
        while (end := self._end()) is not None:
            chunks.append(bytes(self._held[:end]))
            del self._held[:end]
            self._looked = max(0, self._looked - end)
            self._size = self._usual
        return chunks

    def take_rest(self) -> bytes:
        """Return what is held, in whole samples: more may not come soon."""
        size = len(self._held) - len(self._held) % BYTES_PER_SAMPLE
        rest = bytes(self._held[:size])
        del self._held[:size]
        self._looked = 0
        return rest

    @property
    def held_bytes(self) -> int:
        """How much waits for more."""
        return len(self._held)

    def _end(self) -> int | None:
        """Return where the chunk ends that is held; None if it goes on."""
        while self._frame and self._looked + self._frame <= min(len(self._held), self._size):
            frame = bytes(self._held[self._looked : self._looked + self._frame])
            self._looked += self._frame
            if self._pauses(frame):
                return self._looked
        if self._silence_awaited and not self._spoken:
            self._size = self._first
        return self._size if len(self._held) >= self._size else None

    def _pauses(self, frame: bytes) -> bool:
        """Return whether a pause is noticed in this frame."""
        samples = samples_of(frame)
        if max(max(samples), -min(samples)) >= AUDIBLE_AMPLITUDE:
            self._quiet_ms, self._spoken = 0, True
            return False
        self._quiet_ms += FRAME_MS
        if not self._spoken or self._quiet_ms < PAUSE_MS:
            return False
        self._spoken = False
        return True


async def cut_into_chunks(source: PcmSource, chunker: Chunker) -> AsyncGenerator[bytes, None]:
    """Re-cut an utterance.

    A source that gives nothing for `STALLED_S` has what is held sent: it may be paced by somebody
    who leaves silence out.

    Raises:
        BadAudio: the utterance ends in half a sample.
    """
    pieces = _pieces(source)
    coming: asyncio.Task[bytes | None] | None = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(_next(pieces))
            patience_s = STALLED_S if chunker.held_bytes else None
            await asyncio.wait({coming}, timeout=patience_s)
            if not coming.done():
                if rest := chunker.take_rest():
                    yield rest
                continue
            piece, coming = coming.result(), None
            if piece is None:
                break
            for chunk in chunker.add(piece):
                yield chunk
    finally:
        if coming is not None:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
        await pieces.aclose()
    if rest := chunker.take_rest():
        yield rest
    if chunker.held_bytes:
        raise BadAudio("The audio ends in half a sample: 16-bit PCM has an even number of bytes.")


async def _next(pieces: AsyncIterator[bytes]) -> bytes | None:
    """Return the next piece; None at the end."""
    return await anext(pieces, None)


async def pace(source: AsyncIterator[bytes], rate_hz: int) -> AsyncGenerator[bytes, None]:
    """Hand chunks on when a microphone would have: each at the end of its own sound.

    The deadlines count from the first chunk, so that late wake-ups don't add up;
    a source that is itself in real time is never held back.
    """
    loop = asyncio.get_running_loop()
    started_at_s: float | None = None
    sent_bytes = 0
    async for chunk in source:
        if started_at_s is None:
            started_at_s = loop.time()
        sent_bytes += len(chunk)
        due_at_s = started_at_s + duration_ms(sent_bytes, rate_hz) / 1000
        await asyncio.sleep(max(0.0, due_at_s - loop.time()))
        yield chunk


async def _pieces(source: PcmSource) -> AsyncGenerator[bytes, None]:
    if isinstance(source, bytes | bytearray | memoryview):
        yield bytes(source)
    elif isinstance(source, AsyncIterable):
        async for piece in source:
            yield piece
    else:
        for piece in source:
            yield piece
