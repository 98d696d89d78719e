"""Whole turns over in-memory services: what the client gets, and what is kept.

Whatever happens, a turn that was claimed posts its events without a gap and ends once:
`Wire.end` checks that for every test that looks at it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from parley import delivering
from parley import turn as turn_module
from parley.connections import Address
from parley.history import History
from parley.inbox import AckEntry, ChunkEntry, EndEntry, InterruptEntry, ResumeEntry
from parley.invocation import TurnRequest
from parley.items import Session
from parley.limits.rules import NO_LIMITS
from parley.opening import run_turn
from parley.protocol import (
    AnyServerEvent,
    Audio,
    Error,
    ReplyText,
    Settings,
    Transcript,
    TurnEnd,
    encode,
)
from parley.replying import MAX_REPLY_CHARS
from parley.responders import Prompt
from parley.settings import Deployment
from parley.turn import ENDING_MARGIN_S, Outcome, Services
from parley.watching import UNREADABLE_POLL_S
from tests.unit.fakes import (
    DEADLINE_S,
    REF,
    FakeResponder,
    FakeSynthesizer,
    FakeTranscriber,
    MemoryStore,
    Wire,
    broken,
    spoken,
    text_in,
    until,
)

REPLY = "Sure, the old bridge is open. It closes at nine, and then you have to swim."


class Stage:
    """One session, its services and its connection."""

    def __init__(
        self,
        *,
        transcriber: FakeTranscriber | None = None,
        responder: FakeResponder | None = None,
        synthesizer: FakeSynthesizer | None = None,
        **deployment: Any,
    ) -> None:
        self.store = MemoryStore()
        self.store.open_session()
        self.wire = Wire()
        self.transcriber = transcriber or FakeTranscriber()
        self.responder = responder or FakeResponder()
        self.synthesizer = synthesizer or FakeSynthesizer()
        self.acknowledges = True
        self.logged: list[tuple[str, dict[str, Any]]] = []
        self.deployment = replace(
            Deployment(table="t", provider_timeout_s=0.3, listen_timeout_s=0.3), **deployment
        )
        self.history = History(self.store, self.deployment.history_messages)

    @property
    def services(self) -> Services:
        """What the turns work with."""
        return Services(
            self.store,
            self.store,
            self.history,
            self.transcriber,
            self.responder,
            self.synthesizer,
            self.deployment,
            lambda event, fields: self.logged.append((event, fields)),
        )

    async def run(
        self,
        text: str | None = "Hello there.",
        turn_id: str = "t1",
        *,
        remaining_s: float = 60,
        owner: str = "me",
        connection_id: str = "c",
        **request: Any,
    ) -> Outcome | None:
        """Run a turn to its end, for a client on this stage's wire that acknowledges it."""
        wire = self.wire

        def acknowledge(event: Any) -> None:
            if isinstance(event, TurnEnd) and self.acknowledges:
                self.store.put_ack(REF, turn_id, AckEntry(event.attempt, event.seq))

        wire.on_event = acknowledge
        fields = {"received_at_ms": int(time.time() * 1000), **request}
        asked = TurnRequest(REF, turn_id, connection_id, "https://x", text=text, **fields)
        async with asyncio.timeout(DEADLINE_S):
            return await run_turn(
                asked,
                self.services,
                wire.post,
                owner,
                remaining_s=lambda: remaining_s,
                cold=False,
            )

    def say(self, text: str, turn_id: str = "t1", *, end: bool = True, size: int = 8) -> None:
        """Put an utterance into the inbox."""
        pcm = spoken(text)
        chunks = [pcm[at : at + size] for at in range(0, len(pcm), size)]
        for seq, audio in enumerate(chunks, 1):
            self.store.put_chunk(REF, turn_id, ChunkEntry(seq, audio))
        if end:
            entry = EndEntry(len(chunks), int(time.time() * 1000))
            self.store.put_end(REF, turn_id, entry)

    def interrupt(self, played_ms: float | None, turn_id: str = "t1") -> None:
        self.store.put_interrupt(REF, turn_id, InterruptEntry(played_ms))

    def there(self) -> list[Any]:
        """What was posted to another connection than the turn's first."""
        posted = zip(self.wire.events, self.wire.addresses, strict=True)
        return [event for event, address in posted if address.connection_id != "c"]

    @property
    def text(self) -> str:
        return "".join(event.delta for event in self.wire.of(ReplyText))

    @property
    def audio(self) -> bytes:
        return b"".join(event.audio for event in self.wire.of(Audio))

    @property
    def errors(self) -> list[Error]:
        return self.wire.of(Error)

    @property
    def history_texts(self) -> list[tuple[str, str, str | None]]:
        return [(m.role, m.text, m.heard) for m in self.store.messages()]


