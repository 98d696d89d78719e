"""A turn's conversation: what is heard, said and spoken, also when a provider fails."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from parley.config import DEFAULT_SETTINGS
from parley.errors import Cause, FailureKind, ProviderError
from parley.protocol.messages import Audio, Settings, Transcript, Voice
from parley.providers.circuit_breaker import OPENS_AFTER
from parley.providers.errors import PROVIDER_OF_CODE, ProviderErrorCode, make_failure
from parley.storage.inbox_entries import ChunkEntry
from parley.storage.item_codec import chunk_key, message_key, turn_key
from tests.unit.fakes import (
    FakeResponder,
    FakeSynthesizer,
    FakeTranscriber,
    Wire,
    broken,
    text_in,
    until,
)
from tests.unit.memory import REF
from tests.unit.stage import REPLY, Stage, holding

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
    assert stage.store.metrics()[-1].reply_chars == len(REPLY)
    finished, reply = stage.store.turns[REF, "t1"], stage.store.messages()[-1]
    assert finished.state == "completed"
    assert "".join(part.text for part in finished.parts) == REPLY
    assert finished.message_key == message_key(finished.attempt.started_ms, reply)


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
    stage = Stage(listen_timeout_s=0.3)
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
    missing = stage.store.inboxes.read_inbox(REF, "t1", 2)[0]
    stage.store.delete_item({**turn_key(REF, "t1"), "sk": {"S": chunk_key("t1", 2)}})
    running = asyncio.create_task(stage.run(None))
    await until(lambda: stage.errors)
    assert (stage.errors[0].code, stage.errors[0].missing) == ("audio_gap", [2])
    assert isinstance(missing, ChunkEntry)
    stage.store.inboxes.put_chunk(REF, "t1", missing)
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
    stage = Stage(
        client_settings=frozenset({"voice", "speed", "style"}), voices=(Voice("other", "Otto"),)
    )
    stage.store.open_session(settings=Settings(voice="other", speed=0.8, style="Like a pirate."))
    await stage.run()
    (_, settings), *_ = stage.synthesizer.opened
    assert (settings.voice, settings.speed, settings.stability) == ("other", 0.8, 0.5)
    assert stage.responder.prompts[0].instructions.endswith("How to reply: Like a pirate.")


async def test_what_a_client_may_no_longer_choose_does_not_hold() -> None:
    stage = Stage()
    stage.store.open_session(settings=Settings(voice="gone", speed=0.8, style="Like a pirate."))
    await stage.run()
    (_, settings), *_ = stage.synthesizer.opened
    assert (settings.voice, settings.speed) == (DEFAULT_SETTINGS.voice, 0.8)
    assert "pirate" not in stage.responder.prompts[0].instructions


async def test_what_a_token_sets_holds_whatever_the_client_chose() -> None:
    stage = Stage(client_settings=frozenset({"style"}))
    stage.store.open_session(
        settings=Settings(style="Like a pirate."), signed=Settings(style="Formally.")
    )
    await stage.run()
    assert stage.responder.prompts[0].instructions.endswith("How to reply: Formally.")


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


# --- providers that fail ------------------------------------------------------------------


def because(code: ProviderErrorCode, kind: FailureKind) -> ProviderError:
    """A failure of which something is known."""
    provider = PROVIDER_OF_CODE[code]
    cause = Cause(provider, "key", "Check it.", "h", 401, "invalid_api_key", None, "req_1")
    return make_failure(code, kind, cause=cause)


def failures(stage: Stage) -> list[dict[str, Any]]:
    """What was logged of providers that failed."""
    return [fields for event, fields in stage.logged if event == "provider_failed"]


LOGGED = {
    "reason": "key",
    "advice": "Check it.",
    "host": "h",
    "status": 401,
    "provider_code": "invalid_api_key",
    "request_id": "req_1",
}


@pytest.mark.parametrize(("kind", "retries"), [("unauthorized", 0), ("rate_limited", 1)])
async def test_why_a_model_fails_is_logged_once_it_has_failed(
    kind: FailureKind, retries: int
) -> None:
    errors: Any = [[because("reply_failed", kind)] for _ in range(3)]
    stage = Stage(responder=FakeResponder(errors), provider_timeout_s=0.8)
    await stage.run()
    expected = {"code": "reply_failed", "provider": "llm", **LOGGED}
    (logged,) = failures(stage)
    assert logged.pop("kind") in (kind, "timeout"), "the second pause is longer than the patience"
    assert logged.pop("retries") >= retries
    assert logged == expected


async def test_why_a_voice_fails_is_logged_although_the_turn_goes_on() -> None:
    trouble = because("speech_failed", "unauthorized")
    stage = Stage(synthesizer=FakeSynthesizer([trouble]), responder=FakeResponder([[REPLY]]))
    await stage.run()
    assert stage.wire.end.reason == "completed"
    assert failures(stage) == [
        {"code": "speech_failed", "kind": "unauthorized", "retries": 0, "provider": "tts", **LOGGED}
    ]


async def test_why_speech_is_not_understood_is_logged() -> None:
    trouble = because("transcription_failed", "refused")
    stage = Stage(transcriber=FakeTranscriber([trouble]))
    stage.say("What time is it?")
    await stage.run(None)
    assert failures(stage) == [
        {"code": "transcription_failed", "kind": "refused", "retries": 0, "provider": "stt",
         **LOGGED}
    ]  # fmt: skip


async def test_a_failure_that_passes_is_not_logged() -> None:
    stage = Stage(responder=FakeResponder([[because("reply_failed", "unavailable")], ["Well."]]))
    await stage.run()
    assert stage.wire.end.reason == "completed"
    assert failures(stage) == []


async def test_a_provider_that_is_not_called_any_more_is_logged_with_what_it_failed_of() -> None:
    stage = Stage(synthesizer=FakeSynthesizer([because("speech_failed", "timeout")] * 9))
    for turn in range(OPENS_AFTER + 1):
        await stage.run(turn_id=f"t{turn}")
    *_, last = failures(stage)
    assert last["reason"] == "not_called"
    assert last["advice"].endswith("The last: Check it.")
    assert (last["status"], last["request_id"]) == (401, "req_1")
    assert len(stage.synthesizer.opened) == OPENS_AFTER


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        ("reply_failed", "unauthorized", "The assistant cannot answer right now. Tell whoever"),
        ("reply_failed", "unavailable", "The assistant cannot answer right now. Try again"),
        ("reply_failed", "timeout", "The assistant did not answer in time. Try again"),
        ("reply_failed", "filtered", "The assistant may not answer that. Ask in other words."),
        ("transcription_failed", "refused", "Speech is not understood right now. Type instead"),
        ("speech_failed", "unauthorized", "The voice is not available right now"),
    ],
)
def test_the_user_gets_a_sentence_for_users(
    code: ProviderErrorCode, kind: FailureKind, said: str
) -> None:
    assert make_failure(code, kind).message.startswith(said)


async def test_a_model_that_thinks_is_neither_asked_twice_nor_given_up() -> None:
    thinks: Any = ["", asyncio.Event(), "", "Noon."]
    stage = Stage(responder=FakeResponder([thinks]), hedge_after_s=0.05, provider_timeout_s=0.15)
    running = asyncio.create_task(stage.run("What time is it?"))
    await asyncio.sleep(0.4)  # longer than either limit
    assert stage.wire.events == []
    thinks[1].set()
    await running
    assert (stage.wire.end.reason, stage.text) == ("completed", "Noon.")
    assert len(stage.responder.prompts) == 1


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
    stage = Stage(synthesizer=FakeSynthesizer(silent=True), provider_timeout_s=0.3)
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
    stage = Stage(transcriber=FakeTranscriber(mute=True), provider_timeout_s=0.3)
    stage.say("What time is it?")
    await stage.run(None)
    assert [(e.code, e.retryable) for e in stage.errors] == [("transcription_failed", True)]


async def test_who_is_interrupted_while_answering_is_not_down() -> None:
    responder, go_on = holding("Sure. ", "It ")
    stage = Stage(responder=responder)
    circuits = (stage.circuits.responder, stage.circuits.synthesizer)
    for circuit in circuits:
        for _ in range(OPENS_AFTER - 1):
            circuit.record_failure(broken("unavailable"), time.monotonic())
    running = asyncio.create_task(stage.run())
    await until(lambda: stage.audio)
    stage.interrupt(10)
    await running
    assert not go_on.is_set()
    for circuit in circuits:
        circuit.record_failure(broken("unavailable"), time.monotonic())
        assert circuit.admit_call(time.monotonic()) == 0


async def test_a_transcriber_that_is_interrupted_while_it_hears_is_not_down() -> None:
    stage = Stage(listen_timeout_s=5)
    for _ in range(OPENS_AFTER - 1):
        stage.circuits.transcriber.record_failure(broken("unavailable"), time.monotonic())
    stage.say("What", end=False)
    running = asyncio.create_task(stage.run(None))
    await until(lambda: stage.wire.of(Transcript))
    stage.interrupt(0)
    await running
    stage.circuits.transcriber.record_failure(broken("unavailable"), time.monotonic())
    assert stage.circuits.transcriber.admit_call(time.monotonic()) == 0


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
