"""How a reply in rounds is spoken: its segments, their joints, and what fills a silence."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from parley.audio.heard import heard_text, split_heard
from parley.limits.rules import LimitRules
from parley.protocol.messages import Audio, ReplyText, Settings, TurnEnd
from parley.providers.rules import STANDARD
from parley.turn.context import SecondProviders
from parley.turn.tools import silence
from tests.unit.fakes import FakeResponder, FakeSynthesizer, Step, broken, text_in, until
from tests.unit.memory import REF
from tests.unit.stage import Stage
from tests.unit.turn.tools import ASKED, FakeTool, calls, recorded, spec, toolbox

SAY = {"": ["One moment.", "Still looking."]}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have silences filled soon."""
    monkeypatch.setattr(silence, "FILL_AFTER_S", 0.05)
    monkeypatch.setattr(silence, "FILL_AGAIN_AFTER_S", 0.1)


def of(*replies: list[Step], tool: FakeTool | None = None, **more: Any) -> Stage:
    """A stage whose model says this, with a tool that has something to say."""
    synthesizer = more.pop("synthesizer", None)
    return Stage(
        responder=FakeResponder([*replies]),
        synthesizer=synthesizer,
        toolbox=toolbox(tool or FakeTool(), spec(say=SAY, **more)),
    )


def words(stage: Stage) -> list[str]:
    """The words that the client got."""
    return [word.text for event in stage.wire.events for word in getattr(event, "words", [])]


# --- joints -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "whole"),
    [
        ("Let me look.", "It is here.", "Let me look. It is here."),
        ("Let me look. ", "It is here.", "Let me look. It is here."),
        ("我看一下。", "到了。", "我看一下。到了。"),
        ("見てみます。", "“はい”。", "見てみます。“はい”。"),
        ("Looking ☀", "Found it.", "Looking ☀ Found it."),
        ("It costs 3.", "50 euros.", "It costs 3. 50 euros."),
    ],
)
async def test_rounds_are_joined_as_their_script_joins_sentences(
    before: str, after: str, whole: str
) -> None:
    stage = of([before, ASKED], [after])
    await stage.run()
    assert stage.wire.end.text == stage.text == whole


async def test_markdown_after_a_round_without_words_is_not_read_aloud() -> None:
    stage = of([ASKED], ["It ", "is ", "**h", "ere** ", "now."])
    await stage.run()
    assert text_in(stage.audio).split() == ["It", "is", "here", "now."]


async def test_a_turn_that_ends_with_a_call_opens_no_stream_for_nothing() -> None:
    synthesizer = FakeSynthesizer()
    stage = Stage(
        responder=FakeResponder([["Goodbye.", calls("end_session")]]),
        synthesizer=synthesizer,
        toolbox=toolbox(
            FakeTool(), spec("end_session", "idempotent", kind="built_in", target="end_session")
        ),
    )
    await stage.run()
    assert text_in(stage.audio).strip() == "Goodbye."
    assert len(synthesizer.streams) == 1


async def test_the_stream_of_the_second_segment_is_open_before_its_tool_has_answered() -> None:
    tool = FakeTool()
    tool.may_answer.clear()
    synthesizer = FakeSynthesizer()
    stage = of(["Let me look.", ASKED], ["Here."], tool=tool, synthesizer=synthesizer)
    turn = asyncio.create_task(stage.run())
    await until(lambda: len(synthesizer.streams) == 2)
    tool.may_answer.set()
    await turn
    assert text_in(stage.audio).split() == ["Let", "me", "look.", "Here."]


async def test_a_voice_that_fails_before_a_call_leaves_the_rest_in_text() -> None:
    trouble = broken("refused", "speech_failed")
    stage = of(
        ["Let me look.", ASKED], ["It is here."], synthesizer=FakeSynthesizer(troubles=[trouble])
    )
    await stage.run()
    assert (stage.wire.end.reason, stage.wire.end.text) == ("completed", "Let me look. It is here.")
    assert [error.code for error in stage.errors] == ["speech_failed"]
    assert stage.audio == b""


@pytest.mark.usefixtures("quick")
async def test_a_filler_leaves_the_model_all_that_it_may_say() -> None:
    tool = FakeTool()
    tool.may_answer.clear()
    stage = of(["Let me look.", ASKED], ["It is here, in the second drawer."], tool=tool)
    stage.deployment = replace(stage.deployment, limits=LimitRules(reply_chars=20))
    turn = asyncio.create_task(stage.run())
    await until(lambda: "One moment." in stage.text)
    tool.may_answer.set()
    await turn
    assert stage.wire.end.text == "Let me look. One moment. It is h"