def holding(*first: str) -> tuple[FakeResponder, asyncio.Event]:
    """A responder that says something and then waits until it may go on."""
    event = asyncio.Event()
    return FakeResponder([[*first, event, " And so on."]]), event


# --- what a good turn does --------------------------------------------------------------


async def test_a_typed_turn_gives_text_speech_and_word_times() -> None:
    stage = Stage(responder=FakeResponder([[*REPLY]]))
    outcome = await stage.run("Which bridge?")
    end = stage.wire.end
    assert (end.reason, end.text, end.heard) == ("completed", REPLY, None)
    assert stage.text == REPLY
    assert text_in(stage.audio).split() == REPLY.split()
    words = [word for event in stage.wire.of(Audio) for word in event.words]
    assert [word.text for word in words] == REPLY.split()
    assert outcome is not None
    assert outcome.reason == "completed"


async def test_a_turn_is_kept_in_the_history_with_its_metrics() -> None:
    stage = Stage(responder=FakeResponder([[REPLY]]))
    await stage.run("Which bridge?")
    assert stage.history_texts == [("user", "Which bridge?", None), ("assistant", REPLY, None)]
    assert stage.store.metrics[-1].reply_chars == len(REPLY)
    finished = stage.store.turns[REF, "t1"]
    assert finished.state == "completed"
    assert " ".join(word.text for word in finished.words) == REPLY
    assert finished.message_key in stage.store.history[REF]


async def test_the_parts_of_the_first_audio_add_up() -> None:
    stage = Stage()
    await stage.run()
    found = stage.wire.end.metrics
    parts = [found.dispatch_ms, found.prepare_ms, found.responder_ms]
    parts += [found.clause_ms, found.synthesizer_ms, found.delivery_ms]
    assert None not in parts
    assert sum(part or 0 for part in parts) == pytest.approx(found.first_audio_ms, abs=0.5)
    assert found.transcript_ms is None
    assert found.posts == len(stage.wire.events) - 1
    assert (found.cold, found.connection_reused, found.retries) == (False, True, 0)
    assert found.audio_ms == pytest.approx(len(stage.audio) / 48, abs=1)


async def test_a_spoken_turn_is_heard_and_answered() -> None:
    stage = Stage()
    stage.say("What time is it?")
    await stage.run(None, format="pcm_8000")
    assert stage.wire.end.reason == "completed"
    transcripts = stage.wire.of(Transcript)
    assert [t.final for t in transcripts].count(True) == 1
    assert transcripts[-1].text == "What time is it?"
    assert stage.text == "You said: What time is it?"
    assert stage.history_texts[0] == ("user", "What time is it?", None)
    assert stage.transcriber.opened == [("pcm_8000", "en", "manual")]
    assert stage.responder.warmed_up == 1
    assert stage.wire.end.metrics.transcript_ms is not None


async def test_audio_that_comes_while_the_turn_runs_is_transcribed_while_it_comes() -> None:
    stage = Stage(listen_timeout_s=5)
    stage.say("What tim", end=False)
    running = asyncio.create_task(stage.run(None))
    await until(lambda: [t for t in stage.wire.of(Transcript) if t.text == "What tim"])
    stage.say("What time is it?")
    await running
    assert stage.wire.end.reason == "completed"
    assert stage.wire.of(Transcript)[-1].text == "What time is it?"


async def test_the_synthesizer_is_opened_while_the_user_is_still_talking() -> None:
    stage = Stage(listen_timeout_s=5)
    stage.say("What", end=False)
    running = asyncio.create_task(stage.run(None))
    await until(lambda: stage.synthesizer.streams and stage.responder.warmed_up)
    assert stage.responder.prompts == []
    stage.say("What?")
    await running
    assert len(stage.synthesizer.opened) == 1


async def test_an_utterance_whose_end_never_comes_ends_with_silence() -> None:
    stage = Stage()
    stage.say("What time is it?", end=False)
    await stage.run(None)
    assert stage.wire.end.reason == "completed"
    assert stage.wire.of(Transcript)[-1].text == "What time is it?"


async def test_the_transcriber_may_find_the_end_by_itself() -> None:
    stage = Stage(transcriber=FakeTranscriber(hears_the_end=True), listen_timeout_s=5)
    stage.say("Tell me more.", end=False)
    await stage.run(None, endpointing="server_vad")
    assert stage.wire.end.reason == "completed"
    assert stage.text == "You said: Tell me more."


async def test_a_missing_chunk_is_asked_for_and_the_turn_waits_for_it() -> None:
    stage = Stage(listen_timeout_s=5)
    stage.say("What time is it?")
    missing = stage.store.inboxes[REF, "t1"].pop("audio#000002")
    running = asyncio.create_task(stage.run(None))
    await until(lambda: stage.errors)
    assert (stage.errors[0].code, stage.errors[0].missing) == ("audio_gap", [2])
    assert isinstance(missing, ChunkEntry)
    stage.store.put_chunk(REF, "t1", missing)
    await running
    assert stage.wire.end.reason == "completed"
    assert stage.wire.of(Transcript)[-1].text == "What time is it?"


