"""How long until the first sound, and where the time goes.

Runs the local stack (real sockets, real Lambda runtime clients) against stand-ins with
set delays, and a floor beside it in the same run: the same three providers called from
one asyncio process with nothing in between. The ideal of a turn is the sum of the set
delays on its way: first token, tokens up to the first clause, first byte of speech, and
for a spoken turn the final transcript.

    python -m benchmarks.first_audio [--turns 20] [--json FILE] [--parameter-overrides KEY=VALUE]
        [--latency aws] [--memory 512 768]

`--memory` measures the turn function with these memory sizes instead, each with the share of a
processor that it buys.

`--latency` measures everything twice, as it is and with delays that the emulator adds to AWS's hops
(samwire/docs/guide.md), and prints a table for docs/performance.md.

`TurnsPerMinutePerSubject=0 TurnsPerMinutePerTenant=0 AudioSecondsPerDayPerTenant=0
SpeechSecondsPerDayPerTenant=0` measures it without limits; with them one connection starts no
more than 60 turns a minute.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import platform
import re
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks.floor import Floor
from parley.text.sentence_splitter import SentenceSplitter
from tests.e2e.raw import RawClient, Reply, opened
from tests.e2e.stack import ROOT, STANDIN_KEY, Stack, running_stack

LLM_FIRST_TOKEN_MS = 150
LLM_TOKEN_MS = 10
TTS_FIRST_BYTE_MS = 40
STT_FINAL_MS = 60
DELAYS = {
    "llm_first_token_ms": LLM_FIRST_TOKEN_MS,
    "llm_token_ms": LLM_TOKEN_MS,
    "tts_first_byte_ms": TTS_FIRST_BYTE_MS,
    "stt_final_ms": STT_FINAL_MS,
}
QUESTIONS = ("What is two plus three?", "Count to five.", "What is my name?", "Good morning.")
PAUSE_S = 0.25
"""Before each turn, as a person makes one: the environment of the turn before needs a moment after
`turn_end` to hear that all has arrived, and a turn that comes sooner finds another."""
PARTS = ("dispatch", "transcript", "prepare", "responder", "clause", "synthesizer", "delivery")


@dataclass
class Series:
    """Samples of one figure, in ms."""

    name: str
    samples: list[float] = field(default_factory=list)

    def add(self, value: float) -> None:
        """One more sample."""
        self.samples.append(value)

    @property
    def median(self) -> float:
        """The median."""
        return statistics.median(self.samples)

    def percentile(self, share: float) -> float:
        """The value that `share` of the samples stay at or below."""
        ordered = sorted(self.samples)
        return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]

    def row(self) -> str:
        """Median and spread, as columns."""
        return (
            f"{self.median:8.1f} {min(self.samples):8.1f} {self.percentile(0.9):8.1f} "
            f"{max(self.samples):8.1f}   {len(self.samples):3d}"
        )

    def as_json(self) -> dict[str, float]:
        """Median and spread, for a file."""
        return {
            "median": round(self.median, 1),
            "min": round(min(self.samples), 1),
            "p90": round(self.percentile(0.9), 1),
            "max": round(max(self.samples), 1),
            "n": len(self.samples),
        }


def tokens_to_first_clause(stack: Stack) -> int:
    """How many tokens of the last reply the chat stand-in had sent when its first clause
    was whole."""
    records = [r for r in stack.llm.requests() if r["path"].endswith("/chat/completions")]
    splitter = SentenceSplitter()
    deltas = [delta for delta in _deltas(records[-1]) if delta]
    for count, delta in enumerate(deltas, 1):
        if splitter.feed(delta):
            return count
    return len(deltas)


def _deltas(record: dict[str, Any]) -> list[str]:
    found = []
    for frame in record["frames"]:
        if frame.get("direction") != "out":
            continue
        content = frame["frame"]
        for choice in content.get("choices", []) if isinstance(content, dict) else []:
            found.append((choice.get("delta") or {}).get("content") or "")
    return found


def ideal_ms(tokens: int, *, spoken: bool) -> float:
    """The sum of the set delays on the way to the first sound."""
    thinking = LLM_FIRST_TOKEN_MS + (tokens - 1) * LLM_TOKEN_MS
    return thinking + TTS_FIRST_BYTE_MS + (STT_FINAL_MS if spoken else 0)


@dataclass
class Results:
    """Everything that was measured."""

    series: dict[str, Series] = field(default_factory=dict)
    shares: dict[str, dict[str, Series]] = field(default_factory=dict)

    def add(self, name: str, value: float) -> None:
        """One sample of one figure."""
        self.series.setdefault(name, Series(name)).add(value)

    def add_parts(self, kind: str, metrics: dict[str, Any]) -> None:
        """The server's own breakdown of one turn."""
        parts = self.shares.setdefault(kind, {})
        for part in PARTS:
            if (value := metrics.get(f"{part}_ms")) is not None:
                parts.setdefault(part, Series(part)).add(value)


