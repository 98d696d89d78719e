"""How long until the first sound of a turn that calls a tool, over the sum of its parts.

The parts: the whole stream of the model's first round, a tool that reads for a tenth of a second,
the first token and the first clause of the second round, the first byte of speech. What is over
their sum is what lies between them. Measured in turns within one run, each against the same chat
stand-in: Parley through the local stack, with a Lambda function and with a webhook, the same calls
from one asyncio process with nothing in between (the floor), Pipecat and LiveKit Agents. These two
are installed with pip for the run, are given a voice of the same delay, and have no transport:
the first frame of audio counts that their pipelines put out.

    python -m benchmarks.tool_first_audio [--turns 20] [--without-peers] [--peers-in FOLDER]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.first_audio import (
    DELAYS,
    LLM_FIRST_TOKEN_MS,
    LLM_TOKEN_MS,
    PARTS,
    PAUSE_S,
    TTS_FIRST_BYTE_MS,
    Series,
    tokens_to_first_clause,
)
from benchmarks.floor import Floor
from benchmarks.peer_processes import FRAMEWORKS, Peer, running_peer
from benchmarks.tool_stack import DESCRIPTION, ORDER, running_tool_stack
from benchmarks.tool_wait.app import WORK_S, handler
from tests.e2e.raw import RawClient, opened
from tests.e2e.stack import STANDIN_KEY, Stack

QUESTION = "Where is order A-123?"
WEBHOOK_QUESTION = 'Please call webhook_status with {"order": "A-123"}'
TOOL = {
    "type": "function",
    "function": {
        "name": "order_status",
        "description": DESCRIPTION,
        "parameters": {"type": "object", "properties": {"order": ORDER}, "required": ["order"]},
    },
}
LAMBDA, WEBHOOK, FLOOR = "Parley, Lambda function", "Parley, webhook", "floor"
TARGET_MS = 60
WARM_UP = 2
TOOL_PARTS = (*PARTS[:4], "tools", *PARTS[4:])


class NoCall(Exception):
    """A turn was not what is measured: two requests to the model, the first with a call."""


def parts_ms(stack: Stack) -> float:
    """Return the sum of what was set to be slow in the turn that has just ended.

    Raises:
        NoCall: it had no call.
    """
    records = [r for r in stack.llm.requests() if r["path"].endswith("/chat/completions")]
    if len(records) != 2:
        raise NoCall(f"{len(records)} requests to the model")
    pieces = sum(_has_call(frame) for frame in records[0]["frames"])
    if not pieces:
        raise NoCall("the first round called nothing")
    # The stand-in says that a stream ends right behind its last piece.
    first_round = LLM_FIRST_TOKEN_MS + (pieces - 1) * LLM_TOKEN_MS
    clause = LLM_FIRST_TOKEN_MS + (tokens_to_first_clause(stack) - 1) * LLM_TOKEN_MS
    return first_round + WORK_S * 1000 + clause + TTS_FIRST_BYTE_MS


def _has_call(record: Mapping[str, Any]) -> bool:
    frame = record.get("frame")
    choices = frame.get("choices", []) if isinstance(frame, dict) else []
    return any((choice.get("delta") or {}).get("tool_calls") for choice in choices)


@dataclass
class Results:
    """First audio and what of it is over the sum of the parts, by who was asked.

    Attributes:
        shares: the breakdown that Parley's server gives of its turns, by who and part.
    """

    first: dict[str, Series] = field(default_factory=dict)
    over: dict[str, Series] = field(default_factory=dict)
    shares: dict[str, dict[str, Series]] = field(default_factory=dict)

    def add(self, name: str, first_ms: float, ideal_ms: float) -> None:
        """One turn."""
        self.first.setdefault(name, Series(name)).add(first_ms)
        self.over.setdefault(name, Series(name)).add(first_ms - ideal_ms)

    def add_parts(self, name: str, metrics: Mapping[str, Any]) -> None:
        """What the server says of a turn."""
        parts = self.shares.setdefault(name, {})
        for part in TOOL_PARTS:
            if (value := metrics.get(f"{part}_ms")) is not None:
                parts.setdefault(part, Series(part)).add(value)

    def ratio(self, name: str, other: str) -> float:
        """Return how many times as long as another one's somebody's first audio takes, each
        without the difference of the sums of their parts."""
        here, there = self.first[name], self.first[other]
        ideal = here.median - self.over[name].median
        return here.median / (ideal + self.over[other].median) if there.samples else 0.0

    def as_json(self) -> dict[str, Any]:
        """For a file."""
        return {
            name: {"first_audio": self.first[name].as_json(), "over": self.over[name].as_json()}
            for name in self.first
        }


Turn = Callable[[Results], Awaitable[float]]
"""Holds a turn; returns the ms to its first audio."""


def parley_turn(client: RawClient, name: str, question: str) -> Turn:
    """Return what holds a typed turn through the stack."""

    async def hold(results: Results) -> float:
        turn = client.new_turn_id()
        sent = time.monotonic()
        await client.send(type="user_message", turn_id=turn, text=question)
        reply = await client.ended(turn)
        if reply.end["reason"] != "completed":
            raise RuntimeError(f"a turn failed: {reply.errors}")
        results.add_parts(name, reply.end["metrics"])
        return (reply.time_of("audio") - sent) * 1000

    return hold


def floor_turn(floor: Floor) -> Turn:
    """Return what makes the same calls with nothing in between."""

    async def hold(_results: Results) -> float:
        result = handler({"order": "A-123"}, None)
        return await floor.first_audio_after_tool_ms(QUESTION, TOOL, result, WORK_S)

    return hold


def peer_turn(peer: Peer) -> Turn:
    """Return what holds a turn in another framework."""

    async def hold(_results: Results) -> float:
        return float((await peer.ask(QUESTION))["first_audio_ms"][0])

    return hold


async def measure(stack: Stack, turns: Mapping[str, Turn], count: int) -> Results:
    """Hold turns, one of each in turn."""
    results = Results()
    for number in range(WARM_UP + count):
        if number == WARM_UP:
            results = Results()
        for name, hold in turns.items():
            await asyncio.sleep(PAUSE_S)
            stack.llm.forget()
            first_ms = await hold(results)
            results.add(name, first_ms, parts_ms(stack))
    return results


async def run(stack: Stack, count: int, pythons: Mapping[str, Path]) -> Results:
    """Measure everybody.

    Args:
        pythons: interpreters of the frameworks that are measured beside, by their names.
    """
    stack.elevenlabs.put(delays={"tts_first_byte_ms": DELAYS["tts_first_byte_ms"]})
    stack.llm.put(delays={k: v for k, v in DELAYS.items() if k.startswith("llm")})
    floor = Floor(stack.elevenlabs.url, stack.standins.llm_url, STANDIN_KEY)
    options = {
        "llm-url": stack.standins.llm_url,
        "key": STANDIN_KEY,
        "tool-ms": str(WORK_S * 1000),
        "first-byte-ms": str(TTS_FIRST_BYTE_MS),
    }
    async with contextlib.AsyncExitStack() as running:
        running.push_async_callback(floor.close)
        client = await running.enter_async_context(opened(stack.url))
        turns = {
            LAMBDA: parley_turn(client, LAMBDA, QUESTION),
            WEBHOOK: parley_turn(client, WEBHOOK, WEBHOOK_QUESTION),
            FLOOR: floor_turn(floor),
        }
        for each in FRAMEWORKS:
            if each.name in pythons:
                command = (pythons[each.name], each.script)
                peer = await running.enter_async_context(running_peer(command, options))
                turns[each.name] = peer_turn(peer)
        return await measure(stack, turns, count)


def show(results: Results) -> None:
    """The tables, in Markdown."""
    others = [name for name in results.first if name not in (LAMBDA, WEBHOOK)]
    print("\n| first audio, ms | over the sum of the parts | from, to | n | whole |", end="")
    print(*(f" to {name} |" for name in others), sep="")
    print("| --- | --- | --- | --- | --- |" + " --- |" * len(others))
    for name, over in results.over.items():
        columns = f"{over.median:.1f} | {min(over.samples):.1f} to {max(over.samples):.1f}"
        print(f"| {name} | {columns} | {len(over.samples)} ", end="")
        print(f"| {results.first[name].median:.1f} |", end="")
        print(*(f" {results.ratio(name, other):.2f} |" for other in others), sep="")
    for name, parts in results.shares.items():
        columns = ", ".join(f"{part} {series.median:.0f}" for part, series in parts.items())
        print(f"\n{name}, server side, medians in ms: {columns}")
    for name in (LAMBDA, WEBHOOK):
        over_ms = results.over[name].median
        verdict = "within" if over_ms <= TARGET_MS else f"missed by {over_ms - TARGET_MS:.1f} ms"
        print(f"{name}: target of {TARGET_MS} ms over the sum: {verdict}")


def main() -> None:
    """Measure and print; with `--json`, write the figures to a file too."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--without-peers", action="store_true", help="Parley and the floor alone")
    parser.add_argument("--peers-in", type=Path, help="where their environments are kept")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores, "
          f"load {os.getloadavg()[0]:.1f}, {options.turns} turns each")  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kept = options.peers_in or folder / "peers"
        wanted = () if options.without_peers else FRAMEWORKS
        pythons = {each.name: each.install(kept) for each in wanted}
        (folder / "stack").mkdir()
        with running_tool_stack(folder / "stack") as stack:
            results = asyncio.run(run(stack, options.turns, pythons))
    show(results)
    if options.json:
        options.json.write_text(json.dumps(results.as_json(), indent=2) + "\n")


if __name__ == "__main__":
    main()
