"""Tools in a turn: recorded before they run, run once, and told to the model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from parley.protocol.messages import ToolUpdate
from parley.protocol.tool_rounds import ToolCall, ToolCalls
from parley.providers.llm import ToolOffer
from parley.tools.tool import Answer, Effect, Invocation, Tool, ToolSpec
from parley.tools.toolbox import Toolbox
from tests.unit.fakes import FakeResponder, text_in, until
from tests.unit.memory import REF
from tests.unit.stage import Stage

SCHEMA = {"type": "object", "properties": {"order": {"type": "string"}}}


@dataclass
class FakeTool:
    """Answers what a test says.

    Attributes:
        answer: what it answers, or raises.
        may_answer: it waits for it.
    """

    answer: Any = "It is on its way."
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    invocations: list[Invocation] = field(default_factory=list)
    cancelled: int = 0

    def __post_init__(self) -> None:
        self.may_answer.set()

    async def call(self, invocation: Invocation) -> Answer:
        self.invocations.append(invocation)
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(self.answer, Exception):
            raise self.answer
        return Answer(self.answer)


def spec(name: str = "order_status", effect: Effect = "read", **more: Any) -> ToolSpec:
    return ToolSpec(ToolOffer(name, "Where an order is.", SCHEMA), "fake", effect=effect, **more)


def toolbox(tool: Tool, *specs: ToolSpec) -> Toolbox:
    build: Callable[[ToolSpec], Tool] = lambda _: tool  # noqa: E731
    return Toolbox(specs or (spec(),), build)


def calls(*names: str, arguments: str = '{"order": "A-123"}') -> ToolCalls:
    return ToolCalls(tuple(ToolCall(name, arguments, f"id-{name}") for name in names))


ASKED = calls("order_status")


async def test_the_model_is_asked_again_with_what_the_tool_answered() -> None:
    tool = FakeTool()
    stage = Stage(responder=FakeResponder([[ASKED], ["It is on its way."]]), toolbox=toolbox(tool))
    outcome = await stage.run("Where is my order?")
    assert outcome is not None
    assert stage.wire.end.text == "It is on its way."
    (invocation,) = tool.invocations
    assert invocation.arguments == {"order": "A-123"}
    assert invocation.key == "s.t1.0.0"
    first, second = stage.responder.prompts
    assert [offer.name for offer in first.tools] == ["order_status"]
    (done,) = second.rounds
    assert done.request == ASKED
    assert [result.text for result in done.results if result] == ["It is on its way."]


async def test_the_client_sees_that_a_tool_runs_and_has_run() -> None:
    stage = Stage(
        responder=FakeResponder([[ASKED], ["Here."]]), toolbox=toolbox(FakeTool(), spec(title="T"))
    )
    await stage.run()
    updates = stage.wire.of(ToolUpdate)
    assert [(u.call_id, u.name, u.title, u.state) for u in updates] == [
        ("s.t1.0.0", "order_status", "T", "running"),
        ("s.t1.0.0", "order_status", "T", "done"),
    ]
    assert updates[1].ms is not None


async def test_what_is_said_before_and_after_a_call_is_one_reply_that_is_spoken_once() -> None:
    stage = Stage(
        responder=FakeResponder([["Let me look.", ASKED], ["It is", " on its way."]]),
        toolbox=toolbox(FakeTool()),
    )
    await stage.run()
    assert stage.wire.end.text == stage.text == "Let me look. It is on its way."
    assert text_in(stage.audio).split() == stage.text.split()
    words = [word.text for event in stage.wire.events for word in getattr(event, "words", [])]
    assert words == stage.text.split()
    assert stage.history_texts[-1] == ("assistant", "Let me look. It is on its way.", None)


async def test_a_later_attempt_goes_on_from_the_recorded_round_and_runs_nothing_again() -> None:
    tool = FakeTool()
    stage = Stage(
        responder=FakeResponder([[ASKED], ["Broken", OSError()], ["It is on its way."]]),
        toolbox=toolbox(tool, spec(effect="write")),
    )
    await stage.run("Where?")
    assert stage.wire.end.reason == "failed"
    stage.wire.events.clear()
    await stage.run("Where?", attempt=2)
    assert stage.wire.end.text == "It is on its way."
    assert len(tool.invocations) == 1
    assert len(stage.responder.prompts) == 3


async def test_a_write_that_has_begun_is_finished_after_an_interruption() -> None:
    tool = FakeTool()
    tool.may_answer.clear()
    stage = Stage(
        responder=FakeResponder([[ASKED], ["Yes."]]), toolbox=toolbox(tool, spec(effect="write"))
    )
    turn = asyncio.create_task(stage.run("Book it."))
    await until(lambda: tool.invocations)
    stage.interrupt(0)
    await until(lambda: stage.wire.events and stage.wire.events[-1].__class__.__name__ == "TurnEnd")
    tool.may_answer.set()
    await turn
    assert stage.wire.end.reason == "interrupted"
    (kept,) = stage.rounds.read_rounds(REF, "t1", stage.store.turns[REF, "t1"].attempt.started_ms)
    assert [result.outcome for result in kept.results if result] == ["done"]


async def test_a_read_is_cancelled_by_an_interruption() -> None:
    tool = FakeTool()
    tool.may_answer.clear()
    stage = Stage(responder=FakeResponder([[ASKED], ["Yes."]]), toolbox=toolbox(tool))
    turn = asyncio.create_task(stage.run("Where is it?"))
    await until(lambda: tool.invocations)
    stage.interrupt(0)
    await turn
    assert tool.cancelled == 1
    (kept,) = stage.rounds.read_rounds(REF, "t1", stage.store.turns[REF, "t1"].attempt.started_ms)
    assert [result.outcome for result in kept.results if result] == ["cancelled"]