async def typed_turn(client: RawClient, stack: Stack, results: Results, question: str) -> None:
    """One typed turn, from `user_message` sent to the first audio received."""
    await asyncio.sleep(PAUSE_S)
    turn = client.new_turn_id()
    sent = time.monotonic()
    await client.send(type="user_message", turn_id=turn, text=question)
    reply = await client.ended(turn)
    first_ms = (reply.time_of("audio") - sent) * 1000
    ideal = ideal_ms(tokens_to_first_clause(stack), spoken=False)
    _note(results, "typed", first_ms, ideal, reply)


async def spoken_turn(client: RawClient, stack: Stack, results: Results, pcm: bytes) -> None:
    """One spoken turn in real time, from `audio_end` sent to the first audio received."""
    await asyncio.sleep(PAUSE_S)
    turn = client.new_turn_id()
    reply = await client.speak(pcm, turn)
    first_ms = (reply.time_of("audio") - client.audio_ended_at) * 1000
    ideal = ideal_ms(tokens_to_first_clause(stack), spoken=True)
    _note(results, "spoken", first_ms, ideal, reply)


def _note(results: Results, kind: str, first_ms: float, ideal: float, reply: Reply) -> None:
    metrics = reply.end["metrics"]
    if reply.end["reason"] != "completed":
        raise RuntimeError(f"a turn failed: {reply.errors}")
    label = f"{kind}, cold" if metrics.get("cold") else kind
    results.add(f"{label}: first audio", first_ms)
    results.add(f"{label}: over the ideal", first_ms - ideal)
    results.add(f"{label}: ratio to the ideal", first_ms / ideal)
    if not metrics.get("cold"):
        results.add_parts(kind, metrics)


async def interrupted_turn(client: RawClient, results: Results) -> None:
    """From `interrupt` sent to the last audio of the old reply."""
    await asyncio.sleep(PAUSE_S)
    turn = client.new_turn_id()
    await client.send(type="user_message", turn_id=turn, text="Tell me a story about the sea.")
    await client.has(turn, "audio")
    await asyncio.sleep(0.3)
    sent = time.monotonic()
    await client.send(type="interrupt", turn_id=turn, played_ms=200)
    reply = await client.ended(turn)
    if reply.end["reason"] != "interrupted":
        raise RuntimeError("the reply was over before it could be interrupted")
    late = [
        (at - sent) * 1000
        for event, at in zip(reply.events, reply.times, strict=True)
        if event["type"] == "audio" and at > sent
    ]
    results.add("interrupt: last audio after", max(late, default=0.0))
    results.add("interrupt: turn_end after", (reply.times[-1] - sent) * 1000)


def chunk_work(stack: Stack, results: Results, since: int) -> None:
    """The message function's own time, from the runtime's reports."""
    for line in stack.logs()[since:].splitlines():
        source, _, text = line.partition(" | ")
        if source == "MessageFunction" and '"type":"platform.report"' in text:
            metrics = json.loads(text)["record"]["metrics"]
            if "initDurationMs" not in metrics:
                results.add("message function: work per chunk", metrics["durationMs"])


