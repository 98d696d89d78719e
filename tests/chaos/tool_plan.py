"""Turns that call tools: what they call, and what goes wrong with it. Plain data, from a seed."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from random import Random
from typing import Literal

Kind = Literal["lambda", "webhook", "mcp", "client"]
KINDS: tuple[Kind, ...] = ("lambda", "webhook", "mcp", "client")
Fault = Literal["", "status", "cut", "late", "refuse"]
Moment = Literal["asked", "called", "acted", "running", "done", "answered"]
"""When something is done to a turn: the model is asked; a tool is called, and has acted; the client
hears of a call that runs, and of one that has ended; the model is told of results."""
MOMENTS: tuple[Moment, ...] = ("asked", "called", "acted", "running", "done", "answered")

TIMEOUT_S, SHORT_TIMEOUT_S = 5, 1
"""What the tools are given; the second is of those that a late call names."""
HEDGE_AFTER_S = 2.0
"""The template's default of `HedgeAfterSeconds`."""
NAMES = ("Ada", "Bob", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hal")
"""Each call of a sentence books under another one."""


@dataclass(frozen=True, slots=True)
class CallPlan:
    """One call, which has one effect.

    Attributes:
        label: tells it from the others of its sentence.
        before_ms, after_ms: what it takes before its effect, and after it.
        fault: a status of 500, or a cut connection, after the effect; `late`: slower than its
            timeout; `refuse`: it says that it did nothing.
    """

    kind: Kind
    label: str
    before_ms: int
    after_ms: int
    fault: Fault = ""

    @property
    def tool(self) -> str:
        """The tool that is named."""
        return tool_name(self.kind, late=self.fault == "late")

    @property
    def timeout_s(self) -> int:
        """How long it may take."""
        return SHORT_TIMEOUT_S if self.fault == "late" else TIMEOUT_S


@dataclass(frozen=True, slots=True)
class ToolsPlan:
    """What one sentence has done, and what is done to its turn.

    Attributes:
        nonce: names the sentence in the ledger.
        rounds: its calls; those of one round run at once.
        kill: when its function is killed, and how many ms after that.
        overlap: when its second attempt is asked for while the first one runs, likewise.
        pause_ms: how long the first attempt stands still right before it records its first round.
        model: its first answer to the sentence never comes, or so many ms late.
        interrupt_ms: when the user interrupts, from the sentence on.
    """

    nonce: str
    rounds: tuple[tuple[CallPlan, ...], ...]
    kill: tuple[Moment, int] | None = None
    overlap: tuple[Moment, int] | None = None
    pause_ms: int = 0
    model: tuple[Literal["stalls", "late"], int] | None = None
    interrupt_ms: int | None = None

    @property
    def calls(self) -> list[CallPlan]:
        """All calls, in order."""
        return [call for calls in self.rounds for call in calls]

    @property
    def text(self) -> str:
        """The sentence, as the stand-ins' rules take it."""
        return ", then ".join(
            " and ".join(f"call {call.tool} with {self._arguments(call)}" for call in calls)
            for calls in self.rounds
        )

    def _arguments(self, call: CallPlan) -> str:
        return json.dumps({"people": 2, "time": "19:30", "name": call.label, "nonce": self.nonce})


def tool_name(kind: Kind, *, late: bool = False) -> str:
    """The name of the tool of a kind; MCP's has its server's name before its own."""
    return f"{kind}{'late' if late else ''}_book_table"


Focus = Literal["", "fence", "replay", "repeat"]
"""What a soak is about that has to show one mistake; all of it if empty."""
MISTAKES: tuple[Focus, ...] = ("fence", "replay", "repeat")


def plan_tools(random: Random, nonce: str, focus: Focus = "") -> ToolsPlan:
    """What one sentence calls, and what is done to its turn."""
    labels = iter(NAMES)
    rounds = tuple(
        tuple(
            _plan_call(random, next(labels), focus)
            for _ in range(random.choices((1, 2, 3), (70, 20, 10))[0])
        )
        for _ in range(random.choices((1, 2), (75, 25))[0])
    )
    plan = ToolsPlan(nonce, rounds)
    if focus == "fence":
        return replace(plan, overlap=("asked", random.randint(0, 100)), pause_ms=2500)
    if focus == "replay":
        return replace(plan, kill=("acted", random.randint(0, 200)))
    return plan if focus == "repeat" else _with_trouble(random, plan)


def _plan_call(random: Random, label: str, focus: Focus) -> CallPlan:
    kind = random.choice(KINDS)
    fault: Fault = ""
    if focus == "repeat":
        kind, fault = random.choice((("lambda", ""), ("webhook", "cut")))
    elif not focus and random.random() < 0.15:
        fault = random.choice(("status", "cut", "late", "refuse"))
    if kind == "client" and fault in ("status", "cut"):
        fault = "refuse"  # the application would know what it did
    if kind == "lambda" and fault == "refuse":
        fault = "status"  # a function can refuse nothing: what it returns is a result
    before_ms, after_ms = random.randint(100, 600), random.randint(100, 600)
    if fault == "late" and random.random() < 0.5:
        before_ms += 1_000
    elif fault == "late":
        after_ms += 1_200
    return CallPlan(kind, label, before_ms, after_ms, fault)


def _with_trouble(random: Random, plan: ToolsPlan) -> ToolsPlan:
    match random.choices(("kill", "overlap", "model", "interrupt", ""), (30, 14, 14, 16, 26))[0]:
        case "kill":
            return replace(plan, kill=(random.choice(MOMENTS), _soon(random)))
        case "overlap":
            pause_ms = random.choice((0, 0, 1_500, 2_500))
            moment = "asked" if pause_ms else random.choice(MOMENTS)
            return replace(plan, overlap=(moment, _soon(random)), pause_ms=pause_ms)
        case "model":
            late_ms = round(HEDGE_AFTER_S * 1000) + random.randint(-50, 500)
            return replace(plan, model=(random.choice(("stalls", "late", "late")), late_ms))
        case "interrupt":
            return replace(plan, interrupt_ms=random.randint(0, 3_500))
    return plan


def _soon(random: Random) -> int:
    return round(1_000 * random.random() ** 2)
