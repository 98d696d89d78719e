"""What a pause has Scribe commit in mid-utterance, against a scripted socket."""

from __future__ import annotations

import asyncio

import pytest

from parley.providers.elevenlabs import transcriber
from parley.providers.elevenlabs.transcriber import AUTO_COMMIT_FROM_MS, MIN_AUDIO_MS
from parley.providers.stt import TranscriptPiece
from tests.unit.providers.scribe import (
    SECOND,
    STARTED,
    committed,
    described,
    error,
    opened,
    partial,
    until_commit,
)
from tests.unit.speech_server import Peer, playing


async def flushed(
    *answer: object, final: tuple[object, ...] = (), language: str = "en"
) -> tuple[list[TranscriptPiece], list[TranscriptPiece]]:
    """What comes of frames that answer a flush, and of those that answer the end."""

    async def script(peer: Peer) -> None:
        await peer.send(STARTED)
        await until_commit(peer)
        await peer.send(*answer)
        await until_commit(peer)
        await peer.send(*final)

    async with playing(script) as server:
        stream = await opened(server.url, language=language)
        try:
            await stream.send(SECOND)
            assert await stream.flush()
            pieces = aiter(stream.pieces())
            first: list[TranscriptPiece] = []
            while not first or first[-1].sign != "confirmed":
                first.append(await anext(pieces))
            await stream.send(SECOND)
            await stream.finish()
            return first, [piece async for piece in pieces]
        finally:
            await stream.close()


async def test_a_commit_in_mid_utterance_confirms_what_was_said() -> None:
    first, rest = await flushed(
        partial("What time"),
        committed("What time?"),
        partial("What time"),
        partial("Is it"),
        final=(committed("Is it?"),),
    )
    confirmed = TranscriptPiece("What time?", False, "", "confirmed")
    assert first == [TranscriptPiece("What time", False), confirmed]
    assert rest == [
        TranscriptPiece("What time? Is it", False),
        TranscriptPiece("What time? Is it?", True),
    ]


@pytest.mark.parametrize("name", ["commit_throttled", "insufficient_audio_activity"])
async def test_a_flush_that_is_refused_is_answered_all_the_same(name: str) -> None:
    first, rest = await flushed(error(name), final=(committed("Well."),))
    assert first == [TranscriptPiece("", False, "", "confirmed")]
    assert rest == [TranscriptPiece("Well.", True)]


async def test_what_is_confirmed_has_its_language() -> None:
    first, _ = await flushed(
        committed("Hallo."), described("Hallo."), final=(committed(""),), language=""
    )
    assert first == [
        TranscriptPiece("Hallo.", False),
        TranscriptPiece("Hallo.", False, "deu", "confirmed"),
    ]


async def test_the_answer_to_a_flush_does_not_end_the_utterance() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(STARTED)
        await until_commit(peer)
        await until_commit(peer)
        await peer.send(committed("What time?"))
        await asyncio.sleep(transcriber.AUTO_COMMIT_GRACE_S / 5)
        await peer.send(committed("Is it?"))

    async with playing(script) as server:
        stream = await opened(server.url)
        await stream.send(SECOND)
        await stream.flush()
        await stream.send(SECOND)
        await stream.finish()
        pieces = [piece async for piece in stream.pieces()]
        await stream.close()
    assert pieces == [TranscriptPiece("What time? Is it?", True)]


async def test_a_short_tail_after_a_flush_is_made_long_enough() -> None:
    tails: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.send(STARTED)
        await until_commit(peer)
        await peer.send(committed("Well."))
        tails.append(await until_commit(peer))
        await peer.send(committed("Yes."))

    async with playing(script) as server:
        stream = await opened(server.url)
        await stream.send(SECOND)
        await stream.flush()
        await stream.send(bytes(3_200))
        await stream.finish()
        assert [piece async for piece in stream.pieces()][-1].text == "Well. Yes."
        await stream.close()
    assert len(tails[0]) == MIN_AUDIO_MS * 32


@pytest.mark.parametrize("sent_ms", [MIN_AUDIO_MS - 1, AUTO_COMMIT_FROM_MS])
async def test_nothing_is_flushed_that_the_service_would_ignore_or_may_commit_itself(
    sent_ms: int,
) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(STARTED)

    async with playing(script) as server:
        stream = await opened(server.url)
        await stream.send(bytes(sent_ms * 32))
        assert not await stream.flush()
        await stream.close()


async def test_where_the_service_commits_nothing_is_flushed() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(STARTED)

    async with playing(script) as server:
        stream = await opened(server.url, "server_vad")
        await stream.send(SECOND)
        assert not await stream.flush()
        await stream.close()
