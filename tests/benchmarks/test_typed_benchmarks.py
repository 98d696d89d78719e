"""The benchmarks of first turns, and of typed turns beside others, measure what they say."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack

import pytest

from benchmarks import peer_first_audio
from benchmarks.cold_first_audio import FIRST, READY, SECOND, take_sample
from benchmarks.peer_first_audio import PARLEY, REPLY, measure, parley_turns, peer_turns, show
from benchmarks.peer_processes import FOLDER, running_peer
from benchmarks.process_cpu import cpu_ms, cpu_since, settle
from tests.e2e.raw import opened
from tests.e2e.stack import Stack

SCRIPT = f"""
import asyncio, sys, time
sys.path.insert(0, {str(FOLDER)!r})
from turns import Ear, serve
def session(after_s):
    ear = Ear()
    async def hold_turn(question):
        ear.note_text(question)
        await asyncio.sleep(after_s)
        ear.note_audio()
        until = time.process_time() + 0.02
        while time.process_time() < until:
            pass
    return ear, hold_turn
asyncio.run(serve([session(0.05), session(0.1)]))
"""


@pytest.fixture(autouse=True)
def no_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_first_audio, "WARM_UP", 0)


async def test_a_first_turn_is_measured_from_an_environment_that_is_gone(stack: Stack) -> None:
    before = stack.log.stat().st_size
    sample = await take_sample(stack, 0.0)
    assert set(sample) == {FIRST, SECOND, READY}
    assert min(sample.values()) > 0
    lines = stack.logged_since(before).splitlines()
    assert any(x.startswith("TurnFunction | ") and "initDurationMs" in x for x in lines)


async def test_turns_of_all_sessions_are_held_at_once_and_their_processors_counted(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    async with AsyncExitStack() as running:
        clients = [await running.enter_async_context(opened(stack.url)) for _ in range(2)]
        peer = await running.enter_async_context(running_peer([sys.executable, "-c", SCRIPT], {}))
        turns = {PARLEY: parley_turns(clients), "a peer": peer_turns(peer)}
        found = await measure(turns, 2)
    parley, other = found[PARLEY], found["a peer"]
    assert (len(parley.first_ms.samples), len(other.first_ms.samples)) == (4, 4)
    assert parley.parts_ms["TurnFunction"] > 0
    assert sum(parley.parts_ms.values()) <= 1 + 2 * max(parley.cpu_ms.samples)
    assert 20 <= other.cpu_ms.median < 1_000
    assert min(other.first_ms.samples) >= 50
    asked = [request["body"]["messages"][-1]["content"] for request in stack.llm.requests()]
    assert all(REPLY in text for text in asked)
    show("two at once", found)
    assert "| a peer |" in capsys.readouterr().out


async def test_what_a_stack_uses_is_counted_from_when_it_was_asked(stack: Stack) -> None:
    await settle()
    before = cpu_ms()
    assert {"gateway", "stand-ins"} <= set(before)
    async with opened(stack.url) as client:
        await client.say("Good morning.")
    used = cpu_since(before)
    assert "stand-ins" not in used
    assert used["gateway"] < cpu_ms()["gateway"]
