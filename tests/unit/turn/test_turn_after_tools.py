"""What the next turn and a transcript know of the calls before."""

from __future__ import annotations

import asyncio

from parley.http.transcripts import render_markdown, view_session
from parley.storage.session_reader import SessionReader
from parley.tools.sentences import STILL_RUNNING
from tests.unit.fakes import FakeResponder, until
from tests.unit.memory import REF
from tests.unit.stage import Stage
from tests.unit.turn.tools import ASKED, FakeTool, spec, toolbox


async def test_the_next_turn_knows_what_was_called_and_what_came_of_it() -> None:
    stage = Stage(
        responder=FakeResponder([[ASKED], ["It is here."], ["Yes."]]), toolbox=toolbox(FakeTool())
    )
    await stage.run()
    await stage.run("Sure?", "t2")
    past = stage.responder.prompts[-1].past_rounds
    assert [result.text for result in past["t1"][0].results if result] == ["It is on its way."]
    assert [m.text for m in stage.responder.prompts[-1].history] == ["Hello there.", "It is here."]


async def test_the_next_turn_knows_that_a_write_still_runs() -> None:
    tool = FakeTool()
    tool.may_answer.clear()
    stage = Stage(
        responder=FakeResponder([[ASKED], ["Not yet."]]),
        toolbox=toolbox(tool, spec(effect="write")),
    )
    first = asyncio.create_task(stage.run("Book it."))
    await until(lambda: tool.invocations)
    stage.interrupt(0)
    second = Stage.__new__(Stage)
    second.__dict__.update(stage.__dict__)
    second.wire = type(stage.wire)()
    await second.run("Is it done?", "t2")
    past = stage.responder.prompts[-1].past_rounds
    assert [result.text for result in past["t1"][0].results if result] == [STILL_RUNNING]
    tool.may_answer.set()
    await first
    await second.run("And now?", "t3")
    past = stage.responder.prompts[-1].past_rounds
    assert [result.text for result in past["t1"][0].results if result] == ["It is on its way."]


async def test_a_transcript_names_what_was_called_and_shows_no_more() -> None:
    stage = Stage(
        responder=FakeResponder([[ASKED], ["It is here."]]), toolbox=toolbox(FakeTool("secret"))
    )
    await stage.run("Where is it?")
    found = SessionReader(stage.store.client.table).read_conversation(REF)
    assert found is not None
    view = view_session(found, 0, {})
    assert [(m.role, m.tools) for m in view.messages] == [
        ("user", []),
        ("assistant", ["order_status"]),
    ]
    assert "(called `order_status`)" in render_markdown(found)
    assert "secret" not in render_markdown(found) + str(view)
