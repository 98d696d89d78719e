"""Another vendor takes over: nothing is said twice, nothing is lost, and the client hears no word
of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parley.audio.heard import heard_text, is_estimated, split_heard
from parley.errors import FailureKind
from parley.protocol.messages import Audio, Word
from parley.providers.circuit_breaker import OPENS_AFTER
from parley.providers.rules import CallRules
from parley.turn.context import SecondProviders
from tests.unit.fakes import (
    CHAR_MS,
    FakeResponder,
    FakeSynthesizer,
    FakeTranscriber,
    broken,
    text_in,
    until,
)
from tests.unit.memory import REF
from tests.unit.stage import REPLY, Stage, holding


def failed_over(stage: Stage) -> list[dict[str, Any]]:
    """What was logged of vendors that were replaced."""
    return [fields for event, fields in stage.logged if event == "provider_failed_over"]


def words_of(stage: Stage) -> list[Word]:
    """The words of the reply, as the client has them."""
    return [word for event in stage.wire.of(Audio) for word in event.words]


def count_ended(reply: str, said: str) -> int:
    """How many words of a reply have sounded to their last letter."""
    ended, position = 0, 0
    for word in reply.split():
        position = reply.index(word, position)
        if position + len(word.rstrip(".,!?")) > len(said):
            break
        position += len(word)
        ended += 1
    return ended


# --- each stage ---------------------------------------------------------------------


async def test_a_responder_that_fails_is_replaced() -> None:
    second = FakeResponder([["All is well."]], connection_reused=False)
    stage = Stage(
        responder=FakeResponder([[broken("unavailable")]]),
        second=SecondProviders(responder=second),
    )
    await stage.run("Are you there?")
    assert (stage.wire.end.reason, stage.text, stage.errors) == ("completed", "All is well.", [])
    assert [prompt.text for prompt in second.prompts] == ["Are you there?"]
    assert (stage.wire.end.metrics.failed_over, stage.wire.end.metrics.retries) == (1, 1)
    assert stage.wire.end.metrics.connection_reused is False
    assert failed_over(stage) == [
        {
            "stage": "responder",
            "code": "reply_failed",
            "kind": "unavailable",
            "provider": "llm",
            "reason": "unavailable",
            "advice": "It failed.",
        }
    ]
    assert [event for event, _ in stage.logged] == ["provider_failed_over"]


async def test_a_responder_that_breaks_off_is_not_replaced() -> None:
    second = FakeResponder()
    stage = Stage(
        responder=FakeResponder([["It was a ", broken("unavailable")]]),
        second=SecondProviders(responder=second),
    )
    await stage.run()
    assert (stage.wire.end.reason, stage.text) == ("failed", "It was a ")
    assert second.prompts == []


async def test_a_transcriber_that_breaks_off_is_replaced_and_all_audio_is_replayed() -> None:
    second = FakeTranscriber()
    stage = Stage(
        transcriber=FakeTranscriber([broken("refused")], fail_after=2),
        second=SecondProviders(transcriber=second),
    )
    stage.say("What time is it?")
    await stage.run(None)
    assert (stage.wire.end.reason, stage.errors) == ("completed", [])
    assert stage.text == "You said: What time is it?"
    assert stage.wire.end.metrics.failed_over == 1
    assert [fields["stage"] for fields in failed_over(stage)] == ["transcriber"]


async def test_a_transcriber_that_cannot_find_the_end_does_not_take_over_where_it_must() -> None:
    second = FakeTranscriber()
    stage = Stage(
        transcriber=FakeTranscriber([broken("refused", "transcription_failed")]),
        second=SecondProviders(transcriber=second),
        fallback_transcriber="whisper",
    )
    stage.say("What time is it?")
    await stage.run(None, endpointing="server_vad")
    assert [error.code for error in stage.errors] == ["transcription_failed"]
    assert second.opened == []


async def test_a_voice_that_cannot_be_reached_is_replaced_by_its_deputy_s() -> None:
    second = FakeSynthesizer()
    stage = Stage(
        synthesizer=FakeSynthesizer([broken("unauthorized", "speech_failed")]),
        responder=FakeResponder([[REPLY]]),
        second=SecondProviders(synthesizer=second),
        fallback_voice="deputy",
    )
    await stage.run()
    assert (stage.wire.end.reason, stage.errors) == ("completed", [])
    assert text_in(stage.audio).split() == REPLY.split()
    assert [settings.voice for _, settings in second.opened] == ["deputy"]
    assert [settings.voice for _, settings in stage.synthesizer.opened] != ["deputy"]


async def test_without_a_voice_of_its_own_the_deputy_speaks_with_the_session_s() -> None:
    second = FakeSynthesizer()
    stage = Stage(
        synthesizer=FakeSynthesizer([broken("unauthorized", "speech_failed")]),
        second=SecondProviders(synthesizer=second),
    )
    await stage.run()
    assert [s for _, s in second.opened] == [s for _, s in stage.synthesizer.opened]


async def test_a_vendor_that_is_down_costs_no_time() -> None:
    first, second = FakeResponder([[broken("unavailable")]] * 9), FakeResponder()
    stage = Stage(responder=first, second=SecondProviders(responder=second), hedge_after_s=9.0)
    for turn in range(OPENS_AFTER + 2):
        await stage.run(turn_id=f"t{turn}")
    assert len(first.prompts) == OPENS_AFTER
    assert len(second.prompts) == OPENS_AFTER + 2
    assert failed_over(stage)[-1]["reason"] == "not_called"


async def test_a_second_that_fails_too_is_what_the_client_is_told() -> None:
    stage = Stage(
        synthesizer=FakeSynthesizer([broken("unauthorized", "speech_failed")]),
        responder=FakeResponder([[REPLY]]),
        second=SecondProviders(synthesizer=FakeSynthesizer([broken("refused", "speech_failed")])),
    )
    await stage.run()
    assert [error.code for error in stage.errors] == ["speech_failed"]
    assert (stage.wire.end.reason, stage.text, stage.audio) == ("completed", REPLY, b"")
    assert [event for event, _ in stage.logged] == ["provider_failed_over", "provider_failed"]


async def test_a_responder_that_acts_and_is_silent_ends_with_the_turn_s_own_time() -> None:
    """A longer time-out than an answer over HTTP has does not cost the answer."""
    slow = CallRules(repeatable=False, timeout_s=120.0)
    stage = Stage(responder=FakeResponder([["", asyncio.Event()]], slow), hedge_after_s=0.01)
    outcome = await stage.run(remaining_s=3.3)
    assert outcome is not None
    assert [error.code for error in stage.errors] == ["turn_timeout"]
    assert len(stage.responder.prompts) == 1
    ((event, fields),) = stage.logged
    assert (event, fields["code"], fields["kind"]) == ("provider_failed", "reply_failed", "timeout")
    assert fields["provider"] == "llm"


# --- a voice that breaks off --------------------------------------------------------


async def test_the_word_in_which_a_voice_breaks_off_is_spoken_again_from_its_beginning() -> None:
    first = FakeSynthesizer(breaks_off_after=13)  # "Sure, the old"
    second = FakeSynthesizer()
    stage = Stage(
        synthesizer=first,
        responder=FakeResponder([["Sure, the older bridge is open."]]),
        second=SecondProviders(synthesizer=second),
    )
    await stage.run()
    assert (stage.wire.end.reason, stage.errors) == ("completed", [])
    assert first.streams[0].said + second.streams[0].said == ("Sure, the oldolder bridge is open. ")
    assert [word.text for word in words_of(stage)] == [
        "Sure,",
        "the",
        "older",
        "bridge",
        "is",
        "open.",
    ]
    assert words_of(stage)[2] == Word("older", 130, 180)
    assert stage.wire.end.metrics.failed_over == 1
    assert stage.wire.end.metrics.audio_ms == 10 * len(
        first.streams[0].said + second.streams[0].said
    )


async def test_a_voice_that_breaks_off_in_the_middle_of_a_sample_leaves_no_noise() -> None:
    stage = Stage(
        synthesizer=FakeSynthesizer(breaks_off_after=8, cut=1),
        responder=FakeResponder([["One two three."]]),
        second=SecondProviders(synthesizer=FakeSynthesizer()),
    )
    await stage.run()
    assert text_in(stage.audio) == "One two three. "


async def test_a_voice_that_misses_only_its_end_is_not_replaced() -> None:
    second = FakeSynthesizer()
    stage = Stage(
        synthesizer=FakeSynthesizer(breaks_off_after=len(REPLY)),
        responder=FakeResponder([[REPLY]]),
        second=SecondProviders(synthesizer=second),
    )
    await stage.run()
    assert (stage.wire.end.reason, stage.errors, second.opened) == ("completed", [], [])
    assert [word.text for word in words_of(stage)] == REPLY.split()


async def test_what_is_heard_of_both_voices_is_known_when_the_user_interrupts() -> None:
    responder, _ = holding("One two three four.")
    stage = Stage(
        responder=responder,
        synthesizer=FakeSynthesizer(breaks_off_after=10),  # "One two th"
        second=SecondProviders(synthesizer=FakeSynthesizer()),
    )
    running = asyncio.create_task(stage.run())
    await until(lambda: text_in(stage.audio).startswith("One two ththree"))
    stage.interrupt(160)
    await running
    end = stage.wire.end
    assert (end.reason, end.heard, end.heard_estimated) == ("interrupted", "One two three", False)


async def test_both_voices_that_break_off_leave_the_rest_as_text() -> None:
    stage = Stage(
        responder=FakeResponder([[REPLY]]),
        synthesizer=FakeSynthesizer(breaks_off_after=10),
        second=SecondProviders(synthesizer=FakeSynthesizer(breaks_off_after=10)),
    )
    await stage.run()
    assert [error.code for error in stage.errors] == ["speech_failed"]
    assert (stage.wire.end.reason, stage.text) == ("completed", REPLY)
    spoken = [word.text for word in words_of(stage)]
    assert spoken == REPLY.split()[: len(spoken)]


SENTENCES = st.lists(
    st.lists(
        st.sampled_from(["a", "to", "fox", "over", "bridge", "seven"]), min_size=1, max_size=7
    ),
    min_size=1,
    max_size=4,
)
VOICES = st.sampled_from(
    [
        {},
        {"ends_clauses": True},
        {"exact": False},
        {"timed": False},
        {"timed": False, "ends_clauses": True},
        {"timed_chars": 12},
        {"timed_chars": 12, "ends_clauses": True},
    ]
)
FAILURES = st.sampled_from(["unavailable", "refused", "timeout", "rate_limited"])


@given(SENTENCES, st.integers(1, 120), VOICES, FAILURES)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
async def test_every_word_is_spoken_once_wherever_a_voice_with_times_breaks_off(
    sentences: list[list[str]], breaks_off: int, voice: dict[str, Any], trouble: FailureKind
) -> None:
    reply = " ".join(" ".join(words).capitalize() + "." for words in sentences)
    first = FakeSynthesizer(breaks_off_after=breaks_off, trouble=trouble)
    second = FakeSynthesizer(**voice)
    stage = Stage(
        synthesizer=first,
        responder=FakeResponder([[*reply]]),
        second=SecondProviders(synthesizer=second),
    )
    await stage.run()
    assert (stage.wire.end.reason, stage.errors, stage.wire.end.text) == ("completed", [], reply)
    of_first = first.streams[0].said
    of_second = second.streams[0].said if second.streams else ""
    ended = count_ended(reply, of_first)
    assert of_second.split() == reply.split()[ended:]
    assert text_in(stage.audio) == of_first + of_second
    words = words_of(stage)
    assert " ".join(word.text for word in words).split() == reply.split()
    assert [word.end_ms for word in words] == sorted(word.end_ms for word in words)
    before = ""
    for played_ms in range(0, len(of_first + of_second) * CHAR_MS + 1, 5 * CHAR_MS):
        heard = heard_text(split_heard(reply, words), played_ms)
        assert reply.startswith(heard)
        assert heard.startswith(before)
        before = heard
    sources = [event.estimated for event in stage.wire.of(Audio) if event.words]
    if voice in ({}, {"ends_clauses": True}, {"exact": False}):
        assert not any(sources), "only what has no time is estimated"
    assert [m.heard for m in stage.store.messages()] == [None, None]


@given(SENTENCES, st.integers(0, 3), VOICES)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
async def test_a_voice_without_times_that_breaks_off_between_clauses_repeats_nothing(
    sentences: list[list[str]], clauses: int, voice: dict[str, Any]
) -> None:
    said = [" ".join(words).capitalize() + "." for words in sentences]
    reply = " ".join(said)
    trouble = broken("refused", "speech_failed")
    first = FakeSynthesizer([trouble], fail_after=clauses, timed=False, ends_clauses=True)
    second = FakeSynthesizer(**voice)
    stage = Stage(
        synthesizer=first,
        responder=FakeResponder([[*reply]]),
        second=SecondProviders(synthesizer=second),
    )
    await stage.run()
    assert (stage.wire.end.reason, stage.errors) == ("completed", [])
    of_second = second.streams[0].said if second.streams else ""
    assert (first.streams[0].said + of_second).split() == reply.split()


# --- heard without times ------------------------------------------------------------


@pytest.mark.parametrize("timed_chars", [None, 9])
async def test_words_of_clauses_without_times_are_spread_over_their_audio(
    timed_chars: int | None,
) -> None:
    """This voice needs 10 ms a character: an estimate is off by the white space only."""
    stage = Stage(
        synthesizer=FakeSynthesizer(
            timed=timed_chars is not None, timed_chars=timed_chars, ends_clauses=True
        ),
        responder=FakeResponder([[REPLY]]),
    )
    await stage.run()
    words = words_of(stage)
    assert [word.text for word in words] == REPLY.split()
    at = 0
    for word in words:
        at = REPLY.index(word.text, at)
        assert abs(word.start_ms - at * CHAR_MS) <= 60
        at += len(word.text)
    events = [event for event in stage.wire.of(Audio) if event.words]
    exact = [event for event in events if not event.estimated]
    assert any(event.estimated for event in events)
    if timed_chars is None:
        assert exact == []


async def test_a_stored_reply_without_times_says_that_what_was_heard_is_estimated() -> None:
    stage = Stage(
        synthesizer=FakeSynthesizer(timed=False, ends_clauses=True),
        responder=FakeResponder([[REPLY]]),
    )
    await stage.run()
    turn = stage.store.get_turn(REF, "t1")
    assert turn is not None
    assert "".join(part.text for part in turn.parts) == REPLY
    assert all(part.estimated for part in turn.parts[1:])
    assert is_estimated(turn.parts, 300)


async def test_what_was_heard_of_clauses_without_times_is_estimated_by_the_pace_so_far() -> None:
    responder, _ = holding("One two three four. ", "Five six seven eight. ", "Nine ten")
    stage = Stage(responder=responder, synthesizer=FakeSynthesizer(timed=False, ends_clauses=True))
    running = asyncio.create_task(stage.run())
    await until(lambda: "eight" in text_in(stage.audio))
    stage.interrupt(10 * len("One two three four. Five six "))
    await running
    end = stage.wire.end
    assert (end.heard, end.heard_estimated) == ("One two three four. Five six", True)
