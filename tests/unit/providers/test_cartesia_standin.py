"""Cartesia's adapter against the stand-in: real speech, and the service's known oddities."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from parley.audio.word_timing import WordTimer
from parley.config import DEFAULT_SETTINGS
from parley.errors import ProviderError
from parley.protocol.messages import Endpointing, Settings
from parley.providers.cartesia.checks import build_check
from parley.providers.cartesia.contexts import STALE_S
from parley.providers.cartesia.synthesizer import CartesiaSpeech, build_synthesizer
from parley.providers.cartesia.transcriber import build_transcriber
from parley.providers.checks import Unhealthy
from parley.providers.context import ProviderContext
from parley.providers.tts import SpeechPiece
from parley.text.spoken_text import SpokenText
from parley_standins.cartesia_service import CARTESIA_VOICES
from tests.unit.provider_context import build_context

KEY = "the-key"
SETTINGS = DEFAULT_SETTINGS.merged_with(Settings(voice=next(iter(CARTESIA_VOICES))))
CLAUSES = ("How many days,", "do you think,", "are in a week?")


class Standin:
    """The running stand-in."""

    def __init__(self, url: str, http: httpx.AsyncClient) -> None:
        self.url = url
        self._http = http

    async def put(self, **settings: Any) -> None:
        answer = await self._http.put(f"{self.url}/_control", json=settings)
        assert answer.status_code == 200, answer.text

    async def frames(self) -> list[dict[str, Any]]:
        """All frames of its only socket, in both directions."""
        (record,) = (await self._http.get(f"{self.url}/_requests")).json()["requests"]
        return [entry["frame"] for entry in record["frames"]]

    def context(self, key: str = KEY) -> ProviderContext:
        variables = {"SPEECH_BASE_URL": self.url, "TRANSCRIPTION_BASE_URL": self.url}
        return build_context(self._http, variables, key=key)

    async def open_speech(self) -> CartesiaSpeech:
        return await build_synthesizer(self.context()).open("pcm_16000", SETTINGS)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The stand-in's, in a process of its own."""
    command = [sys.executable, "-m", "parley_standins", "--api-key", KEY, "--exit-with-parent"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["urls"]["cartesia"]
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


@pytest.fixture
async def cartesia(url: str) -> AsyncIterator[Standin]:
    async with httpx.AsyncClient(timeout=20) as http:
        for what in ("_control", "_requests"):
            (await http.delete(f"{url}/{what}")).raise_for_status()
        yield Standin(url, http)


async def spoken(stream: CartesiaSpeech, *clauses: str, pause_s: float = 0.0) -> list[SpeechPiece]:
    """What is heard of clauses.

    Args:
        pause_s: how long nothing is heard before the last clause is spoken.
    """
    pieces: list[SpeechPiece] = []

    async def speak() -> None:
        for clause in clauses[:-1]:
            await stream.speak(clause)
        heard = -1
        while pause_s and heard != len(pieces):
            heard = len(pieces) or -1
            await asyncio.sleep(pause_s)
        await stream.speak(clauses[-1])
        await stream.finish()

    speaking = asyncio.create_task(speak())
    try:
        async with asyncio.timeout(30):
            async for piece in stream.pieces():
                pieces.append(piece)
            return pieces
    finally:
        await asyncio.gather(speaking, return_exceptions=True)
        await stream.close()


def words_of(pieces: list[SpeechPiece], clauses: tuple[str, ...]) -> list[tuple[str, int, int]]:
    """The words and their times, as the turn makes them."""
    written = SpokenText()
    written.feed(" ".join(clauses))
    written.finish()
    timer = WordTimer(written)
    for clause in clauses:
        timer.expect(clause)
    words, offset_ms = [], 0.0
    for piece in pieces:
        if piece.alignment:
            words += timer.add(piece.alignment, offset_ms)
        offset_ms += len(piece.pcm) / 32
    return [(word.text, word.start_ms, word.end_ms) for word in words + timer.finish()]


@pytest.mark.parametrize(
    "oddities",
    [
        {},
        {"tts_timestamps": "after"},
        {"tts_flush_done": False},
        {"tts_odd_chunks": True},
    ],
)
async def test_a_reply_has_all_its_words_in_their_time(
    cartesia: Standin, oddities: dict[str, Any]
) -> None:
    await cartesia.put(oddities=oddities)
    pieces = await spoken(await cartesia.open_speech(), *CLAUSES)
    words = words_of(pieces, CLAUSES)
    assert [word for word, _, _ in words] == " ".join(CLAUSES).split()
    starts = [start for _, start, _ in words]
    assert starts == sorted(starts)
    heard_ms = sum(len(piece.pcm) for piece in pieces) / 32
    assert heard_ms * 0.7 < words[-1][2] <= heard_ms
    assert sum(piece.ends_clause for piece in pieces) == len(CLAUSES)


async def test_without_times_a_reply_is_heard_all_the_same(cartesia: Standin) -> None:
    await cartesia.put(oddities={"tts_timestamps": "none"})
    pieces = await spoken(await cartesia.open_speech(), *CLAUSES)
    assert sum(len(piece.pcm) for piece in pieces) > 32_000
    assert not any(piece.alignment for piece in pieces)


@pytest.mark.parametrize(
    ("oddities", "pause_s"),
    [
        ({}, STALE_S + 0.1),
        ({}, 1.3),
        ({"tts_flush_done": False}, 1.3),
        ({"tts_flush_done": False, "tts_done_on_expiry": False}, 1.3),
        ({"tts_context_expiry_s": 0.05, "tts_done_on_expiry": False}, 0.3),
    ],
)
async def test_a_model_that_hesitates_loses_no_word(
    cartesia: Standin, oddities: dict[str, Any], pause_s: float
) -> None:
    await cartesia.put(oddities=oddities)
    pieces = await spoken(await cartesia.open_speech(), *CLAUSES, pause_s=pause_s)
    words = words_of(pieces, CLAUSES)
    assert [word for word, _, _ in words] == " ".join(CLAUSES).split()
    starts = [start for _, start, _ in words]
    assert starts == sorted(starts)
    contexts = {frame.get("context_id") for frame in await cartesia.frames()}
    assert contexts == {"reply-1", "reply-2"}
    assert sum(piece.ends_clause for piece in pieces) == len(CLAUSES)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"status": 401}, "unauthorized"),
        ({"status": 429, "code": "concurrency_limited"}, "rate_limited"),
        ({"refuse": True}, "unavailable"),
        ({"cut": 0}, "unavailable"),
        ({"cut": 2}, "unavailable"),
        ({"garbage": True}, "invalid"),
        ({"error_frame": "internal_error"}, "unavailable"),
    ],
)
@pytest.mark.parametrize("stage", ["speech", "transcription"])
async def test_what_a_service_in_trouble_does(
    cartesia: Standin, stage: str, fault: dict[str, Any], kind: str
) -> None:
    pcm = b"".join(piece.pcm for piece in await spoken(await cartesia.open_speech(), *CLAUSES))

    async def use() -> None:
        if stage == "speech":
            await spoken(await cartesia.open_speech(), *CLAUSES)
        else:
            await heard(cartesia, pcm, "manual")

    await cartesia.put(faults={"tts" if stage == "speech" else "stt": fault})
    with pytest.raises(ProviderError) as raised:
        await use()
    assert raised.value.kind == kind


