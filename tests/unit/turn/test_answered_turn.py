"""A turn that answers an HTTP request: the same turn, with its events as one answer."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
import pytest

from parley.http.turn_answer import TurnAnswer, build_turn_answer, encode_events, is_complete
from parley.protocol.messages import Audio, Transcript
from parley.storage.inbox_entries import ResumeEntry
from parley.turn import pipeline
from parley.turn.finish import Outcome
from parley.turn.turn import END_MARGIN_S
from tests.quickest import quickest
from tests.unit.fakes import FakeResponder, FakeSynthesizer, broken, spoken, text_in, until
from tests.unit.memory import REF
from tests.unit.stage import REPLY, Stage, holding


async def answered(
    stage: Stage, text: str | None = "Hello there.", **request: Any
) -> tuple[Outcome, TurnAnswer]:
    """Run a turn that nobody is connected to, and what its events say."""
    outcome = await stage.run(text, connection_id="", **request)
    assert outcome is not None
    assert not stage.wire.events, "nothing is posted to the session's connection"
    frames = encode_events(outcome.events)
    assert is_complete(frames)
    return outcome, build_turn_answer("s", frames, "token")


async def test_all_of_a_typed_turn_is_one_answer() -> None:
    stage = Stage(responder=FakeResponder([[REPLY]]))
    outcome, answer = await answered(stage)
    assert (answer.reason, answer.text, answer.transcript) == ("completed", REPLY, None)
    assert answer.audio is not None
    assert text_in(answer.audio.base64).replace(" ", "") == REPLY.replace(" ", "")
    assert [word.text for word in answer.words] == REPLY.split()
    assert outcome.metrics.first_audio_ms is not None


async def test_nobody_is_waited_for() -> None:
    async def took_s() -> float:
        stage = Stage()
        stage.acknowledges = False
        began = time.monotonic()
        await answered(stage)
        assert not [*stage.store.list_undelivered(REF)]
        return time.monotonic() - began

    assert await quickest(took_s, 1.0) < 1.0, "the wait for an ack is 1.5 s"


async def test_audio_that_came_whole_is_transcribed_whole() -> None:
    said = "Is the old bridge open? " * 600
    pcm = spoken(said)
    assert len(pcm) > 20_480, "more than the transcriber is sent at once"
    stage = Stage(listen_timeout_s=0.01)
    outcome, answer = await answered(stage, None, audio=pcm)
    assert answer.transcript == said.strip()
    assert [e for e in outcome.events if isinstance(e, Transcript) and e.final]
    assert outcome.metrics.transcript_ms is not None


async def test_what_was_answered_is_kept() -> None:
    stage = Stage()
    outcome, _ = await answered(stage)
    assert stage.store.get_answer(REF, "t1", 1) == encode_events(outcome.events)


async def test_an_answer_that_cannot_be_kept_is_given_all_the_same() -> None:
    stage = Stage()
    stage.store.failing.add("put_answer")
    _, answer = await answered(stage)
    assert answer.reason == "completed"
    assert ("not_kept", {"what": "answer", "error": "OSError"}) in stage.logged


async def test_a_session_that_moves_takes_no_answer_along() -> None:
    responder, event = holding("Sure,")
    stage = Stage(responder=responder)
    running = asyncio.create_task(answered(stage))
    await until(lambda: responder.prompts)
    resume = ResumeEntry("elsewhere", "https://x", 1, 0, int(time.time() * 1000))
    stage.store.inboxes.put_resume(REF, "t1", resume)
    await asyncio.sleep(0.1)  # some polls of the inbox
    event.set()
    _, answer = await running
    assert answer.text == "Sure, And so on."


async def test_an_interrupted_answer_loses_its_audio() -> None:
    responder, _ = holding("Sure, that is so. ")
    stage = Stage(responder=responder)
    running = asyncio.create_task(answered(stage))
    await until(lambda: stage.synthesizer.streams and stage.synthesizer.streams[0].clauses)
    stage.interrupt(0)
    outcome, answer = await running
    assert (answer.reason, answer.heard, answer.audio) == ("interrupted", "", None)
    assert not answer.truncated
    assert not any(event.audio for event in outcome.events if isinstance(event, Audio))


async def test_an_interruption_at_the_very_end_is_honoured() -> None:
    stage = Stage()
    finish = stage.store.finish_turn

    def interrupted_meanwhile(*arguments: Any, **options: Any) -> bool:
        stage.interrupt(0)
        return finish(*arguments, **options)

    stage.store.finish_turn = interrupted_meanwhile  # type: ignore[method-assign]  # a race
    _, answer = await answered(stage)
    assert (answer.reason, answer.heard, answer.audio) == ("interrupted", "", None)
    assert not answer.truncated


async def test_an_answer_of_a_voice_without_times_says_that_its_words_are_estimated() -> None:
    _, answer = await answered(Stage())
    assert answer.words
    assert not answer.words_estimated
    _, answer = await answered(Stage(synthesizer=FakeSynthesizer(timed=False)))
    assert answer.words_estimated
    assert "".join(word.text for word in answer.words) == "".join(answer.text.split())


async def test_what_fits_of_an_answer_without_times_is_an_estimate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pipeline, "MAX_ANSWER_AUDIO_BYTES", 48 * 10 * 30)
    responder, _ = holding("Sure, the old bridge is open. ", "It closes at nine. ")
    synthesizer = FakeSynthesizer(timed=False, ends_clauses=True)
    _, answer = await answered(Stage(responder=responder, synthesizer=synthesizer))
    assert (answer.truncated, answer.heard_estimated) == (True, True)
    assert answer.heard
    assert answer.text.startswith(answer.heard)


async def test_a_reply_that_does_not_fit_is_cut_where_it_was_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    room = 48 * 10 * 30
    monkeypatch.setattr(pipeline, "MAX_ANSWER_AUDIO_BYTES", room)
    responder, _ = holding("Sure, the old bridge is open. ", "It closes at nine. ")
    stage = Stage(responder=responder)
    _, answer = await answered(stage)
    assert (answer.reason, answer.truncated) == ("interrupted", True)
    assert answer.audio is not None
    assert len(answer.audio.base64) >= room
    sounded = text_in(answer.audio.base64).split()
    assert answer.heard == " ".join(sounded)
    assert stage.store.messages()[-1].heard == answer.heard


async def test_a_turn_without_time_ends_with_what_there_is() -> None:
    responder, _ = holding("Sure, that is so. ")
    stage = Stage(responder=responder)
    _, answer = await answered(stage, remaining_s=END_MARGIN_S + 0.2)
    assert (answer.reason, answer.text) == ("failed", "Sure, that is so. ")
    assert answer.error is not None
    assert answer.error.code == "turn_timeout"
    assert answer.audio is not None


async def test_speech_that_fails_leaves_a_text() -> None:
    stage = Stage(synthesizer=FakeSynthesizer([broken(code="speech_failed")]))
    _, answer = await answered(stage)
    assert (answer.reason, answer.audio) == ("completed", None)
    assert answer.error is not None
    assert answer.error.code == "speech_failed"


async def test_a_turn_that_is_refused_is_an_answer_too() -> None:
    stage = Stage()
    stage.store.open_session(status="ended")
    _, answer = await answered(stage)
    assert answer.reason == "failed"
    assert answer.error is not None
    assert answer.error.code == "session_not_found"


async def test_events_with_a_gap_are_not_whole() -> None:
    outcome, _ = await answered(Stage())
    frames = encode_events(outcome.events)
    assert not is_complete(frames[1:])
    assert not is_complete(frames[:-1])
    assert not is_complete([])


async def test_what_is_not_there_is_left_out_of_the_json() -> None:
    _, answer = await answered(Stage())
    answer.resume_token = None
    assert {"transcript", "heard", "error", "truncated", "resume_token", "attempt"}.isdisjoint(
        msgspec.to_builtins(answer)
    )
