"""The language of a turn follows what is heard: reply, voice, history, and the turns after it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from parley.protocol.messages import Settings, Transcript, TurnEnd
from parley.storage.item_codec import Session
from tests.unit.fakes import FakeResponder, FakeSynthesizer, FakeTranscriber, broken, spoken, until
from tests.unit.memory import REF
from tests.unit.stage import Stage, holding

VOICES = {"de": "german-voice"}


def stage_that_hears(language: str, **changes: Any) -> Stage:
    """A deployment that detects languages, whose next utterances are in this one."""
    fields = {"detects_language": True, "language_voices": VOICES, "languages": ("en", "de", "fr")}
    return Stage(transcriber=FakeTranscriber(language=language), **{**fields, **changes})


async def say(stage: Stage, turn_id: str, text: str = "Guten Tag.") -> None:
    await stage.run(None, turn_id, audio=spoken(text))


def spoken_with(stage: Stage) -> tuple[object, object]:
    """The language and the voice of the stream that the last reply was spoken over."""
    settings = next(
        opened
        for (_, opened), stream in reversed(
            list(zip(stage.synthesizer.opened, stage.synthesizer.streams, strict=True))
        )
        if stream.clauses
    )
    return settings.language, settings.voice


def change_session(stage: Stage, **changes: Any) -> Session:
    session = replace(stage.store.sessions[REF], **changes)
    stage.store.put_session(session)
    return session


async def test_the_reply_is_in_the_language_that_was_heard() -> None:
    stage = stage_that_hears("deu")
    await say(stage, "t1")
    assert [language for _, language, _ in stage.transcriber.opened] == [""]
    assert spoken_with(stage) == ("de", "german-voice")
    (prompt,) = stage.responder.prompts
    assert prompt.language == "de"
    assert prompt.instructions.endswith("'de' (ISO 639). Reply in that language.")
    assert stage.wire.of(Transcript)[-1].language == "de"
    assert stage.wire.end.language == "de"
    assert [m.language for m in stage.store.messages()] == ["de", "de"]


async def test_the_turns_after_it_begin_in_that_language() -> None:
    stage = stage_that_hears("de")
    await say(stage, "t1")
    await stage.run("Und jetzt?", "t2")
    assert spoken_with(stage) == ("de", "german-voice")
    prompt = stage.responder.prompts[-1]
    assert prompt.language == "de"
    assert "ISO 639" not in prompt.instructions, "what is typed may be in any language"
    assert [end.language for end in stage.wire.of(TurnEnd)] == ["de", "de"]
    assert [m.language for m in stage.store.messages()] == ["de"] * 4


async def test_a_session_changes_its_language_in_the_middle_and_back() -> None:
    stage = stage_that_hears("en")
    voices = []
    for number, language in enumerate(["en", "de", "de", "fr", "en"]):
        stage.transcriber.language = language
        await say(stage, f"t{number}")
        voices.append(spoken_with(stage))
    default = stage.deployment.defaults.voice
    assert voices == [
        ("en", default),
        ("de", "german-voice"),
        ("de", "german-voice"),
        ("fr", default),
        ("en", default),
    ]
    history = [m.language for m in stage.store.messages()]
    assert history == ["en", "en", "de", "de", "de", "de", "fr", "fr", "en", "en"]


@pytest.mark.parametrize("language", ["", "ja", "xx-invalid", "englisch"])
async def test_a_language_that_does_not_count_changes_nothing(language: str) -> None:
    stage = stage_that_hears(language)
    await say(stage, "t1")
    assert spoken_with(stage)[0] == "en"
    assert stage.wire.of(Transcript)[-1].language is None
    assert stage.wire.end.language == "en"
    assert stage.responder.prompts[0].instructions == stage.deployment.system_prompt
    assert stage.store.sessions[REF].heard_language == ""


async def test_where_it_is_off_nothing_is_detected_or_told() -> None:
    stage = stage_that_hears("de", detects_language=False)
    await say(stage, "t1")
    assert [language for _, language, _ in stage.transcriber.opened] == ["en"]
    assert spoken_with(stage)[0] == "en"
    assert stage.wire.of(Transcript)[-1].language is None
    assert stage.wire.end.language is None
    assert [m.language for m in stage.store.messages()] == [None, None]
    assert stage.responder.prompts[0].language == "en"


async def test_the_language_of_a_token_stays() -> None:
    stage = stage_that_hears("de")
    change_session(stage, signed=Settings(language="fr"))
    await say(stage, "t1")
    assert [language for _, language, _ in stage.transcriber.opened] == ["fr"]
    assert spoken_with(stage)[0] == "fr"


@pytest.mark.parametrize("whose", ["settings", "signed"])
async def test_a_voice_that_was_chosen_speaks_every_language(whose: str) -> None:
    stage = stage_that_hears("de")
    voice = str(stage.deployment.defaults.voice)
    change_session(stage, **{whose: Settings(voice=voice)})
    await say(stage, "t1")
    assert spoken_with(stage) == ("de", voice)


async def test_a_language_that_is_chosen_holds_until_another_is_heard() -> None:
    stage = stage_that_hears("de")
    await say(stage, "t1")
    assert stage.store.sessions[REF].heard_language == "de"
    stage.store.change_settings(REF, Settings(language="fr"))
    await stage.run("Et maintenant?", "t2")
    assert spoken_with(stage)[0] == "fr"
    await say(stage, "t3")
    assert spoken_with(stage)[0] == "de"


async def test_the_voice_is_connected_while_the_user_speaks_and_stays_for_the_same_language() -> (
    None
):
    stage = stage_that_hears("en")
    running = asyncio.create_task(stage.run(None, "t1"))
    stage.say("Good", end=False)
    await until(lambda: stage.synthesizer.opened)
    stage.say("Good day.")
    await running
    assert len(stage.synthesizer.opened) == 1


async def test_the_voice_is_connected_again_for_another_language_while_the_model_thinks() -> None:
    responder, go_on = holding("Ja")
    stage = stage_that_hears("de", responder=responder)
    running = asyncio.create_task(stage.run(None, "t1"))
    stage.say("Guten", end=False)
    await until(lambda: stage.synthesizer.opened)
    stage.say("Guten Tag.")
    await until(lambda: len(stage.synthesizer.opened) == 2)
    assert not stage.synthesizer.streams[1].clauses
    go_on.set()
    await running
    english, german = stage.synthesizer.streams
    assert english.closed
    assert not english.clauses
    assert german.clauses
    assert stage.wire.end.reason == "completed"


async def test_a_slow_close_of_the_first_connection_delays_nothing() -> None:
    stage = stage_that_hears("de", synthesizer=FakeSynthesizer(slow_to_close=True))
    running = asyncio.create_task(stage.run(None, "t1"))
    stage.say("Guten", end=False)
    await until(lambda: stage.synthesizer.streams)
    stage.say("Guten Tag.")
    await until(lambda: stage.audio)
    assert not stage.synthesizer.streams[0].closed
    for stream in stage.synthesizer.streams:
        stream.may_close.set()
    await running


async def test_a_voice_that_failed_before_is_not_asked_for_another_language() -> None:
    trouble = broken("refused", "speech_failed")
    stage = stage_that_hears("de", synthesizer=FakeSynthesizer(troubles=[trouble]))
    running = asyncio.create_task(stage.run(None, "t1"))
    stage.say("Guten", end=False)
    await until(lambda: "provider_failed" in [event for event, _ in stage.logged])
    stage.say("Guten Tag.")
    await running
    assert [error.code for error in stage.errors] == ["speech_failed"]
    assert stage.text
    assert len(stage.synthesizer.opened) == 1


async def test_a_table_that_fails_costs_the_next_turns_language_and_not_this_turn() -> None:
    stage = stage_that_hears("de")
    stage.store.failing.add("note_heard_language")
    await say(stage, "t1")
    assert stage.wire.end.language == "de"
    assert ("not_kept", {"what": "heard_language", "error": "OSError"}) in stage.logged


async def test_an_event_without_a_language_looks_as_before() -> None:
    stage = Stage(responder=FakeResponder())
    await stage.run("Hello.", "t1")
    assert not any("language" in msgspec.json.decode(frame) for frame in stage.wire.frames)
