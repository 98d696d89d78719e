"""What a typed turn costs the turn function: processor time, memory at rest, and calls.

Holds the same conversation on the local stack of this tree, and of another one in turns, with the
same questions and delays. Times and memory are the kernel's, of the turn function's process.

    python -m benchmarks.turn_cpu [--other PATH] [--turns 20] [--rounds 3]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.e2e.raw import opened
from tests.e2e.stack import Stack, running_stack

ROOT = Path(__file__).resolve().parent.parent
QUESTION = (
    "Repeat after me: yesterday evening several fishermen brought their wooden boats home safely, "
    "although strong winds were blowing around the northern harbour entrance."
)
"""Its reply has 20 tokens and takes 8 s to say."""
PAUSE_S = 0.3
"""Between turns: what the turn writes after its end belongs to it."""
WARM_UP = 2
NO_LIMITS = {
    "TurnsPerMinutePerSubject": "60",
    "TurnsPerMinutePerTenant": "60",
}
DELAYS = {"llm_first_token_ms": 150, "llm_token_ms": 10}
TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")


def turn_process() -> int:
    """Return the id of the turn function's process, a descendant of this one."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            variables = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        is_turn = any(
            each.startswith(b"AWS_LAMBDA_FUNCTION_NAME=") and b"-TurnFunction" in each
            for each in variables
        )
        if is_turn and os.getpid() in ancestors(int(folder.name)):
            return int(folder.name)
    raise RuntimeError("there is no process of the turn function")


def ancestors(pid: int) -> list[int]:
    """Return the processes that a process descends from."""
    found = []
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        found.append(pid)
    return found


def cpu_ms(pid: int) -> float:
    """Return the processor time of a process so far, its threads' included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_MS


def memory_mb(pid: int) -> dict[str, float]:
    """Return the memory of a process: resident, and its share of what it shares."""
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    sizes = {row.split(":")[0]: int(row.split()[1]) / 1024 for row in rows}
    return {"pss": sizes["Pss"], "rss": sizes["Rss"]}


async def measure(stack: Stack, turns: int) -> dict[str, Any]:
    """Return the figures of some turns of one environment."""
    stack.llm.put(delays=DELAYS)
    async with opened(stack.url) as client:
        await client.say(QUESTION)
        await asyncio.sleep(PAUSE_S)
        pid = turn_process()
        at_rest = memory_mb(pid)
        for _ in range(WARM_UP):
            await client.say(QUESTION)
            await asyncio.sleep(PAUSE_S)
        before, posts, audio, chars, prepare = cpu_ms(pid), [], [], [], []
        for _ in range(turns):
            reply = await client.say(QUESTION)
            if reply.end["reason"] != "completed":
                raise RuntimeError(f"a turn failed: {reply.errors}")
            metrics = reply.end["metrics"]
            posts.append(metrics["posts"])
            audio.append(metrics["audio_ms"])
            chars.append(metrics["reply_chars"])
            prepare.append(metrics["prepare_ms"])
            await asyncio.sleep(PAUSE_S)
        if turn_process() != pid:
            raise RuntimeError("another environment has taken turns")
        return {
            "cpu_ms": (cpu_ms(pid) - before) / turns,
            "rest_pss_mb": at_rest["pss"],
            "rest_rss_mb": at_rest["rss"],
            "prepare_ms": statistics.median(prepare),
            "posts": statistics.mean(posts),
            "audio_s": statistics.mean(audio) / 1000,
            "reply_chars": statistics.mean(chars),
        }


def measure_here(turns: int) -> dict[str, Any]:
    """Measure the tree that this process imports from."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_stack(Path(folder), parameters=NO_LIMITS, prewarm=0) as stack,
    ):
        return asyncio.run(measure(stack, turns))


def measure_tree(tree: Path, turns: int) -> dict[str, Any]:
    """Measure another tree, with its own interpreter and its own local stack."""
    done = subprocess.run(
        [str(tree / ".venv/bin/python"), str(Path(__file__).resolve()), "--here", str(turns)],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def show(found: dict[str, list[dict[str, Any]]]) -> None:
    """Print the medians of both trees, with the least and the most, and their ratios."""
    base = found.get("other")
    print(f"{'':14s} {'this':>8s} {'min':>8s} {'max':>8s} {'other':>8s} {'ratio':>7s}")
    for name in found["this"][0]:
        values = [each[name] for each in found["this"]]
        row = f"{name:14s} {statistics.median(values):8.1f} {min(values):8.1f} {max(values):8.1f}"
        if base:
            others = statistics.median(each[name] for each in base)
            row += f" {others:8.1f} {statistics.median(values) / others:7.2f}"
        print(row)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--other", type=Path, help="a tree to compare with")
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--here", type=int, metavar="TURNS", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        print(json.dumps(measure_here(options.here)))
        return
    trees = {"this": ROOT} | ({"other": options.other.resolve()} if options.other else {})
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in trees}
    for _ in range(options.rounds):
        for name, tree in trees.items():
            found[name].append(measure_tree(tree, options.turns))
            print(name, json.dumps(found[name][-1]), file=sys.stderr)
    show(found)


if __name__ == "__main__":
    main()
