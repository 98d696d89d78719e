"""How long the first turn of a session takes to its first sound, if no turn has run before.

A client connects, sends `init`, waits as a user does, and sends `user_message`. Before each sample
the turn function's environments are taken away: what invokes it first meets a cold start. The
second turn of the same session is measured too, which is as warm as can be.

Other checkouts of Parley are measured in turn with this one, each by its own `.venv`.

    python -m benchmarks.cold_first_audio [--samples 20] [--wait 1.5] [--beside PATH ...]
"""

from __future__ import annotations

import argparse
import asyncio
import compileall
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DELAYS = {"llm_first_token_ms": 150, "llm_token_ms": 10, "tts_first_byte_ms": 40}
NO_LIMITS = {
    "TurnsPerMinutePerSubject": "0",
    "TurnsPerMinutePerTenant": "0",
    "SessionsPerMinutePerSubject": "0",
    "SessionsPerMinutePerTenant": "0",
}
QUESTION = "What is two plus three?"
PAUSE_S = 0.5
"""Between two turns, as a person makes one."""
FIRST, SECOND, READY = "first turn", "second turn", "init to ready"


def serve() -> None:
    """Run a stack, and take a sample for each line that comes in: how long the client waits, in s.

    The stack is that of the folder that this process was started in.
    """
    from tests.e2e.stack import running_stack

    for folder in ("layers", "functions"):  # as they are in the layer that is deployed
        compileall.compile_dir(folder, quiet=2)
    with (
        tempfile.TemporaryDirectory() as logs,
        running_stack(Path(logs), parameters=NO_LIMITS, prewarm=0) as stack,
    ):
        stack.elevenlabs.put(delays={k: v for k, v in DELAYS.items() if k.startswith("tts")})
        stack.llm.put(delays={k: v for k, v in DELAYS.items() if k.startswith("llm")})
        print(json.dumps({"ready": True}), flush=True)
        while line := sys.stdin.readline().strip():
            print(json.dumps(asyncio.run(take_sample(stack, float(line)))), flush=True)


async def take_sample(stack: Any, wait_s: float) -> dict[str, float]:
    """Return the figures of a session, in ms."""
    from tests.e2e.raw import RawClient, opened

    async def turn(client: RawClient) -> float:
        turn_id = client.new_turn_id()
        sent = time.monotonic()
        await client.send(type="user_message", turn_id=turn_id, text=QUESTION)
        reply = await client.ended(turn_id)
        if reply.end["reason"] != "completed":
            raise RuntimeError(f"a turn failed: {reply.errors}")
        return (reply.time_of("audio") - sent) * 1000

    stack.renew("TurnFunction")
    async with opened(stack.url, init=False) as client:
        asked = time.monotonic()
        await client.init()
        ready_ms = (time.monotonic() - asked) * 1000
        await asyncio.sleep(wait_s)
        first_ms = await turn(client)
        await asyncio.sleep(PAUSE_S)
        return {FIRST: first_ms, SECOND: await turn(client), READY: ready_ms}


class Tree:
    """A running stack of a checkout."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._answer()

    def sample(self, wait_s: float) -> dict[str, float]:
        """Take a sample."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{wait_s}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, float]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a stack has ended: its errors are above")
        answer: dict[str, float] = json.loads(line)
        return answer


@contextlib.contextmanager
def running_tree(folder: Path) -> Iterator[Tree]:
    """The stack of a checkout, run by its own interpreter, until the block ends."""
    process = subprocess.Popen(
        [str(folder / ".venv" / "bin" / "python"), str(Path(__file__).resolve()), "--serve"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Tree(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)


def row(name: str, figure: str, samples: list[float]) -> str:
    """Return a row of the table."""
    shown = (statistics.median(samples), min(samples), max(samples))
    columns = "".join(f"{value:9.0f}" for value in shown)
    return f"{name:16s} {figure:14s}{columns}   {len(samples):3d}"


def main() -> None:
    """Measure and print; with `--json`, write the samples to a file too."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--wait", type=float, default=1.5, help="s from ready to user_message")
    parser.add_argument("--beside", type=Path, nargs="*", default=[], help="other checkouts")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
        return
    folders = {"this": ROOT, **{path.resolve().name: path.resolve() for path in options.beside}}
    found: dict[str, dict[str, list[float]]] = {name: {} for name in folders}
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores, "
          f"load {os.getloadavg()[0]:.1f}, {options.wait} s after ready")  # fmt: skip
    with contextlib.ExitStack() as running:
        trees = {name: running.enter_context(running_tree(path)) for name, path in folders.items()}
        for number in range(options.samples + 1):
            for name, tree in trees.items():
                sample = tree.sample(options.wait)
                if number:  # the first one meets a stack where nothing at all has run
                    for figure, ms in sample.items():
                        found[name].setdefault(figure, []).append(ms)
    print(f"\n{'ms':31s} {'median':>8s} {'min':>8s} {'max':>8s}     n")
    for name, figures in found.items():
        for figure, samples in figures.items():
            print(row(name, figure, samples))
    for name in list(found)[1:]:
        here, there = (statistics.median(found[each][FIRST]) for each in ("this", name))
        print(f"\nthe first turn's first audio is {here / there:.2f} times {name}'s")
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