async def test_silence_is_no_speech() -> None:
    stage = Stage()
    stage.say("   ")
    await stage.run(None)
    assert [(e.code, e.retryable) for e in stage.errors] == [("no_speech", True)]
    assert stage.wire.end.reason == "failed"
    assert stage.history_texts == []


async def test_a_follow_up_sees_the_conversation_so_far() -> None:
    stage = Stage()
    await stage.run("I am Ada.")
    stage.wire = Wire()
    await stage.run("Who am I?", "t2")
    history = stage.responder.prompts[-1].history
    assert [(m.role, m.text) for m in history] == [
        ("user", "I am Ada."),
        ("assistant", "You said: I am Ada."),
    ]


async def test_the_session_s_settings_shape_the_reply() -> None:
    stage = Stage()
    stage.store.open_session(settings=Settings(voice="other", speed=0.8, style="Like a pirate."))
    await stage.run()
    (_, settings), *_ = stage.synthesizer.opened
    assert (settings.voice, settings.speed, settings.stability) == ("other", 0.8, 0.5)
    assert stage.responder.prompts[0].instructions.endswith("How to reply: Like a pirate.")


async def test_text_does_not_wait_for_speech() -> None:
    stage = Stage(synthesizer=FakeSynthesizer(silent=True), provider_timeout_s=5)
    running = asyncio.create_task(stage.run("Hi."))
    await until(lambda: stage.text == "You said: Hi.")
    assert stage.audio == b""
    stage.interrupt(0)
    await running


async def test_audio_that_ends_in_the_middle_of_a_sample_does_not_keep_the_turn() -> None:
    stage = Stage(synthesizer=FakeSynthesizer(cut=1), responder=FakeResponder([["Yes"]]))
    await stage.run()
    assert stage.wire.end.reason == "completed"
    assert len(stage.audio) % 2 == 0


# --- who runs it ----------------------------------------------------------------------


async def test_a_turn_that_another_invocation_runs_is_left_to_it() -> None:
    stage = Stage()
    stage.store.claim_turn(REF, "t1", "somebody else")
    assert await stage.run() is None
    assert stage.wire.events == []
    assert stage.history_texts == []


async def test_nothing_of_a_turn_that_was_not_claimed_stays_behind() -> None:
    stage = Stage()
    stage.store.claim_turn(REF, "t1", "somebody else")
    await stage.run()
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("text", ["typed", None])
async def test_nothing_of_a_turn_stays_behind(text: str | None) -> None:
    stage = Stage()
    stage.say("What?")
    await stage.run(text)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert all(stream.closed for stream in stage.synthesizer.streams)
    assert all(stream.closed for stream in stage.transcriber.streams)


async def test_of_two_invocations_of_one_turn_only_one_answers() -> None:
    stage = Stage()
    outcomes = await asyncio.gather(stage.run(owner="a"), stage.run(owner="b"))
    assert [outcome is None for outcome in outcomes].count(True) == 1
    assert stage.text == "You said: Hello there."
    assert stage.wire.end.reason == "completed"


@pytest.mark.parametrize("sessions", ["ended", "missing"])
async def test_a_session_that_is_over_gets_no_turn(sessions: str) -> None:
    stage = Stage()
    if sessions == "ended":
        stage.store.end_session(REF)
    else:
        stage.store.sessions.clear()
    await stage.run()
    assert [error.code for error in stage.errors] == ["session_not_found"]
    assert stage.wire.end.reason == "failed"
    assert stage.responder.prompts == []


async def test_a_new_turn_interrupts_the_one_that_still_runs() -> None:
    responder, _ = holding("One, two.")
    stage = Stage(responder=responder, provider_timeout_s=5)
    older = asyncio.create_task(stage.run())
    await until(lambda: stage.text)
    first, stage.wire = stage.wire, Wire()
    await stage.run("Something else.", "t2")
    await older
    assert (first.end.reason, first.end.heard) == ("interrupted", None)
    assert stage.wire.end.reason == "completed"


# --- interruptions ----------------------------------------------------------------------


async def test_an_interruption_keeps_only_what_was_heard() -> None:
    responder, _ = holding("One two three four.")
    stage = Stage(responder=responder, provider_timeout_s=5)
    running = asyncio.create_task(stage.run())
    await until(lambda: text_in(stage.audio).startswith("One two three"))
    stage.interrupt(80)  # ten milliseconds a character: "One two " is 80 ms long
    await running
    end = stage.wire.end
    assert (end.reason, end.heard, end.text) == ("interrupted", "One two", "One two three four.")
    assert stage.history_texts[-1] == ("assistant", "One two three four.", "One two")


