"""Parley beside Pipecat and LiveKit Agents: a typed turn's first audio and its processor time.

All ask the same chat stand-in, and their voices take equally long: Parley through the whole local
stack, the same calls from one asyncio process with nothing in between (the floor), Pipecat with
sentences and with tokens for its voice, LiveKit Agents. The last two are installed with pip for the
run, each in an environment of its own; they have no transport, so the first frame of audio counts
that their pipelines put out. Turns of all are held in turn within one run. Then many sessions are
held at once, by Parley and by one process of Pipecat.

    python -m benchmarks.peer_first_audio [--turns 20] [--at-once 10 50] [--peers-in FOLDER]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import os
import platform
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.first_audio import DELAYS, PAUSE_S, TTS_FIRST_BYTE_MS, Series
from benchmarks.floor import Floor
from benchmarks.peer_processes import FRAMEWORKS, Framework, Peer, running_peer
from benchmarks.process_cpu import cpu_ms, cpu_since, settle
from tests.e2e.raw import RawClient, opened
from tests.e2e.stack import STANDIN_KEY, Stack, running_stack

REPLY = (
    "Good afternoon, the old bridge is open. It closes at nine in the evening, and then you have "
    "to swim across."
)
"""Of 21 tokens: the second one ends a clause, the eighth shows that a sentence has ended."""
QUESTION = f"Repeat after me: {REPLY}"
PARLEY, FLOOR = "Parley", "floor"
PIPECAT, LIVEKIT = FRAMEWORKS
TOKENS = f"{PIPECAT.name}, tokens"
WARM_UP = 2
NO_LIMITS = dict.fromkeys(
    (
        "ConnectionsPerSubject",
        "ConnectionsPerTenant",
        "SessionsPerMinutePerSubject",
        "SessionsPerMinutePerTenant",
        "TurnsPerMinutePerSubject",
        "TurnsPerMinutePerTenant",
    ),
    "0",
)


@dataclass
class Figures:
    """What was measured of one of them.

    Attributes:
        first_ms: first audio.
        cpu_ms: processor time of a turn to its end.
        parts_ms: Parley's, by function.
        failed: turns that did not end well.
    """

    first_ms: Series = field(default_factory=lambda: Series(""))
    cpu_ms: Series = field(default_factory=lambda: Series(""))
    parts_ms: dict[str, float] = field(default_factory=dict)
    failed: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return them for a file."""
        found: dict[str, Any] = {"first_audio_ms": self.first_ms.as_json(), "failed": self.failed}
        if self.cpu_ms.samples:
            found["cpu_ms"] = self.cpu_ms.as_json()
        return found | {"cpu_parts_ms": self.parts_ms}


Turn = Callable[[Figures], Awaitable[None]]
"""Holds a turn in all sessions at once, and notes its figures."""


def parley_turns(clients: Sequence[RawClient]) -> Turn:
    """Return what holds turns through the stack."""

    async def hold_one(client: RawClient, figures: Figures) -> None:
        turn_id, sent = client.new_turn_id(), time.monotonic()
        await client.send(type="user_message", turn_id=turn_id, text=QUESTION)
        reply = await client.ended(turn_id)
        if reply.end["reason"] == "completed":
            figures.first_ms.add((reply.time_of("audio") - sent) * 1000)
        else:
            figures.failed += 1

    async def hold(figures: Figures) -> None:
        before = cpu_ms()
        await asyncio.gather(*(hold_one(client, figures) for client in clients))
        await settle()  # what the functions do after `turn_end` is theirs too
        used = cpu_since(before)
        figures.cpu_ms.add(sum(used.values()) / len(clients))
        for part, ms in used.items():
            figures.parts_ms[part] = figures.parts_ms.get(part, 0.0) + ms / len(clients)

    return hold


def floor_turn(floor: Floor) -> Turn:
    """Return what makes the same calls with nothing in between."""

    async def hold(figures: Figures) -> None:
        figures.first_ms.add(await floor.first_audio_ms(QUESTION))

    return hold


def peer_turns(peer: Peer) -> Turn:
    """Return what holds turns in another framework."""

    async def hold(figures: Figures) -> None:
        answer = await peer.ask(QUESTION)
        for first_ms in answer["first_audio_ms"]:
            figures.first_ms.add(first_ms)
        figures.cpu_ms.add(answer["cpu_ms"])

    return hold


async def measure(turns: Mapping[str, Turn], rounds: int) -> dict[str, Figures]:
    """Hold turns, those of each in turn."""
    found: dict[str, Figures] = {}
    for number in range(WARM_UP + rounds):
        if number == WARM_UP:
            found = {}
        for name, hold in turns.items():
            await asyncio.sleep(PAUSE_S)
            await hold(found.setdefault(name, Figures()))
    for figures in found.values():
        figures.parts_ms = {part: round(ms / rounds) for part, ms in figures.parts_ms.items()}
    return found


