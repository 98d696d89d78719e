"""How soon many sessions that begin at once hear their first audio.

Each session connects, sends `init`, then one `user_message`, and waits for `turn_end`. The
stand-ins have set delays: 150 ms to the model's first token, 10 ms a token, 40 ms to the first byte
of speech. First audio is counted from `user_message` sent. All of it shares this machine: the
clients, the stand-ins, gateway, functions and database. The CPU times say whose it is.

    python -m benchmarks.many_sessions [--sessions 50] [--runs 3] [--tree PATH] [--json FILE]

`--tree` measures another tree, which has an environment of its own in `.venv`, in turns with this
one. `--start` gives options to `samwire start`, as one word: `--start=--latency=aws`.
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
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tests.e2e.raw import opened
from tests.e2e.stack import Stack, running_stack

ROOT = Path(__file__).resolve().parents[1]
DELAYS = {"llm_first_token_ms": 150, "llm_token_ms": 10}
VOICE_DELAYS = {"tts_first_byte_ms": 40}
QUESTION = "Count to five."
SESSION_S = 90.0
"""A session that takes longer has failed."""
LOOK_S = 0.5
SETTLED_S = 0.03
"""What a stack at rest uses of a processor between two looks, at most."""
NO_LIMITS = {
    "TurnsPerMinutePerSubject": "0",
    "TurnsPerMinutePerTenant": "0",
    "SpeechSecondsPerDayPerTenant": "0",
}
"""The template's: all sessions are those of one subject here."""


@dataclass
class Run:
    """What one run came to.

    Attributes:
        first_audio_ms: of each session that ended well.
        failed: what became of the others.
        cpu_ms: processor time of the run by its owner, divided by the number of sessions.
        environments: how many processes of functions there were at the end.
        pss_mb: median of their proportional share of memory, and the whole of it.
    """

    first_audio_ms: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    whole_ms: float = 0.0
    cpu_ms: dict[str, float] = field(default_factory=dict)
    environments: int = 0
    pss_mb: dict[str, float] = field(default_factory=dict)


async def _session(stack: Stack, run: Run) -> None:
    try:
        async with asyncio.timeout(SESSION_S), opened(stack.url) as client:
            turn = client.new_turn_id()
            sent = time.monotonic()
            await client.send(type="user_message", turn_id=turn, text=QUESTION)
            reply = await client.ended(turn)
            if reply.end["reason"] != "completed":
                run.failed.append(str(reply.errors))
            else:
                run.first_audio_ms.append((reply.time_of("audio") - sent) * 1000)
    except Exception as problem:  # the others go on; this one is counted
        run.failed.append(repr(problem))


async def _measure(stack: Stack, sessions: int) -> Run:
    stack.llm.put(delays=DELAYS)
    stack.elevenlabs.put(delays=VOICE_DELAYS)
    run = Run()
    await _settle(stack.info["pid"])
    before = _cpu_s(stack.info["pid"])
    own = time.process_time()
    began = time.monotonic()
    await asyncio.gather(*(_session(stack, run) for _ in range(sessions)))
    run.whole_ms = (time.monotonic() - began) * 1000
    after = _cpu_s(stack.info["pid"])
    run.cpu_ms = {
        owner: round((after[owner] - before.get(owner, 0.0)) * 1000 / sessions, 1)
        for owner in after
    }
    run.cpu_ms["client"] = round((time.process_time() - own) * 1000 / sessions, 1)
    shares = [_pss_mb(pid) for pid, owner in _family(stack.info["pid"]) if owner == "functions"]
    run.environments = len(shares)
    run.pss_mb = {"median": statistics.median(shares or [0.0]), "all": round(sum(shares), 1)}
    return run


async def _settle(gateway: int) -> None:
    """Wait until a stack has done what its start has begun."""
    used = -1.0
    while sum(_cpu_s(gateway).values()) - used > SETTLED_S:
        used = sum(_cpu_s(gateway).values())
        await asyncio.sleep(LOOK_S)


def _family(gateway: int) -> list[tuple[int, str]]:
    """Return the processes of a stack, each with whose it is."""
    found = [(gateway, "gateway")]
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and _parent(int(folder.name)) is not None:
            pid = int(folder.name)
            ancestors: list[int] = []
            above = _parent(pid)
            while above and above != gateway and len(ancestors) < 9:
                ancestors.append(above)
                above = _parent(above)
            if above == gateway:
                line = (folder / "cmdline").read_bytes()
                found.append((pid, "database" if b"moto_server" in line else "functions"))
    return found