async def test_what_was_heard_of_speech_without_word_times_is_not_known() -> None:
    responder, _ = holding("One two three four.")
    stage = Stage(
        responder=responder, synthesizer=FakeSynthesizer(timed=False), provider_timeout_s=5
    )
    running = asyncio.create_task(stage.run())
    await until(lambda: text_in(stage.audio).startswith("One two three"))
    stage.interrupt(80)
    await running
    assert (stage.wire.end.reason, stage.wire.end.heard) == ("interrupted", None)
    assert stage.history_texts[-1] == ("assistant", "One two three four.", None)


async def test_what_was_heard_reaches_the_next_prompt() -> None:
    responder, _ = holding("One two three four.")
    stage = Stage(responder=responder, provider_timeout_s=5)
    running = asyncio.create_task(stage.run())
    await until(lambda: text_in(stage.audio).startswith("One two three"))
    stage.interrupt(80)
    await running
    stage.wire = Wire()
    await stage.run("Go on.", "t2")
    assert stage.responder.prompts[-1].history[-1].heard == "One two"


async def test_an_interruption_while_the_user_talks_ends_the_turn() -> None:
    stage = Stage(listen_timeout_s=5)
    stage.say("What", end=False)
    running = asyncio.create_task(stage.run(None))
    await until(lambda: stage.wire.of(Transcript))
    stage.interrupt(0)
    await running
    assert (stage.wire.end.reason, stage.wire.end.text) == ("interrupted", "")
    assert stage.responder.prompts == []
    assert stage.history_texts == []


async def test_an_interruption_that_came_before_the_turn_stops_it_at_once() -> None:
    responder, _ = holding("Too late.")
    stage = Stage(responder=responder, provider_timeout_s=5)
    stage.interrupt(0)
    await stage.run()
    assert stage.wire.end.reason == "interrupted"


async def test_an_interruption_drops_what_has_not_been_posted() -> None:
    stage = Stage(responder=FakeResponder([["word " * 400]]))
    stage.wire.slow_s = 0.03
    running = asyncio.create_task(stage.run())
    await until(lambda: stage.audio)
    stage.interrupt(0)
    await until(lambda: stage.wire.events and stage.store.reasons)
    await running
    assert stage.wire.end.reason == "interrupted"
    assert stage.wire.end.heard == ""
    assert len(text_in(stage.audio)) < 1000


async def test_what_is_not_on_its_way_when_an_interruption_comes_never_leaves() -> None:
    responder, _ = holding("word " * 400)
    stage = Stage(responder=responder, provider_timeout_s=5)
    running = asyncio.create_task(stage.run())
    await until(lambda: stage.audio)
    stage.wire.open.clear()
    await until(lambda: stage.wire.posting)
    before = len(stage.wire.events)
    stage.interrupt(10)
    await until(lambda: stage.synthesizer.streams[0].closed)
    for _ in range(20):  # the reply has been cancelled; let the turn see it
        await asyncio.sleep(0)
    stage.wire.open.set()
    await running
    late = stage.wire.events[before:]
    assert len(late) <= 2, "the post under way, and the end"
    assert stage.wire.end.reason == "interrupted"


async def test_the_first_interruption_counts() -> None:
    responder, _ = holding("One two three four.")
    stage = Stage(responder=responder, provider_timeout_s=5)
    running = asyncio.create_task(stage.run())
    await until(lambda: text_in(stage.audio).startswith("One two three"))
    stage.interrupt(30)
    stage.interrupt(1000)
    await running
    assert stage.wire.end.heard == "One"


async def test_an_interruption_at_the_very_end_is_honoured() -> None:
    stage = Stage(responder=FakeResponder([["One two three."]]))
    finish = stage.store.finish_turn

    def interrupted_meanwhile(*arguments: Any, **options: Any) -> bool:
        stage.interrupt(60)
        return finish(*arguments, **options)

    stage.store.finish_turn = interrupted_meanwhile  # type: ignore[method-assign]  # a race
    outcome = await stage.run()
    assert outcome is not None
    assert (outcome.reason, stage.wire.end.reason) == ("interrupted", "interrupted")
    assert (stage.wire.end.text, stage.wire.end.heard) == ("One two three.", "One")
    assert stage.history_texts[-1] == ("assistant", "One two three.", "One")


