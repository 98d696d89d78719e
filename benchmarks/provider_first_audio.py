"""How long until the first sound with each provider, over the sum of what was set to be slow.

Runs one local stack, whose turn function is given one combination of providers after the other:
each provider once, with the usual ones in the other stages (`--all` for every combination). The
stand-ins of all vendors have the same set delays, and a model's words come all at once after the
first: so the ideal of a turn is the same for all, and what is over it is what Parley, the adapter,
its protocol and this machine add.

    python -m benchmarks.provider_first_audio [--turns 12] [--all]
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.first_audio import PAUSE_S, Series
from dev.services import SERVICES
from tests.e2e.matrix import (
    ALL,
    RESPONDER_NAMES,
    SYNTHESIZER_NAMES,
    TRANSCRIBER_NAMES,
    Combination,
    all_keys,
    control_of,
)
from tests.e2e.raw import RawClient, Reply, opened
from tests.e2e.stack import Stack, Standins, running_stack

FIRST_TOKEN_MS, FIRST_BYTE_MS, FINAL_MS = 150.0, 40.0, 60.0
IDEAL_MS = {"typed": FIRST_TOKEN_MS + FIRST_BYTE_MS}
IDEAL_MS["spoken"] = IDEAL_MS["typed"] + FINAL_MS
QUESTION = "What is two plus three?"
USUAL = Combination("elevenlabs", "openai_chat", "elevenlabs")
_LIMITS = (
    "TurnsPerMinutePerTenant",
    "TurnsPerMinutePerSubject",
    "SpeechSecondsPerDayPerTenant",
    "AudioSecondsPerDayPerTenant",
)


def each_once() -> list[Combination]:
    """The usual combination, and one for every other provider."""
    found = [USUAL]
    found += [Combination(name, USUAL.responder, USUAL.synthesizer) for name in TRANSCRIBER_NAMES]
    found += [Combination(USUAL.transcriber, name, USUAL.synthesizer) for name in RESPONDER_NAMES]
    found += [Combination(USUAL.transcriber, USUAL.responder, name) for name in SYNTHESIZER_NAMES]
    return list(dict.fromkeys(found))


def slow_down(combination: Combination, standins: Standins) -> None:
    """Set the same delays, whatever a vendor's stand-in calls them."""
    standins.reset()
    first = "first_item_ms" if combination.responder == "n8n" else "llm_first_token_ms"
    for stage, name, delay in (
        ("transcriber", combination.transcriber, {"stt_final_ms": FINAL_MS}),
        ("responder", combination.responder, {first: FIRST_TOKEN_MS}),
        ("synthesizer", combination.synthesizer, {"tts_first_byte_ms": FIRST_BYTE_MS}),
    ):
        assert SERVICES[stage, name].standin
        control_of(stage, name, standins).put(delays=delay)


async def measure(stack: Stack, combination: Combination, turns: int) -> dict[str, Series]:
    """First audio over the ideal, of typed and of spoken turns that are not cold."""
    stack.set_variables("TurnFunction", combination.variables(stack.standins))
    slow_down(combination, stack.standins)
    pcm = await asyncio.to_thread(stack.standins.speech, QUESTION)
    found = {kind: Series(kind) for kind in IDEAL_MS}
    async with opened(stack.url) as client:
        await _typed(client)  # imports the adapters
        await client.speak(pcm)
        for _ in range(turns):
            for kind in IDEAL_MS:
                await asyncio.sleep(PAUSE_S)
                first_ms, reply = await (
                    _typed(client) if kind == "typed" else _spoken(client, pcm)
                )
                if reply.end["reason"] != "completed":
                    raise RuntimeError(f"{combination}: a turn failed: {reply.errors}")
                if not reply.end["metrics"].get("cold"):
                    found[kind].add(first_ms - IDEAL_MS[kind])
    return found


async def _typed(client: RawClient) -> tuple[float, Reply]:
    sent = time.monotonic()
    reply = await client.say(QUESTION)
    return (reply.time_of("audio") - sent) * 1000, reply


async def _spoken(client: RawClient, pcm: bytes) -> tuple[float, Reply]:
    reply = await client.speak(pcm)
    return (reply.time_of("audio") - client.audio_ended_at) * 1000, reply


def row(combination: Combination, found: dict[str, Series]) -> str:
    """Return medians, spread, and ratios to the ideal, as columns of Markdown."""
    columns = []
    for kind, series in found.items():
        ratio = (series.median + IDEAL_MS[kind]) / IDEAL_MS[kind]
        columns.append(
            f"{series.median:.1f} | {min(series.samples):.1f} to {max(series.samples):.1f} "
            f"| {ratio:.2f}"
        )
    names = " | ".join((combination.transcriber, combination.responder, combination.synthesizer))
    return f"| {names} | {' | '.join(columns)} |"


async def run(stack: Stack, combinations: Sequence[Combination], turns: int) -> None:
    """Measure, and print a row for each."""
    print("| transcriber | responder | synthesizer | typed, ms | from, to | ratio "
          "| spoken, ms | from, to | ratio |")  # fmt: skip
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for combination in combinations:
        print(row(combination, await measure(stack, combination, turns)), flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--turns", type=int, default=12, help="of each kind, with each combination")
    parser.add_argument("--all", action="store_true", help="every combination")
    arguments = parser.parse_args()
    ideal = f"{IDEAL_MS['typed']:.0f} ms typed, {IDEAL_MS['spoken']:.0f} ms spoken"
    print(f"Python {platform.python_version()}, {platform.machine()}")
    print(f"First audio over the ideal of {ideal}\n")
    parameters = {**all_keys(), **dict.fromkeys(_LIMITS, "0")}
    with (
        tempfile.TemporaryDirectory() as folder,
        running_stack(Path(folder), parameters=parameters, prewarm=0) as stack,
    ):
        asyncio.run(run(stack, ALL if arguments.all else each_once(), arguments.turns))


if __name__ == "__main__":
    main()
