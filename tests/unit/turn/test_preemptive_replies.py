"""A reply that begins before the end of the utterance is sure: heard if it is, and never if not."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest

from parley.protocol.messages import Audio, Metrics, ReplyText, Transcript
from parley.providers.circuit_breaker import OPEN_S, OPENS_AFTER
from parley.providers.rules import CallRules
from parley.turn import preemption
from parley.turn.preemption import Commit, Decision, Preemption
from tests.unit.fakes import (
    CHAR_MS,
    FakeResponder,
    FakeSynthesizer,
    FakeTranscriber,
    Step,
    broken,
    until,
)
from tests.unit.memory import REF
from tests.unit.stage import Stage
from tests.unit.turn.tools import ASKED, FakeTool, recorded, spec, toolbox

ASK, MORE = "What time is it?", "What time is it? In Rome."
CHUNKS, MORE_CHUNKS = 4, 7
ANSWER = "You said: What time is it?"


class Scene:
    """One spoken turn, whose client tells of pauses."""

    def __init__(self, stage: Stage, **request: Any) -> None:
        self.stage = stage
        self.running = asyncio.create_task(stage.run(None, **{"pauses": True, **request}))

    async def pause(self, number: int = 1, text: str = ASK) -> None:
        """Say something and pause; a reply is begun and has been spoken."""
        stage = self.stage
        before = len(stage.responder.prompts)
        stage.say(text, end=False)
        stage.pause(number, -(-len(text) // 4))
        await until(lambda: len(stage.responder.prompts) > before)

    async def spoken(self, text: str = ANSWER) -> None:
        """Wait until the voice has said something, of whichever reply is under way."""
        stage = self.stage
        await until(lambda: text in [s.said.strip() for s in stage.synthesizer.streams[-2:]])

    async def over(self) -> Metrics:
        await self.running
        return self.stage.wire.end.metrics

    @property
    def heard(self) -> list[Any]:
        """What of a reply, or of the end of the utterance, the user could notice."""
        stage = self.stage
        finals = [event for event in stage.wire.of(Transcript) if event.final]
        return [*finals, *stage.wire.of(ReplyText), *stage.wire.of(Audio), *stage.errors]


def tried(metrics: Metrics) -> tuple[int | None, bool | None, int | None]:
    found = metrics
    return found.preemptive_tries, found.preemptive_hit, found.preemptive_wasted_chars


# --- it is heard ------------------------------------------------------------------------


async def test_a_reply_that_was_begun_at_the_pause_is_heard_at_the_end() -> None:
    scene = Scene(Stage())
    await scene.pause()
    await scene.spoken()
    assert scene.heard == []
    assert scene.stage.history_texts == []
    scene.stage.end(CHUNKS, pause=1)
    metrics = await scene.over()
    assert scene.stage.text == ANSWER
    assert scene.stage.wire.end.reason == "completed"
    assert scene.stage.history_texts == [("user", ASK, None), ("assistant", ANSWER, None)]
    assert tried(metrics) == (1, True, 0)
    assert len(scene.stage.responder.prompts) == 1
    kinds = [type(event) for event in scene.stage.wire.events if event in scene.heard]
    assert kinds[:2] == [Transcript, ReplyText]


async def test_its_times_are_what_was_left_at_the_end() -> None:
    scene = Scene(Stage())
    await scene.pause()
    await scene.spoken()
    scene.stage.end(CHUNKS, pause=1)
    found = await scene.over()
    parts = [found.dispatch_ms, found.transcript_ms, found.prepare_ms, found.responder_ms]
    parts += [found.clause_ms, found.synthesizer_ms, found.delivery_ms]
    assert None not in parts
    assert min(part or 0 for part in parts) >= 0
    assert sum(part or 0 for part in parts) == pytest.approx(found.first_audio_ms, abs=0.5)
    assert (found.prepare_ms, found.responder_ms, found.synthesizer_ms) == (0, 0, 0)


async def test_a_confirmed_pause_needs_no_final_transcript() -> None:
    scene = Scene(Stage(transcriber=FakeTranscriber(confirms=True, mute=True)))
    await scene.pause()
    stream = scene.stage.transcriber.streams[0]
    await until(lambda: stream.flushes)
    scene.stage.end(CHUNKS, pause=1)
    assert tried(await scene.over()) == (1, True, 0)
    assert scene.stage.text == ANSWER


async def test_a_confirmed_transcript_is_enough_to_begin() -> None:
    transcriber = FakeTranscriber(confirms=True, mute=True, has_partials=False)
    scene = Scene(Stage(transcriber=transcriber))
    await scene.pause()
    scene.stage.end(CHUNKS, pause=1)
    assert tried(await scene.over()) == (1, True, 0)


async def test_with_push_to_talk_a_transcript_that_does_not_change_begins_it() -> None:
    scene = Scene(Stage(), pauses=False)
    scene.stage.say(ASK, end=False)
    await until(lambda: scene.stage.responder.prompts)
    await scene.spoken()
    assert scene.heard == []
    scene.stage.end(CHUNKS)
    assert tried(await scene.over()) == (1, True, 0)


async def test_the_transcribers_own_signs_begin_it_too() -> None:
    stage = Stage()
    stage.deployment = replace(stage.deployment, transcriber="deepgram")
    scene = Scene(stage, pauses=False, endpointing="server_vad")
    stage.say(ASK, end=False)
    await until(lambda: [t for t in stage.wire.of(Transcript) if t.text == ASK])
    stream = stage.transcriber.streams[0]
    stream.tell("likely_end")
    await until(lambda: len(stage.responder.prompts) == 1)
    await scene.spoken()
    stream.tell("unlikely_end")
    await until(lambda: len(stage.synthesizer.opened) == 2)
    stream.tell("likely_end")
    await until(lambda: len(stage.responder.prompts) == 2)
    await scene.spoken()
    assert scene.heard == []
    await stream.finish()
    assert tried(await scene.over()) == (2, True, len(ANSWER))
    assert stage.text == ANSWER


# --- it is not --------------------------------------------------------------------------


async def test_nothing_of_it_is_left_when_the_user_goes_on() -> None:
    scene = Scene(Stage())
    await scene.pause()
    await scene.spoken()
    scene.stage.pause(1, CHUNKS, over=True)
    await until(lambda: len(scene.stage.synthesizer.opened) == 2)
    assert scene.heard == []
    await scene.pause(2, MORE)
    scene.stage.end(MORE_CHUNKS, pause=2)
    metrics = await scene.over()
    assert scene.stage.text == f"You said: {MORE}"
    assert scene.stage.history_texts[0] == ("user", MORE, None)
    assert len(scene.stage.history_texts) == 2
    assert tried(metrics) == (2, True, len(ANSWER))
    assert metrics.reply_chars == len(scene.stage.text)
    both_ms = sum(len(stream.said) for stream in scene.stage.synthesizer.streams) * CHAR_MS
    assert metrics.audio_ms == both_ms > len(scene.stage.audio) / 48


async def until_opened(stage: Stage, count: int) -> None:
    """Wait until so many connections to the voice have been opened."""
    await until(lambda: len(stage.synthesizer.opened) == count)


async def until_asked(stage: Stage, count: int) -> None:
    """Wait until the model has been asked so often."""
    await until(lambda: len(stage.responder.prompts) >= count)


async def test_a_third_pause_begins_nothing() -> None:
    scene = Scene(Stage())
    for number, text in enumerate(("What tim", ASK), 1):
        await scene.pause(number, text)
        scene.stage.pause(number, 0, over=True)
        await until_opened(scene.stage, number + 1)
    scene.stage.say(MORE, end=False)
    scene.stage.pause(3, MORE_CHUNKS)
    scene.stage.end(MORE_CHUNKS, pause=3)
    metrics = await scene.over()
    assert metrics.preemptive_hit is False
    assert metrics.preemptive_tries == 2
    assert [prompt.text for prompt in scene.stage.responder.prompts] == ["What tim", ASK, MORE]
    assert scene.stage.text == f"You said: {MORE}"


async def test_what_is_understood_otherwise_in_the_end_is_answered() -> None:
    scene = Scene(Stage(), pauses=False)
    scene.stage.say(ASK, end=False)
    await until(lambda: scene.stage.responder.prompts)
    scene.stage.say(MORE)
    metrics = await scene.over()
    assert metrics.preemptive_hit is False
    assert scene.stage.text == f"You said: {MORE}"


async def test_an_interruption_ends_it_unseen() -> None:
    scene = Scene(Stage())
    await scene.pause()
    await scene.spoken()
    scene.stage.interrupt(0)
    metrics = await scene.over()
    assert scene.heard == []
    end = scene.stage.wire.end
    assert (end.reason, end.text, end.heard) == ("interrupted", "", "")
    assert scene.stage.history_texts == []
    assert tried(metrics) == (1, False, len(ANSWER))
    assert metrics.audio_ms == len(f"{ANSWER} ") * CHAR_MS  # it is paid for


async def test_a_void_reply_is_no_failure_of_its_provider() -> None:
    stage = Stage()
    for turn in range(OPENS_AFTER):
        responder: Step = asyncio.Event()
        stage.responder.replies = [["On ", responder]]
        scene = Scene(stage, turn_id=f"t{turn}")
        stage.say(ASK, f"t{turn}", end=False)
        stage.pause(1, CHUNKS, f"t{turn}")
        before = len(stage.responder.prompts)
        await until_asked(stage, before + 1)
        stage.interrupt(0, f"t{turn}")
        await scene.running
        stage.wire = type(stage.wire)()
    assert stage.circuits.responder.refuse_call("reply_failed", time.monotonic()) is None


async def test_a_void_reply_leaves_the_trial_of_an_open_circuit_to_the_next() -> None:
    stage = Stage(responder=FakeResponder([[asyncio.Event()], [ANSWER]]))
    for circuit in (stage.circuits.responder, stage.circuits.synthesizer):
        for _ in range(OPENS_AFTER):
            circuit.record_failure(broken("unavailable"), time.monotonic() - OPEN_S - 1)
    scene = Scene(stage)
    await scene.pause()
    stage.pause(1, CHUNKS, over=True)
    await until(lambda: len(stage.synthesizer.opened) == 2)
    stage.say(MORE)
    await scene.over()
    assert (stage.wire.end.reason, stage.errors) == ("completed", [])
    assert stage.text == ANSWER
    assert stage.audio


async def test_one_that_fails_is_asked_for_again_at_the_end() -> None:
    stage = Stage(responder=FakeResponder([[broken()], [ANSWER]]))
    scene = Scene(stage)
    await scene.pause()
    await until(lambda: len(stage.synthesizer.opened) == 2)
    stage.end(CHUNKS, pause=1)
    metrics = await scene.over()
    assert stage.wire.end.reason == "completed"
    assert stage.text == ANSWER
    assert tried(metrics) == (1, False, 0)
    assert stage.errors == []


async def test_another_language_than_presumed_makes_it_void() -> None:
    stage = Stage(
        transcriber=FakeTranscriber(language="de"), detects_language=True, languages=("en", "de")
    )
    scene = Scene(stage)
    await scene.pause()
    await scene.spoken()
    stage.end(CHUNKS, pause=1)
    metrics = await scene.over()
    assert tried(metrics) == (1, False, len(ANSWER))
    assert [settings.language for _, settings in stage.synthesizer.opened] == ["en", "de"]
    assert [prompt.language for prompt in stage.responder.prompts] == ["en", "de"]


async def test_what_comes_behind_the_end_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(transcriber=FakeTranscriber(confirms=True, mute=True))
    advance = Preemption.advance

    def with_more_on_its_way(self: Preemption, now_s: float) -> list[Decision]:
        decisions = advance(self, now_s)
        if any(isinstance(decision, Commit) for decision in decisions):
            stage.transcriber.streams[0].tell("", "What")
        return decisions

    monkeypatch.setattr(Preemption, "advance", with_more_on_its_way)
    scene = Scene(stage)
    await scene.pause()
    await until(lambda: stage.transcriber.streams[0].flushes)
    stage.end(CHUNKS, pause=1)
    await scene.over()
    assert [event.final for event in stage.wire.of(Transcript)].index(True) == (
        len(stage.wire.of(Transcript)) - 1
    )


# --- tools ------------------------------------------------------------------------------


async def test_no_tool_runs_before_the_end_is_sure() -> None:
    tool = FakeTool()
    stage = Stage(
        responder=FakeResponder([["One moment. ", ASKED], ["One moment. ", ASKED], ["Here."]]),
        toolbox=toolbox(tool, spec(effect="write")),
    )
    scene = Scene(stage)
    await scene.pause()
    await scene.spoken("One moment.")
    stage.pause(1, CHUNKS, over=True)
    await until(lambda: len(stage.synthesizer.opened) >= 3)
    assert tool.invocations == []
    assert recorded(stage) == []
    await scene.pause(2, MORE)
    await until(lambda: [s.said for s in stage.synthesizer.streams].count("One moment. ") == 2)
    assert recorded(stage) == []
    stage.end(MORE_CHUNKS, pause=2)
    metrics = await scene.over()
    assert [call.key for call in tool.invocations] == ["s.t1.0.0"]
    (done,) = recorded(stage)
    assert done.user_text == MORE
    assert stage.text == "One moment. Here."
    assert (metrics.preemptive_hit, metrics.tool_calls) == (True, 1)


# --- where it is not wanted -------------------------------------------------------------


@pytest.mark.parametrize(
    ("deployment", "rules"),
    [({"preemptive_replies": False}, CallRules()), ({}, CallRules(repeatable=False))],
    ids=["switched off", "a responder that acts"],
)
async def test_nothing_is_asked_before_the_end(
    deployment: dict[str, Any], rules: CallRules, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preemption, "SETTLED_S", 0.0)
    monkeypatch.setattr(preemption, "LATE_S", 0.0)
    stage = Stage(responder=FakeResponder(rules=rules), **deployment)
    scene = Scene(stage)
    stage.say("What tim", end=False)
    stage.pause(1, 2)
    await until(lambda: [t for t in stage.wire.of(Transcript) if t.text == "What tim"])
    # What comes after the pause is heard: the pause has been seen by then.
    stage.say(ASK, end=False)
    await until(lambda: [t for t in stage.wire.of(Transcript) if t.text == ASK])
    assert stage.responder.prompts == []
    stage.end(CHUNKS)
    metrics = await scene.over()
    assert tried(metrics) == (None, None, None)
    assert stage.text == ANSWER
    assert stage.transcriber.streams[0].finished
    assert stage.transcriber.streams[0].flushes == 0


async def test_a_client_that_tells_nothing_gets_its_reply_all_the_same() -> None:
    scene = Scene(Stage(synthesizer=FakeSynthesizer()))
    scene.stage.say(ASK)
    await scene.over()
    assert scene.stage.text == ANSWER
    assert scene.stage.store.inboxes.read_inbox(REF, "t1", 1)