async def test_a_model_that_does_not_stop_is_not_listened_to_for_ever() -> None:
    endless = FakeResponder([["word " * (MAX_REPLY_CHARS // 5 + 100)]])
    stage = Stage(responder=endless, limits=NO_LIMITS)
    await stage.run()
    assert stage.wire.end.reason == "completed"
    assert len(stage.wire.end.text) == MAX_REPLY_CHARS
    assert stage.text == stage.wire.end.text
    assert len(encode(stage.wire.end)) < 128 * 1024


async def test_nothing_is_written_before_the_model_was_asked() -> None:
    stage = Stage()
    before: list[Any] = []
    reply = stage.responder.reply

    def asked_late(prompt: Prompt, asked: Callable[[], None]) -> Any:
        before.extend([*stage.store.messages(), stage.store.sessions[REF].active_turn])
        before.extend(stage.synthesizer.opened)
        return reply(prompt, asked)

    stage.responder.reply = asked_late  # type: ignore[method-assign]  # looks around first
    await stage.run()
    assert before == [None]
    assert stage.store.sessions[REF].active_turn == "t1"
    assert stage.history_texts[0] == ("user", "Hello there.", None)


# --- providers that fail ------------------------------------------------------------------


async def test_a_responder_that_fails_before_its_first_word_is_asked_again() -> None:
    stage = Stage(responder=FakeResponder([[broken("unavailable")], ["All is well."]]))
    await stage.run("Are you there?")
    assert (stage.wire.end.reason, stage.text) == ("completed", "All is well.")
    assert stage.errors == []
    assert stage.wire.end.metrics.retries == 1
    assert [prompt.text for prompt in stage.responder.prompts] == ["Are you there?"] * 2


@pytest.mark.parametrize(("kind", "retryable"), [("refused", False), ("timeout", True)])
async def test_a_responder_that_stays_down_fails_the_turn(kind: Any, retryable: bool) -> None:
    stage = Stage(responder=FakeResponder([[broken(kind, "reply_failed")]]))
    outcome = await stage.run()
    assert [(e.code, e.retryable) for e in stage.errors] == [("reply_failed", retryable)]
    assert (stage.wire.end.reason, stage.wire.end.text) == ("failed", "")
    assert outcome is not None
    assert outcome.error is not None
    assert outcome.error.code == "reply_failed"


async def test_the_session_goes_on_after_a_failed_turn() -> None:
    stage = Stage(responder=FakeResponder([[broken()]]))
    await stage.run("One.")
    stage.wire = Wire()
    await stage.run("Two.", "t2")
    assert stage.wire.end.reason == "completed"
    assert [m.text for m in stage.responder.prompts[-1].history] == ["One."]


async def test_a_responder_that_breaks_off_is_not_asked_again_and_is_spoken_to_its_end() -> None:
    replies: Any = [["It was a ", "dark night", broken("unavailable", "reply_failed")]]
    stage = Stage(responder=FakeResponder(replies))
    await stage.run()
    assert (stage.wire.end.reason, stage.text) == ("failed", "It was a dark night")
    assert text_in(stage.audio).split() == ["It", "was", "a", "dark", "night"]
    assert [error.code for error in stage.errors] == ["reply_failed"]
    assert stage.history_texts[-1] == ("assistant", "It was a dark night", None)


async def test_an_empty_reply_is_a_failure() -> None:
    stage = Stage(responder=FakeResponder([["", " \n"]]))
    await stage.run()
    assert [error.code for error in stage.errors] == ["reply_failed"]
    assert stage.wire.end.reason == "failed"


async def test_a_synthesizer_that_fails_before_its_first_sound_gets_all_the_text_again() -> None:
    synthesizer = FakeSynthesizer([broken("unavailable")], fail_after=0)
    stage = Stage(synthesizer=synthesizer, responder=FakeResponder([[REPLY]]))
    await stage.run()
    assert stage.wire.end.reason == "completed"
    assert stage.errors == []
    assert text_in(stage.audio).split() == REPLY.split()
    assert stage.wire.end.metrics.retries == 1


@pytest.mark.parametrize("fail_after", [None, 0])
async def test_speech_that_fails_leaves_the_reply_as_text(fail_after: int | None) -> None:
    synthesizer = FakeSynthesizer([broken("refused", "speech_failed")], fail_after=fail_after)
    stage = Stage(synthesizer=synthesizer, responder=FakeResponder([[*REPLY]]))
    await stage.run()
    assert [error.code for error in stage.errors] == ["speech_failed"]
    assert (stage.wire.end.reason, stage.text, stage.audio) == ("completed", REPLY, b"")
    assert stage.history_texts[-1] == ("assistant", REPLY, None)


async def test_speech_that_breaks_off_is_not_spoken_twice() -> None:
    synthesizer = FakeSynthesizer([broken("unavailable", "speech_failed")], fail_after=1)
    stage = Stage(synthesizer=synthesizer, responder=FakeResponder([[*REPLY]]))
    await stage.run()
    assert [error.code for error in stage.errors] == ["speech_failed"]
    assert (stage.wire.end.reason, stage.text) == ("completed", REPLY)
    assert text_in(stage.audio) == "Sure, "


async def test_speech_that_never_comes_is_given_up() -> None:
    stage = Stage(synthesizer=FakeSynthesizer(silent=True))
    await stage.run()
    assert [(e.code, e.retryable) for e in stage.errors] == [("speech_failed", True)]
    assert stage.wire.end.reason == "completed"


async def test_a_transcriber_that_breaks_off_gets_all_the_audio_again() -> None:
    transcriber = FakeTranscriber([broken("unavailable")], fail_after=2)
    stage = Stage(transcriber=transcriber)
    stage.say("What time is it?")
    await stage.run(None)
    assert stage.wire.end.reason == "completed"
    assert stage.text == "You said: What time is it?"
    assert len(transcriber.streams) == 2
    assert stage.wire.end.metrics.retries == 1


async def test_a_transcriber_that_refuses_fails_the_turn() -> None:
    trouble = broken("unauthorized", "transcription_failed")
    stage = Stage(transcriber=FakeTranscriber([trouble]))
    stage.say("What time is it?")
    await stage.run(None)
    assert [(e.code, e.retryable) for e in stage.errors] == [("transcription_failed", False)]
    assert stage.wire.end.reason == "failed"


async def test_a_transcriber_that_never_answers_is_given_up() -> None:
    stage = Stage(transcriber=FakeTranscriber(mute=True))
    stage.say("What time is it?")
    await stage.run(None)
    assert [(e.code, e.retryable) for e in stage.errors] == [("transcription_failed", True)]


async def test_a_provider_s_bug_is_an_internal_error_without_its_details() -> None:
    stage = Stage(responder=FakeResponder([[ValueError("of ours")]]))
    await stage.run()
    assert [(e.code, e.retryable) for e in stage.errors] == [("internal", True)]
    assert "of ours" not in stage.errors[0].message
    assert stage.wire.end.reason == "failed"


async def test_a_synthesizer_s_bug_does_not_keep_the_turn() -> None:
    stage = Stage(synthesizer=FakeSynthesizer([ValueError("of ours")], fail_after=1))
    await stage.run()
    assert stage.wire.end.reason == "failed"
    assert [error.code for error in stage.errors] == ["internal"]


# --- delivery ---------------------------------------------------------------------------------


async def test_what_is_not_acknowledged_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivering, "ACK_WAIT_S", 0.05)
    stage = Stage(responder=FakeResponder([[REPLY]]))
    stage.acknowledges = False
    outcome = await stage.run()
    assert outcome is not None
    assert not outcome.delivered
    assert [f.frame for f in stage.store.undelivered(REF)] == stage.wire.frames


async def test_what_is_acknowledged_is_not_kept() -> None:
    stage = Stage(responder=FakeResponder([[REPLY]]))
    outcome = await stage.run()
    assert outcome is not None
    assert outcome.delivered
    assert list(stage.store.undelivered(REF)) == []


async def test_of_a_half_acknowledged_turn_the_rest_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivering, "ACK_WAIT_S", 0.1)
    stage = Stage(responder=FakeResponder([[REPLY]]))
    stage.acknowledges = False
    stage.store.put_ack(REF, "t1", AckEntry(1, 2))
    await stage.run()
    assert [f.seq for f in stage.store.undelivered(REF)] == [*range(3, len(stage.wire.events) + 1)]


async def test_a_client_that_is_away_finds_everything_when_it_returns() -> None:
    stage = Stage(responder=FakeResponder([[*REPLY]]))
    stage.wire.gone_after = 2
    await stage.run()
    kept = [msgspec.json.decode(f.frame, type=AnyServerEvent) for f in stage.store.undelivered(REF)]
    stage.wire.events = [*stage.wire.events[:2], *kept[2:]]
    assert stage.wire.end.reason == "completed"
    assert stage.text == REPLY
    assert text_in(stage.audio).split() == REPLY.split()


async def test_a_turn_follows_its_client() -> None:
    responder, more = holding(*REPLY)
    stage = Stage(responder=responder, provider_timeout_s=5)
    running = asyncio.create_task(stage.run())
    await until(lambda: len(stage.wire.events) >= 3)
    stage.store.put_resume(REF, "t1", ResumeEntry("c2", "https://y", 1, 2, 1))
    await until(lambda: stage.wire.addresses[-1] == Address("https://y", "c2"))
    more.set()
    await running
    moved = [
        e
        for e, a in zip(stage.wire.events, stage.wire.addresses, strict=True)
        if a.connection_id == "c2"
    ]
    stage.wire.events = [*stage.wire.events[:2], *moved]
    assert stage.wire.end.reason == "completed"
    assert stage.text == REPLY + " And so on."


async def test_a_turn_whose_session_moved_before_it_was_noted_answers_there() -> None:
    responder, more = holding("One moment.")
    stage = Stage(responder=responder, provider_timeout_s=5)
    note = stage.store.set_active_turn

    def moved_meanwhile(*arguments: Any) -> Session | None:
        stage.store.open_session(connection_id="c2", endpoint="https://y")
        return note(*arguments)

    stage.store.set_active_turn = moved_meanwhile  # type: ignore[method-assign,assignment]  # a race
    running = asyncio.create_task(stage.run())
    await until(lambda: stage.wire.addresses and stage.wire.addresses[-1].connection_id == "c2")
    more.set()
    await running
    assert isinstance(stage.wire.events[-1], TurnEnd)
    assert stage.wire.addresses[-1] == Address("https://y", "c2")


async def test_a_session_that_moved_unnoticed_is_found_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivering, "ACK_WAIT_S", 0.05)
    stage = Stage(responder=FakeResponder([[REPLY]]))
    finish = stage.store.finish_turn

    def moved_meanwhile(*arguments: Any, **options: Any) -> bool:
        stage.store.open_session(connection_id="c2", endpoint="https://y")
        return finish(*arguments, **options)

    stage.store.finish_turn = moved_meanwhile  # type: ignore[method-assign]  # a race
    stage.acknowledges = False
    await stage.run()
    there = stage.there()
    assert [getattr(event, "seq", 0) for event in there] == [*range(1, len(there) + 1)]
    assert isinstance(there[-1], TurnEnd)


async def test_who_comes_back_at_the_very_end_is_not_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivering, "ACK_WAIT_S", 0.05)
    stage = Stage(responder=FakeResponder([[REPLY]]))
    store = stage.store.put_undelivered

    def back_meanwhile(*arguments: Any) -> None:
        store(*arguments)
        stage.acknowledges = True
        stage.store.put_resume(REF, "t1", ResumeEntry("c2", "https://y", 1, 0, 1))

    stage.store.put_undelivered = back_meanwhile  # type: ignore[method-assign,assignment]  # a race
    stage.acknowledges = False
    outcome = await stage.run()
    assert outcome is not None
    assert outcome.delivered
    assert stage.wire.addresses[-1] == Address("https://y", "c2")