async def measure(stack: Stack, turns: int, results: Results) -> None:
    """All figures."""
    stack.elevenlabs.put(delays={k: v for k, v in DELAYS.items() if not k.startswith("llm")})
    stack.llm.put(delays={k: v for k, v in DELAYS.items() if k.startswith("llm")})
    pcm = await _question(stack)
    floor = Floor(stack.elevenlabs.url, stack.llm.url + "/v1", STANDIN_KEY)
    async with opened(stack.url) as client:
        await typed_turn(client, stack, results, QUESTIONS[0])
        for number in range(turns):
            question = QUESTIONS[number % len(QUESTIONS)]
            await typed_turn(client, stack, results, question)
            first_ms = await floor.first_audio_ms(question)
            ideal = ideal_ms(tokens_to_first_clause(stack), spoken=False)
            results.add("floor: first audio", first_ms)
            results.add("floor: over the ideal", first_ms - ideal)
        since = len(stack.logs())
        for _ in range(max(5, turns // 2)):
            await spoken_turn(client, stack, results, pcm)
        chunk_work(stack, results, since)
        stack.llm.put(delays={"llm_token_ms": 60})
        for _ in range(max(5, turns // 2)):
            await interrupted_turn(client, results)
    await floor.close()


async def _question(stack: Stack) -> bytes:
    async with httpx.AsyncClient() as http:
        answer = await http.post(
            f"{stack.elevenlabs.url}/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM/stream",
            params={"output_format": "pcm_16000"},
            headers={"xi-api-key": STANDIN_KEY},
            json={"text": "What time is it?"},
        )
        answer.raise_for_status()
        return answer.content


def show(results: Results) -> None:
    """The table."""
    print(f"\n{'ms':40s} {'median':>8s} {'min':>8s} {'p90':>8s} {'max':>8s}     n")
    for name, series in sorted(results.series.items()):
        print(f"{name:40s} {series.row()}")
    for kind, parts in results.shares.items():
        total = sum(series.median for series in parts.values())
        print(f"\nwhere a {kind} turn's time goes (medians, server side)")
        for part, series in parts.items():
            print(f"  {part:14s} {series.median:8.1f} ms  {series.median / total:5.0%}")
    typed = results.series["typed: first audio"].median
    floor = results.series["floor: first audio"].median
    print(f"\ntyped first audio is {typed / floor:.3f} times the floor's")


def rows(here: Results, with_hops: Results) -> list[str]:
    """The table of docs/performance.md: each figure as measured here and with AWS's hops."""
    lines = [
        "| ms | here: median | min to p90 | with AWS's hops: median | min to p90 | n |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, series in sorted(here.series.items()):
        other = with_hops.series.get(name)
        if other is not None:
            lines.append(f"| {name} | {_cells(series)} | {_cells(other)} | {len(other.samples)} |")
    return lines


def _cells(series: Series, between: str = " | ") -> str:
    spread = f"{min(series.samples):.1f} to {series.percentile(0.9):.1f}"
    return f"**{series.median:.1f}**{between}{spread}"


def run(
    turns: int,
    parameters: dict[str, str],
    options: tuple[str, ...],
    template: Path = ROOT / "template.yaml",
) -> Results:
    """Start a stack and measure it."""
    results = Results()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_stack(
            Path(folder),
            template=template,
            parameters=parameters,
            prewarm=0,
            options=options,
        ) as stack,
    ):
        asyncio.run(measure(stack, turns, results))
    return results


@contextlib.contextmanager
def turn_function_of(memory_mb: int) -> Iterator[Path]:
    """Give a template whose turn function has another memory size, beside the one that is deployed:
    its paths are relative to it."""
    text = (ROOT / "template.yaml").read_text()
    size = re.compile(r"(\n  TurnFunction:\n(?:    .*\n|\n)*?      MemorySize: )\d+")
    changed, count = size.subn(rf"\g<1>{memory_mb}", text)
    if count != 1:
        raise RuntimeError("the turn function's MemorySize is not where it was")
    path = ROOT / f".template-{memory_mb}.yaml"
    path.write_text(changed)
    try:
        yield path
    finally:
        path.unlink()


def show_memory(turns: int, parameters: dict[str, str], sizes: list[int]) -> dict[str, Any]:
    """Measure memory sizes in turn, and print what the first sound has of them."""
    found: dict[str, Any] = {}
    print("\n| memory, MB | typed: first audio over the ideal, ms | spoken | n |")
    print("| --- | --- | --- | --- |")
    for memory_mb in sizes:
        with turn_function_of(memory_mb) as template:
            results = run(turns, parameters, ("--limit-processor",), template)
        typed, spoken = (results.series[f"{kind}: over the ideal"] for kind in ("typed", "spoken"))
        counts = f"{len(typed.samples)}, {len(spoken.samples)}"
        cells = " | ".join(_cells(each, ", ") for each in (typed, spoken))
        print(f"| {memory_mb} | {cells} | {counts} |", flush=True)
        found[str(memory_mb)] = {name: each.as_json() for name, each in results.series.items()}
    return found


def main() -> None:
    """Measure and print; with `--json`, write the figures to a file too."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--parameter-overrides", nargs="*", default=[], metavar="KEY=VALUE", help="the template's"
    )
    parser.add_argument("--latency", help="aws, a file or JSON: measure with it as well")
    parser.add_argument(
        "--memory",
        type=int,
        nargs="+",
        default=[],
        metavar="MB",
        help="compare these sizes",
    )
    arguments = parser.parse_args()
    print(f"Python {platform.python_version()}, {platform.machine()}, {arguments.turns} turns")
    parameters = dict(each.split("=", 1) for each in arguments.parameter_overrides)
    if arguments.memory:
        sizes = show_memory(arguments.turns, parameters, arguments.memory)
        if arguments.json:
            arguments.json.write_text(json.dumps(sizes, indent=2) + "\n")
        return
    results = run(arguments.turns, parameters, ())
    show(results)
    figures: dict[str, Any] = {name: each.as_json() for name, each in results.series.items()}
    if arguments.latency:
        slower = run(arguments.turns, parameters, ("--latency", arguments.latency))
        print("\nwith the delays of AWS's hops")
        show(slower)
        print("\n" + "\n".join(rows(results, slower)))
        figures["with_latency"] = {name: each.as_json() for name, each in slower.series.items()}
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