class Everybody:
    """Who is measured.

    Args:
        pythons: interpreters of the frameworks, by their names.
    """

    def __init__(self, stack: Stack, pythons: Mapping[str, Path]) -> None:
        self._stack = stack
        self._pythons = pythons

    async def one_each(self, count: int) -> dict[str, Figures]:
        """Measure one session of each."""
        stack = self._stack
        floor = Floor(stack.elevenlabs.url, stack.standins.llm_url, STANDIN_KEY)
        async with contextlib.AsyncExitStack() as running:
            running.push_async_callback(floor.close)
            client = await running.enter_async_context(opened(stack.url))
            turns = {PARLEY: parley_turns([client]), FLOOR: floor_turn(floor)}
            for name, framework, cut in (
                (PIPECAT.name, PIPECAT, "sentences"),
                (TOKENS, PIPECAT, "tokens"),
                (LIVEKIT.name, LIVEKIT, "sentences"),
            ):
                peer = await running.enter_async_context(self._peer(framework, cut=cut))
                turns[name] = peer_turns(peer)
            return await measure(turns, count)

    async def many(self, sessions: int, count: int) -> dict[str, Figures]:
        """Measure many sessions at once, twice or more, until there are `count` turns or more."""
        async with contextlib.AsyncExitStack() as running:
            clients = [
                await running.enter_async_context(opened(self._stack.url)) for _ in range(sessions)
            ]
            peer = await running.enter_async_context(self._peer(PIPECAT, sessions=str(sessions)))
            turns = {PARLEY: parley_turns(clients), PIPECAT.name: peer_turns(peer)}
            return await measure(turns, max(2, math.ceil(count / sessions)))

    def _peer(
        self, framework: Framework, **options: str
    ) -> contextlib.AbstractAsyncContextManager[Peer]:
        given = {
            "llm-url": self._stack.standins.llm_url,
            "key": STANDIN_KEY,
            "first-byte-ms": str(TTS_FIRST_BYTE_MS),
            **options,
        }
        return running_peer((self._pythons[framework.name], framework.script), given)


def show(title: str, found: Mapping[str, Figures]) -> None:
    """Print a table in Markdown."""
    print(
        f"\n| {title} | first audio, ms | p95 | from, to | n | Parley's to it | CPU of a turn, ms |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    parley = found[PARLEY]
    for name, figures in found.items():
        first = figures.first_ms
        cpu = f"{figures.cpu_ms.median:.0f}" if figures.cpu_ms.samples else ""
        spread = f"{min(first.samples):.0f} to {max(first.samples):.0f}"
        ratio = f"{parley.first_ms.median / first.median:.2f}"
        failed = f", {figures.failed} failed" if figures.failed else ""
        print(
            f"| {name} | {first.median:.0f} | {first.percentile(0.95):.0f} | {spread} "
            f"| {len(first.samples)}{failed} | {ratio} | {cpu} |"
        )
    shares = ", ".join(f"{part} {ms:.0f}" for part, ms in sorted(parley.parts_ms.items()))
    print(f"\nof Parley's processor time, in ms a turn: {shares}")


async def run(
    stack: Stack, count: int, at_once: Sequence[int], pythons: Mapping[str, Path]
) -> dict[str, dict[str, Figures]]:
    """Measure everybody."""
    stack.elevenlabs.put(delays={"tts_first_byte_ms": DELAYS["tts_first_byte_ms"]})
    stack.llm.put(delays={k: v for k, v in DELAYS.items() if k.startswith("llm")})
    everybody = Everybody(stack, pythons)
    results = {"one session": await everybody.one_each(count)}
    for sessions in at_once:
        results[f"{sessions} sessions at once"] = await everybody.many(sessions, count)
    return results


def main() -> None:
    """Measure and print; with `--json`, write the figures to a file too."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--at-once", type=int, nargs="*", default=[10, 50], metavar="SESSIONS")
    parser.add_argument("--peers-in", type=Path, help="where their environments are kept")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores, "
          f"load {os.getloadavg()[0]:.1f}, {options.turns} turns or more each")  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pythons = {
            each.name: each.install(options.peers_in or folder / "peers") for each in FRAMEWORKS
        }
        with running_stack(folder, parameters=NO_LIMITS) as stack:
            results = asyncio.run(run(stack, options.turns, options.at_once, pythons))
    for title, found in results.items():
        show(title, found)
    if options.json:
        figures = {
            title: {name: each.as_json() for name, each in found.items()}
            for title, found in results.items()
        }
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