async def test_a_turn_that_somebody_else_ended_says_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(turn_module, "RENEW_S", 0.02)
    responder, _ = holding("One moment.")
    stage = Stage(responder=responder, provider_timeout_s=5)
    running = asyncio.create_task(stage.run())
    await until(lambda: stage.text)
    assert stage.store.fail_turn(REF, "t1", "me") is not None
    assert await running is None
    assert stage.wire.of(TurnEnd) == []
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_turn_that_failed_runs_again_when_it_is_sent_again() -> None:
    replies: Any = [[broken("timeout", "reply_failed")], ["All is well."]]
    stage = Stage(responder=FakeResponder(replies))
    await stage.run()
    assert (stage.wire.end.code, stage.wire.end.retryable) == ("reply_failed", True)
    stage.interrupt(0)  # meant for the attempt that failed
    stage.wire = Wire()
    await stage.run(received_at_ms=int(time.time() * 1000) + 5)
    assert stage.wire.end.reason == "completed"
    assert {getattr(event, "attempt", 0) for event in stage.wire.events} == {2}
    assert stage.history_texts == [
        ("user", "Hello there.", None),
        ("assistant", "All is well.", None),
    ]
    assert stage.responder.prompts[-1].history == [], "what it was asked before is asked once"


async def test_the_ack_of_an_earlier_attempt_says_nothing_about_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivering, "ACK_WAIT_S", 0.05)
    replies: Any = [[broken("timeout", "reply_failed")], [REPLY]]
    stage = Stage(responder=FakeResponder(replies))
    await stage.run()
    stage.wire, stage.acknowledges = Wire(), False
    running = asyncio.create_task(stage.run(received_at_ms=int(time.time() * 1000) + 5))
    await until(lambda: stage.text)
    stage.store.put_ack(REF, "t1", AckEntry(1, 99))  # it was long on its way
    await running
    kept = [frame.seq for frame in stage.store.undelivered(REF) if frame.attempt == 2]
    assert kept == [*range(1, len(stage.wire.events) + 1)]


