"""From an utterance to its transcript: retried with all of its audio."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from parley.aio.replay_queue import ReplayQueue
from parley.aio.tasks import BackgroundClose
from parley.errors import ProviderError
from parley.protocol.messages import Endpointing
from parley.providers import retry
from parley.providers.candidates import Candidate
from parley.providers.rules import CallRules
from parley.providers.stt import TranscriptPiece
from parley.turn.stages import stt as stage
from parley.turn.stages.stt import SttStage, Unheard
from tests.unit.fakes import DEADLINE_S, FakeTranscriber, broken, spoken, until


class Ear:
    """Hearing, and the partial transcripts that came of it."""

    def __init__(
        self,
        transcriber: FakeTranscriber,
        timeout_s: float = 0.2,
        hedge_after_s: float = 9.0,
        endpointing: Endpointing = "manual",
    ) -> None:
        self.transcriber = transcriber
        self.partials: list[TranscriptPiece] = []
        self.audio: ReplayQueue[bytes] = ReplayQueue()
        self.closing = BackgroundClose()
        self.hearing = SttStage(
            [Candidate(transcriber)],
            self.audio,
            "pcm_16000",
            "en",
            endpointing,
            timeout_s=timeout_s,
            hedge_after_s=hedge_after_s,
            on_partial=self.partials.append,
            on_failover=lambda error: None,
            background=self.closing,
        )

    def hear(self, text: str, *, over: bool = True) -> None:
        pcm = spoken(text)
        for at in range(0, len(pcm), 6):
            self.audio.put(pcm[at : at + 6])
        if over:
            self.audio.close()


async def test_it_listens_while_the_user_talks() -> None:
    ear = Ear(FakeTranscriber())
    hearing = asyncio.create_task(ear.hearing.transcribe())
    ear.hear("What time", over=False)
    await until(lambda: any(p.text == "What time" for p in ear.partials))
    ear.hear(" is it?")
    async with ear.closing:
        assert await hearing == "What time is it?"
    assert not any(piece.final for piece in ear.partials)
    assert ear.transcriber.streams[0].closed


async def test_a_user_who_talks_for_long_is_no_timeout() -> None:
    ear = Ear(FakeTranscriber(), timeout_s=0.05)
    hearing = asyncio.create_task(ear.hearing.transcribe())
    await asyncio.sleep(0.15)
    ear.hear("Well?")
    assert await hearing == "Well?"


async def test_a_transcript_that_never_comes_is_a_timeout() -> None:
    ear = Ear(FakeTranscriber(mute=True), timeout_s=0.05)
    ear.hear("Well?")
    with pytest.raises(ProviderError) as raised:
        await ear.hearing.transcribe()
    assert (raised.value.code, raised.value.kind) == ("transcription_failed", "timeout")


@pytest.mark.parametrize("fail_after", [None, 1, 3])
async def test_a_retry_hears_everything_from_the_start(fail_after: int | None) -> None:
    ear = Ear(FakeTranscriber([broken("unavailable")], fail_after=fail_after))
    ear.hear("What time is it?")
    assert await ear.hearing.transcribe() == "What time is it?"
    assert ear.hearing.retries == 1
    assert b"".join(ear.transcriber.streams[-1].chunks) == spoken("What time is it?")


async def test_a_retry_hears_what_came_before_and_after_the_failure() -> None:
    ear = Ear(FakeTranscriber([broken("unavailable")], fail_after=1))
    hearing = asyncio.create_task(ear.hearing.transcribe())
    ear.hear("What ", over=False)
    await until(lambda: ear.hearing.retries)
    ear.hear("time is it?")
    assert await hearing == "What time is it?"


@pytest.mark.parametrize("kind", ["unauthorized", "refused", "invalid", "timeout"])
async def test_what_a_retry_cannot_mend_is_not_tried_again(kind: Any) -> None:
    ear = Ear(FakeTranscriber([broken(kind)]))
    ear.hear("Well?")
    with pytest.raises(ProviderError):
        await ear.hearing.transcribe()
    assert len(ear.transcriber.opened) == 1


async def test_a_transcriber_that_keeps_failing_has_time_until_the_user_has_finished(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retry, "EARLY_DELAYS_S", (0.0,))
    ear = Ear(FakeTranscriber([broken("unavailable")] * 9))
    hearing = asyncio.create_task(ear.hearing.transcribe())
    ear.hear("What ", over=False)
    await until(lambda: ear.transcriber.streams)
    ear.hear("time is it?")
    assert await hearing == "What time is it?"
    assert ear.hearing.retries == 9


async def test_the_user_who_finishes_waits_for_no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "EARLY_DELAYS_S", (60.0,))
    ear = Ear(FakeTranscriber([broken("unavailable")]), timeout_s=2)
    hearing = asyncio.create_task(ear.hearing.transcribe())
    await until(lambda: ear.hearing.retries)
    ear.hear("What time is it?")
    assert await hearing == "What time is it?"


async def test_a_transcriber_that_still_fails_when_all_was_said_is_given_up() -> None:
    rules = CallRules(retry_delays_s=(0.0, 0.0))
    ear = Ear(FakeTranscriber([broken("unavailable")] * 9, rules), timeout_s=5)
    ear.hear("Well?")
    with pytest.raises(ProviderError):
        await ear.hearing.transcribe()
    assert len(ear.transcriber.opened) == 3


async def test_a_transcriber_that_hears_the_end_need_not_be_told() -> None:
    ear = Ear(FakeTranscriber(hears_the_end=True))
    ear.hear("Go on.", over=False)
    assert await ear.hearing.transcribe() == "Go on."
    assert not ear.transcriber.streams[0].finished


class Clock:
    """Stands only as long as nobody talks."""

    now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(stage, "time", clock)
    return clock


async def talk(ear: Ear, clock: Clock, seconds: float) -> None:
    """Say nothing in particular for so long, a tenth of a second at a time."""
    over = clock.now_s + seconds
    while clock.now_s < over:
        clock.now_s += 0.1
        ear.hear("um ", over=False)
        for _ in range(20):  # everything that this brings about happens
            await asyncio.sleep(0)


async def test_a_transcriber_that_is_to_find_the_end_and_stalls_gets_another_beside(
    clock: Clock,
) -> None:
    ear = Ear(
        FakeTranscriber(hears_the_end=True, stalled=1),
        hedge_after_s=0.0,
        endpointing="server_vad",
    )
    running = asyncio.create_task(ear.hearing.transcribe())
    await talk(ear, clock, 2 * stage.UNHEARD_S)
    ear.hear("Go on.", over=False)
    async with asyncio.timeout(5):
        assert (await running).endswith("um Go on.")
    assert ear.hearing.retries == 1


@pytest.mark.parametrize(("stalled", "endpointing"), [(0, "server_vad"), (1, "manual")])
async def test_a_transcriber_that_may_still_be_silent_is_alone(
    clock: Clock, stalled: int, endpointing: Endpointing
) -> None:
    ear = Ear(FakeTranscriber(stalled=stalled), hedge_after_s=0.0, endpointing=endpointing)
    running = asyncio.create_task(ear.hearing.transcribe())
    await talk(ear, clock, 2 * stage.UNHEARD_S)
    for _ in range(50):  # a hedge after 0 s would start within a few turns of the loop
        await asyncio.sleep(0)
    assert ear.hearing.retries == 0
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


def test_pauses_in_the_audio_and_what_comes_at_once_are_no_stall() -> None:
    unheard = Unheard()
    for now_s in (0.0, 0.0, 0.0, 60.0, 60.0, 120.0):
        assert not unheard.note_audio(now_s)


def test_a_stall_is_so_much_audio_in_a_row_without_a_word() -> None:
    unheard = Unheard()
    assert [now_s for now_s in range(10) if unheard.note_audio(now_s)] == [5, 6, 7, 8, 9]
    unheard.note_words()
    assert [now_s for now_s in range(10, 16) if unheard.note_audio(now_s)] == [14, 15]


async def test_cancelling_closes_the_stream_and_leaves_nothing_behind() -> None:
    ear = Ear(FakeTranscriber())
    hearing = asyncio.create_task(ear.hearing.transcribe())
    ear.hear("Well", over=False)
    await until(lambda: ear.partials)
    hearing.cancel()
    async with ear.closing:
        with pytest.raises(asyncio.CancelledError):
            await hearing
    assert ear.transcriber.streams[0].closed
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_transcript_does_not_wait_for_the_transcriber_s_farewell() -> None:
    ear = Ear(FakeTranscriber(slow_to_close=True))
    ear.hear("Well?")
    async with asyncio.timeout(DEADLINE_S), ear.closing:
        assert await ear.hearing.transcribe() == "Well?"
        (stream,) = ear.transcriber.streams
        assert not stream.closed
        stream.may_close.set()
    assert stream.closed
    assert asyncio.all_tasks() == {asyncio.current_task()}