async def test_an_account_that_is_full_is_not_asked_in_another_context(cartesia: Standin) -> None:
    await cartesia.put(oddities={"tts_max_contexts": 1}, delays={"tts_realtime_factor": 1})
    first, second = await cartesia.open_speech(), await cartesia.open_speech()
    await first.speak(CLAUSES[0])
    pieces = first.pieces()
    await anext(pieces)
    with pytest.raises(ProviderError) as raised:
        await spoken(second, *CLAUSES)
    assert (raised.value.kind, raised.value.cause.reason) == ("rate_limited", "busy")
    await second.close()
    await first.close()


async def heard(cartesia: Standin, pcm: bytes, endpointing: Endpointing) -> str:
    """The final transcript of audio that comes at once."""
    stream = await build_transcriber(cartesia.context()).open("pcm_16000", "en", endpointing)
    try:
        for at in range(0, len(pcm), 3200):
            await stream.send(pcm[at : at + 3200])
        await stream.finish()
        async with asyncio.timeout(30):
            return [piece.text async for piece in stream.pieces()][-1]
    finally:
        await stream.close()


@pytest.mark.parametrize("endpointing", ["manual", "server_vad"])
@pytest.mark.parametrize("own_final_s", [180, 1])
async def test_what_was_spoken_is_understood(
    cartesia: Standin, endpointing: Endpointing, own_final_s: float
) -> None:
    pieces = await spoken(await cartesia.open_speech(), "How many days are in a week?")
    await cartesia.put(oddities={"stt_own_final_s": own_final_s})
    text = await heard(cartesia, b"".join(piece.pcm for piece in pieces), endpointing)
    if own_final_s > 100 or endpointing == "server_vad":
        assert text == "How many days are in a week?"
    else:
        assert text.lower().startswith("how many")
        assert "  " not in text


@pytest.mark.parametrize("endpointing", ["manual", "server_vad"])
async def test_silence_says_nothing(cartesia: Standin, endpointing: Endpointing) -> None:
    assert await heard(cartesia, bytes(32_000), endpointing) == ""


async def test_a_turn_ends_although_the_audio_has_stopped(cartesia: Standin) -> None:
    pieces = await spoken(await cartesia.open_speech(), "How many days are in a week?")
    stream = await build_transcriber(cartesia.context()).open("pcm_16000", "en", "server_vad")
    await stream.send(b"".join(piece.pcm for piece in pieces))
    async with asyncio.timeout(30):
        transcripts = [piece async for piece in stream.pieces()]
    await stream.close()
    assert transcripts[-1].text == "How many days are in a week?"


async def test_the_checks_find_the_key_and_the_voice(cartesia: Standin) -> None:
    await build_check("transcriber", cartesia.context()).check()
    with pytest.raises(Unhealthy, match="VoiceId"):
        await build_check("synthesizer", cartesia.context()).check()
    with pytest.raises(Unhealthy, match="CartesiaApiKey"):
        await build_check("transcriber", cartesia.context(key="another")).check()