def _parent(pid: int) -> int | None:
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the third on (proc(5))."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _cpu_s(gateway: int) -> dict[str, float]:
    """Return processor time by owner; that of functions that have ended is the functions'."""
    ticks = os.sysconf("SC_CLK_TCK")
    used = {"gateway": 0.0, "database": 0.0, "functions": 0.0}
    for pid, owner in _family(gateway):
        if fields := _stat(pid):
            used[owner] += sum(map(int, fields[11:13])) / ticks
            used["functions"] += sum(map(int, fields[13:15])) / ticks
    return used


def _pss_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    line = next(line for line in lines if line.startswith("Pss:"))
    return round(int(line.split()[1]) / 1024, 1)


def _one_run(sessions: int, prewarm: int, start: Sequence[str]) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        run = partial(running_stack, Path(folder), parameters=NO_LIMITS, prewarm=prewarm)
        with run(options=start) if start else run() as stack:  # another tree may know no options
            return asyncio.run(_measure(stack, sessions))


def _run_of(tree: Path, arguments: argparse.Namespace, start: Sequence[str]) -> Run:
    """Measure a tree with its own interpreter, clients and stand-ins."""
    command = [str(tree / ".venv/bin/python"), str(Path(__file__).resolve()), "--child"]
    command += ["--sessions", str(arguments.sessions), "--prewarm", str(arguments.prewarm)]
    command += [f"--start={option}" for option in start]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    done = subprocess.run(
        command, cwd=tree, env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    return Run(**json.loads(done.stdout.splitlines()[-1]))


def _percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def _figures(runs: Sequence[Run]) -> dict[str, Any]:
    times = [value for run in runs for value in run.first_audio_ms] or [float("nan")]
    return {
        "median": round(statistics.median(times), 1),
        "p95": round(_percentile(times, 0.95), 1),
        "medians": [round(statistics.median(run.first_audio_ms or [float("nan")])) for run in runs],
        "n": len(times),
        "failed": sum(len(run.failed) for run in runs),
        "whole_ms": round(statistics.median(run.whole_ms for run in runs)),
        "environments": statistics.median(run.environments for run in runs),
        "pss_mb": statistics.median(run.pss_mb["median"] for run in runs),
        "cpu_ms": {
            owner: round(statistics.median(run.cpu_ms[owner] for run in runs), 1)
            for owner in runs[0].cpu_ms
        },
    }


def show(trees: dict[str, list[Run]]) -> dict[str, Any]:
    """Print the table; return its figures."""
    found = {name: _figures(runs) for name, runs in trees.items()}
    print(
        f"\n{'first audio, ms':14s} {'median':>8s} {'p95':>8s} {'n':>5s} {'failed':>7s} "
        f"{'whole':>8s} {'processes':>10s} {'PSS, MB':>8s}   medians of the runs"
    )
    for name, figures in found.items():
        print(
            f"{name:14s} {figures['median']:8.0f} {figures['p95']:8.0f} {figures['n']:5d} "
            f"{figures['failed']:7d} {figures['whole_ms']:8.0f} {figures['environments']:10.0f} "
            f"{figures['pss_mb']:8.1f}   {figures['medians']}"
        )
    print("\nCPU time for each session, ms")
    for name, figures in found.items():
        print(f"{name:14s} " + ", ".join(f"{k} {v}" for k, v in figures["cpu_ms"].items()))
    if len(found) > 1:
        this, other = list(found.values())[:2]
        print(
            f"\nratio: median {this['median'] / other['median']:.3f}, "
            f"p95 {this['p95'] / other['p95']:.3f}"
        )
    return found


def main() -> None:
    """Measure and print; with `--json`, write the figures to a file too."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--runs", type=int, default=3, help="of each tree")
    parser.add_argument("--prewarm", type=int, default=1, help="environments from the start")
    parser.add_argument("--tree", type=Path, help="another tree, measured in turns with this one")
    parser.add_argument("--start", action="append", default=[], help="option of samwire start")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", action="store_true", help="measure once, print JSON")
    arguments = parser.parse_args()
    if arguments.child:
        run = _one_run(arguments.sessions, arguments.prewarm, arguments.start)
        print(json.dumps(asdict(run)))
        return
    trees = {"this tree": ROOT}
    if arguments.tree:
        trees["other tree"] = arguments.tree.resolve()
    runs: dict[str, list[Run]] = {name: [] for name in trees}
    for number in range(arguments.runs):
        for name, tree in trees.items():
            run = _run_of(tree, arguments, arguments.start if tree == ROOT else [])
            runs[name].append(run)
            for problem in run.failed:
                print(f"{name}, run {number + 1}: a session failed: {problem}", file=sys.stderr)
    found = show(runs)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
