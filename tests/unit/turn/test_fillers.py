"""What is said while a tool runs, and when nothing is."""

from __future__ import annotations

import asyncio

import pytest

from parley.protocol.messages import ReplyText
from parley.turn.tools import silence
from tests.unit.fakes import FakeResponder, text_in, until
from tests.unit.memory import REF
from tests.unit.stage import Stage
from tests.unit.turn.tools import ASKED, FakeTool, spec, toolbox


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "FILL_AFTER_S", 0.05)
    monkeypatch.setattr(silence, "FILL_AGAIN_AFTER_S", 0.1)


SAY = {"": ["One moment.", "Still looking."], "de": ["Einen Moment."]}


@pytest.mark.usefixtures("quick")
async def test_silence_while_a_tool_runs_is_filled_and_marked() -> None:
    tool = FakeTool()
    tool.may_answer.clear()
    stage = Stage(
        responder=FakeResponder([[ASKED], ["It is here."]]), toolbox=toolbox(tool, spec(say=SAY))
    )
    turn = asyncio.create_task(stage.run())
    await until(lambda: "Still looking." in stage.text)
    tool.may_answer.set()
    await turn
    fillers = [event.delta for event in stage.wire.of(ReplyText) if event.filler]
    assert "".join(fillers) == "One moment. Still looking."
    assert stage.wire.end.text == "One moment. Still looking. It is here."
    assert text_in(stage.audio).split() == stage.wire.end.text.split()
    kept = stage.store.messages()[-1]
    assert [kept.text[span.start : span.end].strip() for span in kept.fillers] == [
        "One moment.",
        "Still looking.",
    ]
    assert stage.wire.end.metrics.fillers == 2


async def test_nothing_is_filled_when_the_tool_is_quick() -> None:
    stage = Stage(
        responder=FakeResponder([[ASKED], ["It is here."]]),
        toolbox=toolbox(FakeTool(), spec(say=SAY)),
    )
    await stage.run()
    assert stage.wire.end.text == "It is here."


@pytest.mark.usefixtures("quick")
async def test_what_the_user_still_hears_is_no_silence() -> None:
    tool = FakeTool()
    tool.may_answer.clear()
    # 10 ms a character: the sentence sounds for 1.2 s, far longer than a silence may be.
    stage = Stage(
        responder=FakeResponder([["Let me look it up. " * 6, ASKED], ["Here."]]),
        toolbox=toolbox(tool, spec(say=SAY)),
    )
    turn = asyncio.create_task(stage.run())
    await until(lambda: len(stage.audio) >= 48 * 1_000)
    await asyncio.sleep(0.3)
    assert "One moment" not in stage.text
    tool.may_answer.set()
    await turn


@pytest.mark.usefixtures("quick")
async def test_the_filler_is_in_the_language_of_the_session() -> None:
    tool = FakeTool()
    tool.may_answer.clear()
    stage = Stage(
        responder=FakeResponder([[ASKED], ["Hier."]]), toolbox=toolbox(tool, spec(say=SAY))
    )
    wanted = stage.store.sessions[REF].settings.merged_with(
        stage.store.sessions[REF].settings.__class__(language="de")
    )
    stage.store.change_settings(REF, wanted)
    turn = asyncio.create_task(stage.run())
    await until(lambda: stage.text)
    tool.may_answer.set()
    await turn
    assert stage.wire.end.text.startswith("Einen Moment.")


@pytest.mark.usefixtures("quick")
async def test_an_answer_over_http_has_no_filler() -> None:
    tool = FakeTool()
    tool.may_answer.clear()
    stage = Stage(
        responder=FakeResponder([[ASKED], ["Here."]]), toolbox=toolbox(tool, spec(say=SAY))
    )
    turn = asyncio.create_task(stage.run(connection_id=""))
    await until(lambda: tool.invocations)
    await asyncio.sleep(0.2)
    tool.may_answer.set()
    outcome = await turn
    assert outcome is not None
    assert outcome.events[-1].text == "Here."  # type: ignore[union-attr]
