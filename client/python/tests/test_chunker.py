"""Where an utterance is cut: what is sent when."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator

import pytest

from parley_client.chunker import CHUNK_MS, Chunker, cut_into_chunks
from parley_client.pcm import AUDIBLE_AMPLITUDE

MS = 32
"""Bytes of a millisecond at 16 kHz."""


def loud(milliseconds: int) -> bytes:
    return struct.pack("<h", -AUDIBLE_AMPLITUDE) * 16 * milliseconds


def quiet(milliseconds: int) -> bytes:
    return struct.pack("<h", AUDIBLE_AMPLITUDE - 1) * 16 * milliseconds


@pytest.mark.parametrize(
    ("sound", "silence_awaited", "expected"),
    [
        pytest.param(
            [loud(1_060)], False, [(100, 100), (580, 480), (1060, 480)], id="speech goes together"
        ),
        pytest.param(
            [loud(300), quiet(100), loud(480)],
            False,
            [(100, 100), (400, 300), (880, 480)],
            id="a pause sends what was said before it",
        ),
        pytest.param(
            [loud(300), quiet(80), loud(200)],
            False,
            [(100, 100), (580, 480)],
            id="a shorter one does not",
        ),
        pytest.param(
            [loud(300), quiet(580)],
            False,
            [(100, 100), (400, 300), (880, 480)],
            id="silence goes together where nobody waits for it",
        ),
        pytest.param(
            [loud(300), quiet(300), loud(580)],
            True,
            [(100, 100), (400, 300), (500, 100), (600, 100), (700, 100), (1180, 480)],
            id="silence that the server waits for is sent soon",
        ),
    ],
)
def test_a_chunk_is_sent(
    sound: list[bytes], silence_awaited: bool, expected: list[tuple[int, int]]
) -> None:
    chunker = Chunker(CHUNK_MS * MS, 16_000, silence_awaited=silence_awaited)
    whole = b"".join(sound)
    sent = [
        ((at + 20 * MS) // MS, len(chunk) // MS)
        for at in range(0, len(whole), 20 * MS)
        for chunk in chunker.add(whole[at : at + 20 * MS])
    ]
    assert sent == expected
    assert sum(length for _, length in sent) * MS + chunker.held_bytes == len(whole)


async def test_what_is_held_is_sent_when_the_source_gives_nothing_more_for_now() -> None:
    arrived = asyncio.Event()

    async def stalling() -> AsyncIterator[bytes]:
        yield loud(100)
        yield loud(60)
        await arrived.wait()  # until that has been sent
        yield loud(20)

    sizes = []
    async for chunk in cut_into_chunks(stalling(), Chunker(CHUNK_MS * MS, 16_000)):
        sizes.append(len(chunk) // MS)
        if len(sizes) == 2:
            arrived.set()
    assert sizes == [100, 60, 20]
