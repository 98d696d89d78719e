"""From clauses to audio: connected early, retried whole, silent no longer than allowed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from parley.aio.tasks import BackgroundClose
from parley.audio.word_timing import Place
from parley.config import DEFAULT_SETTINGS
from parley.errors import ProviderError
from parley.providers import retry
from parley.providers.candidates import Candidate
from parley.providers.rules import CallRules
from parley.providers.tts import SpeechPiece
from parley.turn.stages.tts import TtsStage
from tests.unit.fakes import DEADLINE_S, FakeSynthesizer, broken, text_in, until


class Speaker:
    """Speaking, and what it made heard."""

    def __init__(
        self, synthesizer: FakeSynthesizer, timeout_s: float = 0.2, hedge_after_s: float = 9.0
    ) -> None:
        self.synthesizer = synthesizer
        self.pieces: list[SpeechPiece] = []
        self.closing = BackgroundClose()
        self.speaking = TtsStage(
            [Candidate(synthesizer)],
            "pcm_24000",
            DEFAULT_SETTINGS,
            timeout_s=timeout_s,
            hedge_after_s=hedge_after_s,
            on_audio=self.pieces.append,
            on_break_off=lambda: Place(0, 0),
            on_failover=lambda error: None,
            background=self.closing,
        )

    def say(self, *clauses: str, close: bool = True) -> None:
        for clause in clauses:
            self.speaking.clauses.put(clause)
        if close:
            self.speaking.clauses.close()

    @property
    def text(self) -> str:
        return "".join(text_in(piece.pcm) for piece in self.pieces).strip()


async def test_it_connects_before_there_is_anything_to_say() -> None:
    speaker = Speaker(FakeSynthesizer())
    running = asyncio.create_task(speaker.speaking.run())
    await until(lambda: speaker.synthesizer.streams)
    speaker.say("One.", "Two.")
    async with speaker.closing:
        await running
    assert speaker.text == "One. Two."
    assert speaker.synthesizer.streams[0].closed


async def test_a_long_thought_is_no_silence_of_the_synthesizer_s() -> None:
    speaker = Speaker(FakeSynthesizer(), timeout_s=0.05)
    running = asyncio.create_task(speaker.speaking.run())
    await asyncio.sleep(0.1)
    speaker.say("One.", close=False)
    await until(lambda: speaker.pieces)
    await asyncio.sleep(0.1)
    speaker.say("Two.")
    await running
    assert speaker.text == "One. Two."


async def test_silence_where_a_sound_is_owed_is_a_timeout() -> None:
    speaker = Speaker(FakeSynthesizer(silent=True), timeout_s=0.05)
    speaker.say("One.", close=False)
    async with speaker.closing:
        with pytest.raises(ProviderError) as raised:
            await speaker.speaking.run()
    assert (raised.value.code, raised.value.kind) == ("speech_failed", "timeout")
    assert speaker.synthesizer.streams[0].closed


async def test_an_end_that_never_comes_is_a_timeout() -> None:
    class Endless(FakeSynthesizer):
        async def open(self, *args: Any) -> Any:
            stream = await super().open(*args)

            async def finish() -> None:
                stream.finished = True

            stream.finish = finish  # type: ignore[method-assign]  # the final frame is lost
            return stream

    speaker = Speaker(Endless(), timeout_s=0.05)
    speaker.say("One.")
    with pytest.raises(ProviderError) as raised:
        await speaker.speaking.run()
    assert raised.value.kind == "timeout"
    assert speaker.text == "One."


async def test_a_retry_speaks_everything_from_the_start() -> None:
    speaker = Speaker(FakeSynthesizer([broken("unavailable")], fail_after=0), timeout_s=9.0)
    speaker.say("One.", "Two.", "Three.")
    async with speaker.closing:
        await speaker.speaking.run()
    assert speaker.text == "One. Two. Three."
    assert speaker.speaking.retries == 1
    assert all(stream.closed for stream in speaker.synthesizer.streams)


async def test_a_synthesizer_that_keeps_failing_has_time_until_there_is_something_to_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retry, "EARLY_DELAYS_S", (0.0,))
    speaker = Speaker(FakeSynthesizer([broken("unavailable")] * 9))
    running = asyncio.create_task(speaker.speaking.run())
    await until(lambda: speaker.synthesizer.streams)
    speaker.say("One.")
    await running
    assert speaker.text == "One."


async def test_nothing_is_tried_again_after_the_first_sound() -> None:
    speaker = Speaker(FakeSynthesizer([broken("unavailable")], fail_after=1))
    speaker.say("One.", "Two.")
    with pytest.raises(ProviderError):
        await speaker.speaking.run()
    assert (speaker.text, speaker.speaking.retries) == ("One.", 0)
    assert len(speaker.synthesizer.streams) == 1


@pytest.mark.parametrize("kind", ["unauthorized", "refused", "invalid", "timeout"])
async def test_what_a_retry_cannot_mend_is_not_tried_again(kind: Any) -> None:
    speaker = Speaker(FakeSynthesizer([broken(kind)]))
    speaker.say("One.")
    with pytest.raises(ProviderError):
        await speaker.speaking.run()
    assert len(speaker.synthesizer.opened) == 1


async def test_a_reply_without_a_word_makes_no_sound() -> None:
    speaker = Speaker(FakeSynthesizer())
    speaker.say()
    await speaker.speaking.run()
    assert speaker.pieces == []


async def test_a_reply_without_a_word_does_not_wait_for_a_synthesizer_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retry, "EARLY_DELAYS_S", (0.0,))
    down = FakeSynthesizer([broken("unavailable")] * 1_000_000, CallRules(retry_delays_s=()))
    speaker = Speaker(down)
    speaker.say()
    async with asyncio.timeout(5):
        with pytest.raises(ProviderError):
            await speaker.speaking.run()


async def test_cancelling_closes_the_stream_and_leaves_nothing_behind() -> None:
    speaker = Speaker(FakeSynthesizer(silent=True), timeout_s=5)
    speaker.say("One.", close=False)
    running = asyncio.create_task(speaker.speaking.run())
    await until(lambda: speaker.synthesizer.streams and speaker.synthesizer.streams[0].clauses)
    running.cancel()
    async with speaker.closing:
        with pytest.raises(asyncio.CancelledError):
            await running
    assert speaker.synthesizer.streams[0].closed
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_silent_stream_gets_a_second_one_that_speaks_everything() -> None:
    synthesizer = FakeSynthesizer()
    opened = synthesizer.open

    async def first_is_silent(*arguments: Any) -> Any:
        synthesizer.silent = not synthesizer.streams
        stream = await opened(*arguments)
        silent = synthesizer.silent
        if silent:

            async def say_nothing(clause: str) -> None:
                stream.clauses.append(clause)

            stream.speak = say_nothing  # type: ignore[method-assign]  # it stalls
        synthesizer.silent = False
        return stream

    synthesizer.open = first_is_silent  # type: ignore[method-assign,assignment]  # two streams
    speaker = Speaker(synthesizer, timeout_s=5, hedge_after_s=0.05)
    speaker.say("One.", close=False)
    running = asyncio.create_task(speaker.speaking.run())
    await until(lambda: speaker.text == "One.")
    speaker.say("Two.")
    async with speaker.closing:
        await running
    assert speaker.text == "One. Two."
    assert speaker.speaking.retries == 1
    assert all(stream.closed for stream in synthesizer.streams)


async def test_a_reply_that_has_been_spoken_does_not_wait_for_the_synthesizer_s_farewell() -> None:
    speaker = Speaker(FakeSynthesizer(slow_to_close=True))
    speaker.say("One.")
    async with asyncio.timeout(DEADLINE_S), speaker.closing:
        await speaker.speaking.run()
        (stream,) = speaker.synthesizer.streams
        assert not stream.closed
        stream.may_close.set()
    assert (speaker.text, stream.closed) == ("One.", True)
    assert asyncio.all_tasks() == {asyncio.current_task()}
