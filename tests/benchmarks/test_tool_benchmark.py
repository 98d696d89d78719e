"""The benchmark of a turn with a tool measures what it says; other frameworks are not installed."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from benchmarks import tool_first_audio
from benchmarks.first_audio import DELAYS
from benchmarks.floor import Floor
from benchmarks.peer_processes import FOLDER, running_peer
from benchmarks.tool_first_audio import FLOOR, NoCall, floor_turn, measure, parts_ms
from benchmarks.tool_stack import parameters, write_template
from samwire.template.reader import read_stack
from tests.e2e.stack import STANDIN_KEY, Stack, Standins

SCRIPT = f"""
import asyncio, sys
sys.path.insert(0, {str(FOLDER)!r})
from turns import Ear, serve
ear = Ear()
async def hold_turn(question):
    ear.note_text(question)
    await asyncio.sleep(0.05)
    ear.note_audio()
    ear.note_text("more")
    assert question != "end"
asyncio.run(serve([(ear, hold_turn)]))
"""
PARTS_MS = (150 + 3 * 10) + 100 + (150 + 9 * 10) + 40
"""A call in four pieces; ten tokens to "Order A-123 is on its way." and what shows that it ends."""


@pytest.fixture
async def floor(standins: Standins) -> AsyncIterator[Floor]:
    standins.reset()
    standins.elevenlabs.put(delays={"tts_first_byte_ms": DELAYS["tts_first_byte_ms"]})
    standins.llm.put(delays={k: v for k, v in DELAYS.items() if k.startswith("llm")})
    floor = Floor(standins.elevenlabs_url, standins.llm_url, STANDIN_KEY)
    yield floor
    await floor.close()
    standins.reset()


@pytest.fixture
def only_standins(standins: Standins) -> Stack:
    return Stack("", standins, {}, Path())


async def test_what_is_over_the_sum_is_measured_from_what_was_set_to_be_slow(
    floor: Floor, only_standins: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool_first_audio, "WARM_UP", 0)
    results = await measure(only_standins, {FLOOR: floor_turn(floor)}, 2)
    first, over = results.first[FLOOR].samples, results.over[FLOOR].samples
    assert [whole - above for whole, above in zip(first, over, strict=True)] == [PARTS_MS] * 2
    assert min(over) > 0


async def test_a_turn_without_a_call_is_no_sample(floor: Floor, only_standins: Stack) -> None:
    await floor.first_audio_ms("What is two plus three?")
    with pytest.raises(NoCall, match="1 requests to the model"):
        parts_ms(only_standins)


async def test_a_framework_is_asked_turn_by_turn(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    async with running_peer((sys.executable, script), {}) as peer:
        for question in ("one", "two"):
            answer = await peer.ask(question)
            assert answer["spoken_first"] == question
            assert answer["first_audio_ms"][0] >= 50
        with pytest.raises(RuntimeError, match="has ended"):
            await peer.ask("end")


def test_the_stack_has_a_function_that_waits_and_a_secret_of_its_tools(tmp_path: Path) -> None:
    url = "http://127.0.0.1:4711"
    template = write_template(tmp_path, url)
    given = {"ElevenLabsApiKey": "x", **parameters(url)}
    stack = read_stack(template, given, "us-east-1", "localhost:1")
    functions = {function.logical_id: function for function in stack.functions}
    tool, turn = functions["ToolBookTableFunction"], functions["TurnFunction"].environment
    assert "WORK_S = 0.1" in (tool.code / "app.py").read_text()
    assert turn["PRIVATE_TOOL_HOSTS"] == "127.0.0.1:4711"
    (secret,) = [each for each in stack.secrets if each.logical_id == "ToolSecrets"]
    assert turn["TOOL_SECRETS_ARN"] == secret.arn
