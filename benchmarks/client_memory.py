"""Whether the clients' memory stays flat through an hour of conversation and more.

Time is compressed: typed and spoken turns follow each other at once, some are interrupted, some
lose their connection. Memory is what lives after garbage collection, at intervals. The browser
client runs in Node (`client/js/test/soak.js`: the real conversation and player, a scripted
socket, a silent sound card); the Python client (`client/python/tests/soak.py`) talks to a
scripted server over real sockets.

    python benchmarks/client_memory.py [--turns 2000] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import statistics
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOAK = ROOT / "client" / "js" / "test" / "soak.js"
sys.path.insert(0, str(ROOT / "client" / "python" / "tests"))

from soak import one_turn, soak_conversation  # noqa: E402  # found by the path above

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


async def python_client(turns: int, every: int) -> AsyncIterator[Measured]:
    """Hold so many turns, and measure after each few."""
    played_ms = 0.0
    tracemalloc.start()
    try:
        async with soak_conversation() as conversation:
            for number in range(1, turns + 1):
                _, spoken_ms = await one_turn(conversation, number)
                played_ms += spoken_ms
                if number % every == 0:
                    gc.collect()
                    living, _ = tracemalloc.get_traced_memory()
                    yield Measured(number, round(played_ms / 60_000, 1), living)
    finally:
        tracemalloc.stop()


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
