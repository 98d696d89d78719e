"""An utterance on its way out: cut into chunks, and paced as a microphone would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from typing import TypeAlias

from parley_client.errors import BadAudio
from parley_client.pcm import BYTES_PER_SAMPLE, duration_ms

PcmSource: TypeAlias = bytes | bytearray | memoryview | Iterable[bytes] | AsyncIterable[bytes]
"""A whole utterance, or pieces of it of any size."""


async def cut_into_chunks(source: PcmSource, chunk_bytes: int) -> AsyncGenerator[bytes, None]:
    """Re-cut an utterance into chunks of `chunk_bytes`; the last may be shorter.

    Raises:
        BadAudio: the utterance ends in half a sample.
    """
    held = bytearray()
    async for piece in _pieces(source):
        held += piece
        while len(held) >= chunk_bytes:
            yield bytes(held[:chunk_bytes])
            del held[:chunk_bytes]
    if len(held) % BYTES_PER_SAMPLE:
        raise BadAudio("The audio ends in half a sample: 16-bit PCM has an even number of bytes.")
    if held:
        yield bytes(held)


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


async def _pieces(source: PcmSource) -> AsyncIterator[bytes]:
    if isinstance(source, bytes | bytearray | memoryview):
        yield bytes(source)
    elif isinstance(source, AsyncIterable):
        async for piece in source:
            yield piece
    else:
        for piece in source:
            yield piece
