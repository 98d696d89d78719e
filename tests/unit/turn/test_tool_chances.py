"""Turns with tools under chance: whatever happens when, what must hold holds.

A seed makes a model, tools, and what goes wrong. A seed that fails is run alone by its number.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest

from parley.protocol.messages import ReplyText, ToolUpdate, TurnEnd
from parley.protocol.tool_rounds import ToolCall, ToolCalls
from parley.storage.item_codec import turn_key
from parley.tools.tool import Answer, CustomEvent, Invocation, ToolFailed, ToolSpec
from parley.tools.toolbox import BUILT_IN, Toolbox
from parley.turn.input import poll_rhythm
from parley.turn.tools import silence
from tests.unit.fakes import FakeResponder, Step, Wire, broken
from tests.unit.memory import REF
from tests.unit.stage import Stage
from tests.unit.turn.tools import recorded, spec

TEXTS = ["Let me look.", "One **second**.", "我看一下。", "It costs 3.", "", "", "Here ", "☀ So"]
SAY = {"": ["Hold on.", "Still at it."]}
EFFECTS = {"look": "read", "set": "idempotent", "pay": "write"}
BUILT_INS = ["skip_turn", "end_session"]


@dataclass
class World:
    """What tools do to the world, and how they fail.

    Attributes:
        acted: how often each key has had an effect.
    """

    chance: random.Random
    acted: Counter[str] = field(default_factory=Counter)

    async def call(self, invocation: Invocation) -> Answer:
        chance = self.chance
        await asyncio.sleep(chance.choice([0, 0, 0.005, 0.03, 0.08]))
        if chance.random() < 0.15:
            raise ToolFailed("refused", acted=False)
        self.acted[invocation.key] += 1
        await asyncio.sleep(chance.choice([0, 0, 0.01]))
        if chance.random() < 0.2:
            raise chance.choice([ToolFailed("unavailable", acted=True), OSError()])
        return Answer("done", [CustomEvent("seen", 1)] if chance.random() < 0.3 else [])


def make_stage(chance: random.Random, world: World) -> Stage:
    """A stage with a model that asks for anything."""
    specs = [
        spec(name, effect, say=SAY, timeout_s=chance.choice([0.03, 1]))  # type: ignore[arg-type]
        for name, effect in EFFECTS.items()
    ]

    for name in BUILT_INS:
        specs.append(spec(name, "idempotent", kind=BUILT_IN, target=name))

    def build(_: ToolSpec) -> World:
        return world

    replies = [_reply(chance) for _ in range(40)]
    return Stage(responder=FakeResponder(replies), toolbox=Toolbox(specs, build))


def _reply(chance: random.Random) -> list[Step]:
    steps: list[Step] = [f"{text} " for text in chance.choices(TEXTS, k=chance.randrange(3))]
    if steps and chance.random() < 0.5:
        steps[-1] = str(steps[-1]).rstrip()
    ends = chance.random()
    if ends < 0.1:
        return [*steps, broken(chance.choice(["refused", "unavailable"]))]
    if ends < 0.55:
        names = chance.choices(
            [*EFFECTS, *EFFECTS, "none", *BUILT_INS], k=chance.choice([1, 1, 2, 6])
        )
        wanted = [ToolCall(name, f'{{"order": "{chance.randrange(2)}"}}') for name in names]
        return [*steps, ToolCalls(tuple(wanted))]
    return [*steps, " The end."]


async def attempt(
    stage: Stage, number: int, chance: random.Random, *, connected: bool, may_die: bool = True
) -> Wire:
    """Run an attempt at the turn, with what may happen to it."""
    mine = Stage.__new__(Stage)
    mine.__dict__.update(stage.__dict__)
    mine.wire = Wire()
    turn = asyncio.create_task(
        mine.run(
            "Do it.",
            attempt=number if number > 1 else None,
            owner=f"owner {number}",
            connection_id="c" if connected else "",
            remaining_s=chance.choice([60, 60, 4.6]),
        )
    )
    happens = chance.random()
    await asyncio.sleep(chance.choice([0, 0.005, 0.02, 0.06]))
    if happens < 0.3:
        stage.interrupt(0)
    elif happens < 0.5:
        await fail_a_while(stage, chance.choice(["set_result", "record_round", "read_rounds"]))
    elif happens < 0.6 and may_die:
        die(stage)
    await asyncio.gather(turn, return_exceptions=True)
    return mine.wire


async def fail_a_while(stage: Stage, name: str) -> None:
    """Let the table fail at one thing."""

    def fail(*_: Any) -> Any:
        raise OSError

    vars(stage.rounds)[name] = fail
    await asyncio.sleep(0.02)
    vars(stage.rounds).pop(name, None)


def die(stage: Stage) -> None:
    """Let the function die, with all that it runs."""
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    item = stage.store.client.table.get(turn_key(REF, "t1"))
    if item is not None:
        stage.store.fail_turn(REF, "t1", item["owner"]["S"])


def check_wire(wire: Wire) -> None:
    """Check the order of what the client got, and that its texts agree."""
    numbers = [getattr(event, "seq", None) for event in wire.events]
    assert numbers == list(range(1, len(numbers) + 1))
    ends = [at for at, event in enumerate(wire.events) if isinstance(event, TurnEnd)]
    if not ends:
        return
    assert ends == [len(wire.events) - 1], "nothing comes after the end"
    end = wire.of(TurnEnd)[0]
    said = "".join(event.delta for event in wire.of(ReplyText))
    assert not re.search(r"[.*][A-Z]", said), "sentences are apart"
    assert said == end.text or (end.reason == "interrupted" and end.text.startswith(said))
    states: dict[str, list[str]] = {}
    for update in wire.of(ToolUpdate):
        states.setdefault(update.call_id, []).append(update.state)
    assert all(len(seen) <= 2 for seen in states.values())


def check_rounds(stage: Stage, world: World) -> None:
    """Check that what was recorded is what has happened."""
    if (REF, "t1") not in stage.store.turns:
        return
    for each in recorded(stage):
        pairs = zip(each.request.calls, each.results, strict=True)
        for index, (call, result) in enumerate(pairs):
            acted = world.acted[f"s.t1.{each.index}.{index}"]
            if EFFECTS.get(call.name) != "write":
                continue
            assert acted <= 1, "a write acts once at most"
            if result is not None and result.outcome == "done":
                assert acted == 1
            elif result is not None and result.outcome in ("failed", "cancelled"):
                assert acted == 0, "who is told that it failed would have it done again"


async def run_chance(seed: int) -> None:
    chance = random.Random(seed)
    world = World(chance)
    stage = make_stage(chance, world)
    connected = chance.random() < 0.7
    if chance.random() < 0.3:  # the second overtakes the first
        both = [
            attempt(stage, number, chance, connected=connected, may_die=False) for number in (1, 2)
        ]
        wires = await asyncio.gather(*both)
    else:
        wires = [await attempt(stage, 1, chance, connected=connected)]
        if chance.random() < 0.6:
            wires.append(await attempt(stage, 2, chance, connected=connected))
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"left running: {left}"
    for wire in wires:
        check_wire(wire)
    check_rounds(stage, world)
    turn = stage.store.turns.get((REF, "t1"))
    if turn is not None and turn.state == "ended" and wires[-1].of(TurnEnd):
        texts = [m.text for m in stage.store.messages() if m.role == "assistant"]
        assert texts in ([], [wires[-1].of(TurnEnd)[0].text])
    stage.wire = Wire()
    await stage.run("And now?", "t2")
    for prompt in stage.responder.prompts:
        for rounds in (prompt.rounds, *prompt.past_rounds.values()):
            for each in rounds:
                assert len(each.results) == len(each.request.calls)
                assert not each.is_open, "every call in a prompt has a result"


@pytest.mark.parametrize("seed", range(40))
async def test_whatever_happens_when_what_must_hold_holds(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poll_rhythm, "REPLY_S", 0.005)
    monkeypatch.setattr(silence, "FILL_AFTER_S", 0.01)
    monkeypatch.setattr(silence, "FILL_AGAIN_AFTER_S", 0.03)
    await run_chance(seed)