async def test_a_second_attempt_without_a_word_leaves_no_reply_of_the_first() -> None:
    replies: Any = [["Half an ", broken("unavailable", "reply_failed")], [asyncio.Event()]]
    stage = Stage(responder=FakeResponder(replies), provider_timeout_s=5)
    await stage.run()
    assert stage.history_texts[-1] == ("assistant", "Half an ", None)
    stage.wire = Wire()
    running = asyncio.create_task(stage.run(received_at_ms=int(time.time() * 1000) + 5))
    await until(lambda: len(stage.responder.prompts) == 2)
    stage.interrupt(0)
    await running
    assert stage.wire.end.reason == "interrupted"
    assert stage.history_texts == [("user", "Hello there.", None)]


async def test_a_table_that_cannot_keep_what_was_missed_does_not_keep_the_turn() -> None:
    stage = Stage()
    stage.wire.gone_after = 0
    stage.store.failing.add("put_undelivered")
    outcome = await stage.run()
    assert outcome is not None
    assert not outcome.delivered
    assert ("undelivered_not_kept", {"error": "OSError"}) in stage.logged


async def test_an_older_turn_that_starts_late_gives_way() -> None:
    responder, _ = holding("Too late.")
    stage = Stage(responder=responder, provider_timeout_s=5)
    stage.store.set_active_turn(REF, "newer", int(time.time() * 1000) + 1_000)
    await stage.run()
    assert stage.wire.end.reason == "interrupted"


