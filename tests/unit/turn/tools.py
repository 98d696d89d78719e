"""Tools for tests of turns: what a test says, and how a model asks for them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from parley.protocol.tool_rounds import CallResult, ToolCall, ToolCalls, ToolRound
from parley.providers.llm import ToolOffer
from parley.tools.tool import Answer, Effect, Invocation, Tool, ToolSpec
from parley.tools.toolbox import Toolbox
from tests.unit.fakes import Step
from tests.unit.memory import REF
from tests.unit.stage import Stage

SCHEMA = {"type": "object", "properties": {"order": {"type": "string"}}}


@dataclass
class FakeTool:
    """Answers what a test says.

    Attributes:
        answer: what it answers, or raises.
        may_answer: it waits for it.
        running: how many calls run now, and `most` how many ever did.
    """

    answer: Any = "It is on its way."
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    invocations: list[Invocation] = field(default_factory=list)
    cancelled: int = 0
    running: int = 0
    most: int = 0

    def __post_init__(self) -> None:
        self.may_answer.set()

    async def call(self, invocation: Invocation) -> Answer:
        self.invocations.append(invocation)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer if isinstance(self.answer, Answer) else Answer(self.answer)


def spec(name: str = "order_status", effect: Effect = "read", **more: Any) -> ToolSpec:
    """Return a tool that a `FakeTool` runs."""
    kind = more.pop("kind", "fake")
    return ToolSpec(ToolOffer(name, "Where an order is.", SCHEMA), kind, effect=effect, **more)


def toolbox(tool: Tool, *specs: ToolSpec) -> Toolbox:
    """Return a toolbox in which one object runs every tool."""

    def build(_: ToolSpec) -> Tool:
        return tool

    return Toolbox(specs or (spec(),), build)


def calls(*names: str, arguments: str = '{"order": "A-123"}') -> ToolCalls:
    """Return what a model asks for."""
    return ToolCalls(tuple(ToolCall(name, arguments, f"id-{name}") for name in names))


ASKED = calls("order_status")
OFTEN_IN_VAIN: list[list[Step]] = [[ASKED], ["Sorry."]] * 7


def recorded(stage: Stage, turn_id: str = "t1") -> list[ToolRound]:
    """Return the rounds of a turn, as the table has them."""
    turn = stage.store.turns[REF, turn_id]
    return stage.rounds.read_rounds(REF, turn_id, turn.attempt.started_ms)


def results(stage: Stage, turn_id: str = "t1") -> list[CallResult | None]:
    """Return the results of all calls of a turn, as the table has them."""
    return [result for each in recorded(stage, turn_id) for result in each.results]


def outcomes(stage: Stage, turn_id: str = "t1") -> list[str | None]:
    """Return what became of all calls of a turn."""
    return [result.outcome if result else None for result in results(stage, turn_id)]


def told(stage: Stage) -> list[str]:
    """Return what the model was told of its calls when it was asked last."""
    done = stage.responder.prompts[-1].rounds
    return [result.text for each in done for result in each.results if result]