# --- fillers ----------------------------------------------------------------------------


@pytest.mark.usefixtures("quick")
async def test_what_fills_the_silence_while_the_model_thinks_is_apart_from_its_words() -> None:
    thinks = asyncio.Event()
    stage = of([ASKED], [thinks, "It is **he", "re**."])
    turn = asyncio.create_task(stage.run())
    await until(lambda: "One moment." in stage.text)
    thinks.set()
    await turn
    assert stage.wire.end.text == "One moment. It is **here**."
    assert text_in(stage.audio).split() == ["One", "moment.", "It", "is", "here."]
    kept = stage.store.messages()[-1]
    assert [kept.text[span.start : span.end] for span in kept.fillers] == ["One moment."]


@pytest.mark.usefixtures("quick")
async def test_a_model_that_fails_after_a_filler_is_asked_again() -> None:
    thinks = asyncio.Event()
    stage = of([ASKED], [thinks, broken("unavailable")], ["It is here."])
    turn = asyncio.create_task(stage.run())
    await until(lambda: "One moment." in stage.text)
    thinks.set()
    await turn
    assert stage.wire.end.text == "One moment. It is here."


@pytest.mark.usefixtures("quick")
async def test_a_filler_is_no_words_of_the_round_that_follows_it() -> None:
    thinks = asyncio.Event()
    stage = of([ASKED], [thinks, "Now that.", ASKED], ["It is here."])
    turn = asyncio.create_task(stage.run())
    await until(lambda: "One moment." in stage.text)
    thinks.set()
    await turn
    assert [each.text.strip() for each in recorded(stage)] == ["", "Now that."]


@pytest.mark.usefixtures("quick")
async def test_nothing_is_filled_once_the_turn_has_been_stopped() -> None:
    tool = FakeTool()
    tool.may_answer.clear()
    stage = of([ASKED], ["Never."], tool=tool, effect="write")
    turn = asyncio.create_task(stage.run())
    await until(lambda: tool.invocations)
    stage.interrupt(0)
    await until(lambda: stage.wire.of(TurnEnd))
    ended = stage.wire.end
    await asyncio.sleep(0.2)  # a filler is due
    tool.may_answer.set()
    await turn
    assert stage.wire.end is ended


@pytest.mark.usefixtures("quick")
async def test_a_second_silence_of_a_turn_is_not_filled_with_the_same_words() -> None:
    first, second = FakeTool(), FakeTool()
    first.may_answer.clear()
    second.may_answer.clear()
    stage = of([calls("a")], [calls("b")], ["Here."])
    runners = {"a": first, "b": second}
    stage.toolbox = type(stage.toolbox)(
        [spec("a", say=SAY), spec("b", say=SAY)], lambda each: runners[each.name]
    )
    turn = asyncio.create_task(stage.run())
    await until(lambda: stage.text)
    first.may_answer.set()
    await until(lambda: "Still" in stage.text)
    second.may_answer.set()
    await turn
    fillers = [event.delta.strip() for event in stage.wire.of(ReplyText) if event.filler]
    assert fillers == ["One moment.", "Still looking."]


@pytest.mark.usefixtures("quick")
async def test_a_silence_of_a_reply_without_a_voice_is_not_filled() -> None:
    tool = FakeTool()
    tool.may_answer.clear()
    trouble = broken("refused", "speech_failed")
    synthesizer = FakeSynthesizer(troubles=[trouble])
    stage = of([ASKED], ["Here."], tool=tool, synthesizer=synthesizer)
    turn = asyncio.create_task(stage.run())
    await until(lambda: stage.errors)
    await asyncio.sleep(0.2)  # a filler is due
    tool.may_answer.set()
    await turn
    assert stage.wire.end.text == "Here."


@pytest.mark.usefixtures("quick")
async def test_the_wait_for_a_tool_is_the_tools_part_also_where_it_was_filled() -> None:
    tool = FakeTool()
    tool.may_answer.clear()
    stage = of([ASKED], ["Here."], tool=tool)
    turn = asyncio.create_task(stage.run())
    await until(lambda: stage.audio)
    tool.may_answer.set()
    await turn
    found = stage.wire.end.metrics
    assert found.tools_ms
    parts = [found.dispatch_ms, found.prepare_ms, found.responder_ms, found.tools_ms]
    parts += [found.clause_ms, found.synthesizer_ms, found.delivery_ms]
    assert sum(part or 0 for part in parts) == pytest.approx(found.first_audio_ms, abs=0.5)


