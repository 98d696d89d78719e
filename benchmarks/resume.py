"""How long a client that comes back waits for the first audio that it has missed.

A reply is broken off by the network in its middle; meanwhile the turn goes on. The client opens
a new connection and sends `init`. Measured from there to the first audio event, for a turn that
still runs and for one that has ended and been stored; the time of `init` to `ready` beside it.

    python -m benchmarks.resume [--times 20] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.first_audio import Series
from tests.e2e.raw import RawClient, opened
from tests.e2e.stack import Stack, running_stack

QUESTION = "Tell me a story about the sea."


async def measure(stack: Stack, times: int) -> dict[str, Series]:
    """Both cases, so many times each."""
    series = {
        name: Series(name)
        for name in (
            "running: init to ready",
            "running: init to missing audio",
            "ended: init to ready",
            "ended: init to missing audio",
        )
    }
    for case, token_ms in (("running", 60), ("ended", 2)):
        stack.llm.put(delays={"llm_token_ms": token_ms})
        for _ in range(times):
            ready_ms, audio_ms = await _come_back(stack, wait_for_end=case == "ended")
            series[f"{case}: init to ready"].add(ready_ms)
            series[f"{case}: init to missing audio"].add(audio_ms)
    return series


async def _come_back(stack: Stack, *, wait_for_end: bool) -> tuple[float, float]:
    log = len(stack.logs())
    async with opened(stack.url) as first:
        await first.send(type="user_message", turn_id="t", text=QUESTION)
        await first.has("t", "audio")
        first.socket.transport.abort()
        await first.socket.wait_closed()
    if wait_for_end:
        async with asyncio.timeout(20):
            while first.ready["session_id"] not in _ends(stack.logs()[log:]):
                await asyncio.sleep(0.02)
    else:
        await asyncio.sleep(0.3)  # what a client needs at least; the reply goes on meanwhile
    async with opened(stack.url, init=False) as second:
        sent = time.monotonic()
        await second.init(**_position(first))
        ready_ms = (time.monotonic() - sent) * 1000
        await second.has("t", "audio")
        audio_ms = (second.reply("t").time_of("audio") - sent) * 1000
        await second.ended("t")
    return ready_ms, audio_ms


def _ends(logged: str) -> str:
    return "".join(line for line in logged.splitlines() if '"turn_ended"' in line)


def _position(client: RawClient) -> dict[str, Any]:
    events = client.reply("t").events
    return {
        "session_id": client.ready["session_id"],
        "resume_token": client.ready["resume_token"],
        "received": {"turn_id": "t", "seq": len(events)},
    }


def main() -> None:
    """Measure and print; with `--json`, write the figures to a file too."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder), prewarm=2) as stack:
        series = asyncio.run(measure(stack, options.times))
    print(f"\n{'ms':40s} {'median':>8s} {'min':>8s} {'p90':>8s} {'max':>8s}     n")
    for each in series.values():
        print(f"{each.name:40s} {each.row()}")
    for case in ("running", "ended"):
        audio = series[f"{case}: init to missing audio"].median
        ready = series[f"{case}: init to ready"].median
        print(f"{case}: missing audio comes {audio / ready:.2f} times as late as ready")
    if options.json:
        figures = {name: each.as_json() for name, each in series.items()}
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