# --- time, the connection, the table ---------------------------------------------------------


async def test_a_turn_ends_before_its_invocation_does() -> None:
    responder, _ = holding("It is", " getting late.")
    stage = Stage(responder=responder, provider_timeout_s=60)
    await stage.run(remaining_s=ENDING_MARGIN_S + 0.2)
    assert [(e.code, e.retryable) for e in stage.errors] == [("turn_timeout", True)]
    assert stage.wire.end.reason == "failed"
    assert stage.history_texts[-1] == ("assistant", "It is getting late.", None)


async def test_a_connection_that_is_gone_does_not_end_the_turn() -> None:
    stage = Stage(responder=FakeResponder([[*REPLY]]))
    stage.wire.gone_after = 2
    outcome = await stage.run()
    assert outcome is not None
    assert outcome.reason == "completed"
    assert len(stage.wire.events) == 2
    assert stage.history_texts[-1] == ("assistant", REPLY, None)


async def test_a_post_that_fails_in_an_unknown_way_does_not_keep_the_turn() -> None:
    stage = Stage()

    async def post(address: Address, frame: bytes) -> None:
        raise RuntimeError(f"no thread for {len(frame)} bytes to {address}")

    stage.wire.post = post  # type: ignore[method-assign]  # another wire
    outcome = await stage.run()
    assert outcome is not None
    assert outcome.reason == "completed"
    assert stage.history_texts[-1][1] == "You said: Hello there."
    assert ("post_failed", {"error": "RuntimeError"}) in stage.logged


@pytest.mark.parametrize("method", ["conversation", "claim_turn"])
async def test_a_table_that_cannot_be_read_fails_the_turn_in_good_order(method: str) -> None:
    stage = Stage()
    stage.store.failing.add(method)
    await stage.run()
    assert [(e.code, e.retryable) for e in stage.errors] == [("internal", True)]
    assert stage.wire.end.reason == "failed"
    await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})


async def test_a_claim_that_fails_is_what_the_client_is_told_even_if_speech_failed_too() -> None:
    stage = Stage(synthesizer=FakeSynthesizer([broken("refused", "speech_failed")]))
    claim = stage.store.claim_turn

    def slowly(*arguments: Any, **options: Any) -> Any:
        time.sleep(0.1)
        stage.store.failing.add("claim_turn")
        return claim(*arguments, **options)

    stage.store.claim_turn = slowly  # type: ignore[method-assign]  # a slow table
    await stage.run()
    assert [error.code for error in stage.errors] == ["internal"]
    assert stage.wire.end.reason == "failed"


@pytest.mark.parametrize("method", ["put_message", "finish_turn", "set_active_turn", "read_inbox"])
async def test_a_table_that_fails_later_does_not_cost_the_reply(method: str) -> None:
    stage = Stage()
    stage.store.failing.add(method)
    await stage.run()
    assert stage.wire.end.reason == "completed"
    assert stage.text == "You said: Hello there."
    assert stage.logged, "but it is noted"


async def test_an_inbox_that_cannot_be_read_for_a_while_loses_nothing() -> None:
    stage = Stage(listen_timeout_s=5)
    stage.say("What time is it?")
    stage.store.failing.add("read_inbox")
    running = asyncio.create_task(stage.run(None))
    await until(lambda: ("inbox_unreadable", {"error": "OSError"}) in stage.logged)
    await asyncio.sleep(3 * UNREADABLE_POLL_S)
    stage.store.failing.clear()
    await running
    polls = [event for event, _ in stage.logged if event == "inbox_unreadable"]
    assert len(polls) == 1, "one line for one failure, however long it lasts"
    assert stage.wire.end.reason == "completed"
    assert stage.text == "You said: What time is it?"


async def test_nothing_that_was_said_is_logged() -> None:
    replies: Any = [["A secret ", "answer", broken("unavailable", "reply_failed")]]
    stage = Stage(responder=FakeResponder(replies))
    stage.store.failing |= {"put_message", "finish_turn", "set_active_turn", "read_inbox"}
    await stage.run("A secret question.")
    assert stage.logged
    assert "ecret" not in repr(stage.logged)