# --- the voice of a language that was just chosen -------------------------------------------


async def test_the_reply_after_a_change_of_language_has_its_voice() -> None:
    wanted = calls("set_language", arguments='{"language": "de"}')
    synthesizer = FakeSynthesizer()
    stage = Stage(
        responder=FakeResponder([["One moment.", wanted], ["Sehr gern."]]),
        synthesizer=synthesizer,
        toolbox=toolbox(
            FakeTool(), spec("set_language", "idempotent", kind="built_in", target="set_language")
        ),
    )
    stage.store.change_settings(REF, Settings(language="en"))
    await stage.run("Speak German.")
    spoken = [
        (settings.language, stream.clauses)
        for (_, settings), stream in zip(synthesizer.opened, synthesizer.streams, strict=True)
        if stream.clauses
    ]
    assert spoken == [("en", ["One moment."]), ("de", ["Sehr gern."])]
    assert words(stage) == ["One", "moment.", "Sehr", "gern."]


# --- a voice that fails behind a call -------------------------------------------------------


async def test_a_stream_that_has_died_while_a_tool_ran_is_opened_again() -> None:
    tool = FakeTool()
    tool.may_answer.clear()
    synthesizer = FakeSynthesizer()
    stage = of(["Let me look.", ASKED], ["It is here."], tool=tool, synthesizer=synthesizer)
    turn = asyncio.create_task(stage.run())
    await until(lambda: len(synthesizer.streams) == 2)
    synthesizer.streams[1].break_off()
    tool.may_answer.set()
    await turn
    assert text_in(stage.audio).split() == ["Let", "me", "look.", "It", "is", "here."]
    assert words(stage) == ["Let", "me", "look.", "It", "is", "here."]
    assert stage.errors == []


async def test_another_voice_goes_on_within_the_words_behind_a_call() -> None:
    first, second = FakeSynthesizer(), FakeSynthesizer()
    stage = of(["Let me look.", ASKED], ["It is here, I think."], synthesizer=first)
    stage.second = SecondProviders(synthesizer=second)
    first.breaks_off_after = 14  # of a stream: "Let me look. " is shorter
    await stage.run()
    assert words(stage) == ["Let", "me", "look.", "It", "is", "here,", "I", "think."]
    assert [stream.clauses for stream in second.streams if stream.clauses] == [["think."]]
    starts = [word.start_ms for event in stage.wire.of(Audio) for word in event.words]
    assert starts == sorted(starts)
    assert stage.wire.end.metrics.failed_over == 1


async def test_who_took_over_goes_on_behind_a_call() -> None:
    first, second = (
        FakeSynthesizer(troubles=[broken("refused", "speech_failed")]),
        FakeSynthesizer(),
    )
    model = FakeResponder([["Let me look.", ASKED], ["It is here."]])
    stage = Stage(
        responder=FakeResponder([[broken("refused")]]),
        synthesizer=first,
        second=SecondProviders(responder=model, synthesizer=second),
        toolbox=toolbox(FakeTool()),
    )
    await stage.run()
    assert stage.wire.end.text == "Let me look. It is here."
    assert (len(stage.responder.prompts), len(model.prompts)) == (1, 2)
    assert (len(first.opened), len(second.opened)) == (1, 2)
    assert stage.wire.end.metrics.failed_over == 2


async def test_a_model_that_acts_by_itself_is_not_asked_to_go_on_behind_a_call() -> None:
    """It is not told what has been done, and would do it once more."""
    workflow = FakeResponder([["Booked, too."]], rules=replace(STANDARD, repeatable=False))
    stage = of([ASKED], [broken("refused")], effect="write")
    stage.second = SecondProviders(responder=workflow)
    await stage.run("Book it.")
    assert workflow.prompts == []
    assert stage.wire.end.reason == "failed"


CODE = '```json\n{"order": "A-123",\n "what": "the status of it, and where it is"}\n```'


async def test_what_a_round_only_shows_is_heard_with_the_next_word_that_sounds() -> None:
    stage = of([CODE, ASKED], ["It is here."])
    await stage.run()
    assert text_in(stage.audio).split() == ["It", "is", "here."]
    assert words(stage) == [CODE, "It", "is", "here."]
    sent = [word for event in stage.wire.of(Audio) for word in event.words]
    assert heard_text(split_heard(stage.wire.end.text, sent), 10_000) == f"{CODE} It is here."
