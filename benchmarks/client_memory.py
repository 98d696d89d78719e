"""Whether the clients' memory stays flat through an hour of conversation and more.

Time is compressed: typed and spoken turns follow each other at once, some are interrupted, some
lose their connection. Memory is what lives after garbage collection, at intervals. The browser
client runs in Node (`client/js/test/soak.js`: the real conversation and player, a scripted
socket, a silent sound card); the Python client talks to a scripted server over real sockets.

    python benchmarks/client_memory.py [--turns 2000] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import statistics
import subprocess
import tracemalloc
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path

from parley_client import Conversation, Reconnect, Turn
from parley_client.messages import Audio
from tests.unit.soak_server import CHUNK_MS, ENDLESS, LOST, REPLY_MS, soak_server

SOAK = Path(__file__).parent.parent / "client" / "js" / "test" / "soak.js"
SPOKEN_MS = 2_000
SPEECH = b"\1" * (16 * 2 * SPOKEN_MS)
WARM_UP = 0.3
"""The part of the measurements that does not count: caches fill, code is compiled."""
PERCENT = 5
"""So much more at the end than after the warm-up is growth."""


@dataclass(frozen=True)
class Measured:
    """After so many turns, and so many minutes of sound from both sides."""

    turns: int
    minutes: float
    bytes: int


@dataclass(frozen=True)
class Growth:
    """Of the memory that lives, after the warm-up."""

    bytes_per_1000_turns: float
    ratio: float
    """The last measurement to the first that counts."""

    @property
    def is_growth(self) -> bool:
        """More than the noise of a garbage collector."""
        return self.ratio > 1 + PERCENT / 100


def growth_of(measured: list[Measured]) -> Growth:
    """The line through the measurements, and the ratio of their ends."""
    warm = measured[int(len(measured) * WARM_UP) :]
    slope, _ = statistics.linear_regression(
        [each.turns for each in warm], [each.bytes for each in warm]
    )
    return Growth(slope * 1_000, warm[-1].bytes / warm[0].bytes)


@contextlib.asynccontextmanager
async def python_conversation() -> AsyncIterator[Conversation]:
    """One with the scripted server, that comes back at once when it is lost."""
    quick = Reconnect(base_s=0.001, cap_s=0.001, stable_s=0.0)
    async with soak_server() as url, Conversation.connect(url, reconnect=quick) as conversation:
        yield conversation


async def python_client(turns: int, every: int) -> AsyncIterator[Measured]:
    """Hold so many turns, and measure after each few."""
    played_ms = 0.0
    tracemalloc.start()
    try:
        async with python_conversation() as conversation:
            for number in range(1, turns + 1):
                _, spoken_ms = await one_turn(conversation, number)
                played_ms += spoken_ms
                if number % every == 0:
                    gc.collect()
                    living, _ = tracemalloc.get_traced_memory()
                    yield Measured(number, round(played_ms / 60_000, 1), living)
    finally:
        tracemalloc.stop()


async def one_turn(conversation: Conversation, number: int) -> tuple[Turn, float]:
    """Hold a turn to its end; how long both sides spoke, in ms.

    Args:
        number: which turn it is, from 1; it decides whether the turn is spoken or typed, is
            interrupted, loses its connection.
    """
    text = LOST if number % 10 == 0 else ENDLESS if number % 7 == 0 else f"Turn {number}."
    spoken = number % 3 == 0 and text not in (LOST, ENDLESS)
    turn = (
        conversation.speak(SPEECH, real_time=False, chunk_ms=CHUNK_MS)
        if spoken
        else conversation.say(text)
    )
    interrupted = False
    async for event in turn:
        if text == ENDLESS and isinstance(event, Audio) and not interrupted:
            interrupted = True
            await turn.interrupt(played_ms=1_000)
    reply = await turn
    expected = "interrupted" if text == ENDLESS else "completed"
    if reply.reason != expected:
        raise RuntimeError(f"Turn {number} was {reply.reason}, not {expected}.")
    return turn, (SPOKEN_MS if spoken else 0) + (1_000 if interrupted else REPLY_MS)


def browser_client(turns: int, every: int) -> list[Measured]:
    """The same in Node."""
    command = ["node", "--expose-gc", str(SOAK), str(turns), str(every)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [Measured(**json.loads(line)) for line in output.splitlines()]


def _report(name: str, measured: list[Measured]) -> dict[str, object]:
    print(f"{name}\n  {'turns':>7} {'minutes':>8} {'living kB':>10}")
    for each in measured:
        print(f"  {each.turns:>7,} {each.minutes:>8.1f} {each.bytes / 1000:>10,.1f}")
    growth = growth_of(measured)
    verdict = "GROWS" if growth.is_growth else "flat"
    print(
        f"  {growth.bytes_per_1000_turns / 1000:+,.1f} kB per 1,000 turns, "
        f"last to first {growth.ratio:.3f}: {verdict}\n",
        flush=True,
    )
    return {"measured": [asdict(each) for each in measured], **asdict(growth)}


def main() -> None:
    """Measure both clients, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, default=2_000, help="per client, at least 20")
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    options = parser.parse_args()
    if options.turns < 20:
        parser.error("--turns must be at least 20.")
    every = options.turns // 10

    async def in_python() -> list[Measured]:
        return [each async for each in python_client(options.turns, every)]

    results = {
        "browser client": _report("browser client", browser_client(options.turns, every)),
        "Python client": _report("Python client", asyncio.run(in_python())),
    }
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
