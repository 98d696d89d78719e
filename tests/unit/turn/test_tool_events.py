"""What a client sees of tools, and the functions that the application runs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from parley.protocol.messages import ClientCall, Custom, ToolUpdate
from parley.storage.inbox_entries import ToolResultEntry
from parley.tools.tool import Answer, CustomEvent
from parley.tools.toolbox import CLIENT
from tests.unit.fakes import FakeResponder, until
from tests.unit.memory import REF
from tests.unit.stage import Stage
from tests.unit.turn.tools import ASKED, OFTEN_IN_VAIN, FakeTool, outcomes, spec, told, toolbox


async def test_the_client_sees_names_and_states_unless_the_tool_shows_more() -> None:
    for show, expected in (
        ("name", (False, False)),
        ("arguments", (True, False)),
        ("all", (True, True)),
    ):
        stage = Stage(
            responder=FakeResponder([[ASKED], ["Here."]]),
            toolbox=toolbox(FakeTool(), spec(title="Order", show=show)),
        )
        await stage.run()
        running, done = stage.wire.of(ToolUpdate)
        assert [(u.call_id, u.name, u.title) for u in (running, done)] == [
            ("s.t1.0.0", "order_status", "Order")
        ] * 2
        assert (running.state, done.state) == ("running", "done")
        assert done.ms is not None
        assert (bool(done.arguments), bool(done.result)) == expected


async def test_events_of_a_tool_reach_the_page_and_not_the_model() -> None:
    answer = Answer({"status": "here"}, [CustomEvent("map", {"lat": 1})])
    stage = Stage(responder=FakeResponder([[ASKED], ["Here."]]), toolbox=toolbox(FakeTool(answer)))
    await stage.run()
    assert [(e.name, e.data) for e in stage.wire.of(Custom)] == [("map", {"lat": 1})]
    assert told(stage) == ['{"status": "here"}']


async def test_a_function_of_the_application_is_asked_and_answers() -> None:
    stage = Stage(
        responder=FakeResponder([[ASKED], ["Here."]]),
        toolbox=toolbox(FakeTool(), spec(kind=CLIENT, effect="write")),
    )
    stage.store.open_session(client_tools=("order_status",))
    turn = asyncio.create_task(stage.run())
    await until(lambda: stage.wire.of(ClientCall))
    (call,) = stage.wire.of(ClientCall)
    assert (call.name, call.arguments, call.timeout_ms) == (
        "order_status",
        {"order": "A-123"},
        10_000,
    )
    stage.store.inboxes.put_tool_result(REF, "t1", ToolResultEntry(call.call_id, "on the page"))
    stage.store.inboxes.put_tool_result(REF, "t1", ToolResultEntry(call.call_id, "another"))
    await turn
    assert told(stage) == ["on the page"]


async def test_a_function_of_the_application_that_fails_is_told_in_its_own_words() -> None:
    stage = Stage(
        responder=FakeResponder([[ASKED], ["Sorry."]]),
        toolbox=toolbox(FakeTool(), spec(kind=CLIENT, effect="write")),
    )
    stage.store.open_session(client_tools=("order_status",))
    stage.store.inboxes.put_tool_result(REF, "t1", ToolResultEntry("s.t1.0.0", "", "No map here"))
    await stage.run()
    assert outcomes(stage) == ["failed"]
    assert told(stage)[0].endswith("It says: No map here")


@pytest.mark.parametrize(("has_it", "connection"), [((), "c"), (("order_status",), "")])
async def test_a_function_that_nobody_has_is_not_offered(has_it: Any, connection: str) -> None:
    stage = Stage(
        responder=FakeResponder([["Hello."]]), toolbox=toolbox(FakeTool(), spec(kind=CLIENT))
    )
    stage.store.open_session(client_tools=has_it)
    await stage.run(connection_id=connection)
    assert stage.responder.prompts[0].tools == []


@pytest.mark.parametrize(("effect", "outcome"), [("read", "failed"), ("write", "unknown")])
async def test_a_function_of_the_application_that_does_not_answer_is_not_waited_for(
    effect: Any, outcome: str
) -> None:
    stage = Stage(
        responder=FakeResponder([[ASKED], ["Sorry."]]),
        toolbox=toolbox(FakeTool(), spec(kind=CLIENT, effect=effect, timeout_s=0.05)),
    )
    stage.store.open_session(client_tools=("order_status",))
    await stage.run()
    assert outcomes(stage) == [outcome]
    (failure,) = [fields for event, fields in stage.logged if event == "tool_failed"]
    assert failure["reason"] == "no_answer"


async def test_a_page_whose_function_fails_does_not_keep_others_from_theirs() -> None:
    stage = Stage(
        responder=FakeResponder([*OFTEN_IN_VAIN]),
        toolbox=toolbox(FakeTool(), spec(kind=CLIENT, effect="write")),
    )
    stage.store.open_session(client_tools=("order_status",))
    for turn in range(7):
        answer = ToolResultEntry(f"s.t{turn}.0.0", "", "No map here")
        stage.store.inboxes.put_tool_result(REF, f"t{turn}", answer)
        stage.wire.events.clear()
        await stage.run(turn_id=f"t{turn}")
    assert len(stage.wire.of(ClientCall)) == 1, "the last one is asked all the same"
