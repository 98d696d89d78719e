"""What preemptive replies save, and what they cost.

Runs the local stack twice, with PreemptiveReplies on and off, against stand-ins with set delays:

- push-to-talk: from `audio_end` sent to the first audio received, where the speaker let go half a
  second after the last word. The ideal is the sum of the set delays without preemption.
- hands-free: from the last sample of speech to the first audio received, with delays like real
  services' (transcript 280 ms, model 300 ms, voice 150 ms) and the browser's 700 ms of silence.
- utterances with a pause in the middle, many at once: whether anything of a reply could be noticed
  before the utterance was over, how many tries were hits, and how much text was wasted.

The last ones are tones, which `tests.e2e.tone_words` hears without a mistake: what is looked for is
what the turns do, and recognition would take all of the machine.

    python -m benchmarks.preemptive [--turns 20] [--utterances 500] [--sessions 6] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import random
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.first_audio import DELAYS, Results, Series, ideal_ms, tokens_to_first_clause
from tests.e2e.hands_free import HandsFree, Said
from tests.e2e.raw import RawClient, opened
from tests.e2e.stack import (
    STANDIN_KEY,
    Stack,
    Standins,
    running_stack,
    running_standins,
)
from tests.e2e.tone_words import ToneTranscriber, speak

REAL_DELAYS = {"stt_final_ms": 280, "stt_partial_ms": 150, "tts_first_byte_ms": 150}
REAL_MODEL = {"llm_first_token_ms": 300, "llm_token_ms": 10}
LET_GO_MS = 500
"""How long after the last word a speaker lets go of the button."""
QUESTIONS = ("What time is it?", "What is two plus three?", "Good morning.")
BROKEN = (
    ("what time", "is it"),
    ("what is two", "plus three"),
    ("count", "to five"),
    ("good morning", "what is my name"),
    ("book a table", "for two at eight"),
)
"""Utterances with the place of their pause. The last one has a tool called."""
VOCABULARY = sorted({word for each in BROKEN for part in each for word in part.split()})
MIN_PAUSE_MS, MAX_PAUSE_MS = 200, 650
WITHOUT_LIMITS = {
    "TurnsPerMinutePerSubject": "0",
    "TurnsPerMinutePerTenant": "0",
    "AudioSecondsPerDayPerTenant": "0",
    "SpeechSecondsPerDayPerTenant": "0",
    "ConnectionsPerSubject": "0",
    "ConnectionsPerTenant": "0",
    "ToolsFile": "demo.toml",
    "CartesiaApiKey": STANDIN_KEY,
}
BYTES_PER_MS = 32


def silence(duration_ms: float) -> bytes:
    """Silence at 16 kHz."""
    return bytes(round(duration_ms) * BYTES_PER_MS)


def trimmed(pcm: bytes) -> bytes:
    """Speech without the silence around it."""
    frame = 10 * BYTES_PER_MS
    loud = [
        at
        for at in range(0, len(pcm), frame)
        if max(map(abs, memoryview(pcm[at : at + frame]).cast("h")), default=0) > 600
    ]
    return pcm[loud[0] : loud[-1] + frame]


@dataclass
class Tally:
    """What came of utterances with a pause.

    Attributes:
        called: how many calls of a tool their turns told of.
        tools: how often a tool ran.
        noticed: what somebody could have noticed too soon, in words.
    """

    utterances: int = 0
    pauses: int = 0
    tries: int = 0
    hits: int = 0
    reply_chars: int = 0
    wasted_chars: int = 0
    called: int = 0
    tools: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    noticed: list[str] = field(default_factory=list)
    latency: Series = field(default_factory=lambda: Series("hands-free under load"))

    def add(self, said: Said) -> None:
        """Count one utterance, and look for what came before its end."""
        self.utterances += 1
        self.pauses += said.pauses
        reply, metrics = said.reply, said.reply.end["metrics"]
        self.tries += metrics.get("preemptive_tries") or 0
        self.hits += bool(metrics.get("preemptive_hit"))
        self.called += len({e["call_id"] for e in reply.events if e["type"] == "tool"})
        self.wasted_chars += metrics.get("preemptive_wasted_chars") or 0
        self.reply_chars += metrics.get("reply_chars") or 0
        for event, at_s in zip(reply.events, reply.times, strict=True):
            partial = event["type"] == "transcript" and not event["final"]
            if not partial and at_s < said.ended_at_s:
                early_ms = (said.ended_at_s - at_s) * 1000
                what = f"{event['type']} {event.get('code', '')}".rstrip()
                self.noticed.append(f"{what} {early_ms:.0f} ms before the end")
        if reply.end["reason"] != "completed":
            self.failed[reply.end.get("code") or reply.end["reason"]] += 1
        elif any(event["type"] == "audio" for event in reply.events):
            self.latency.add((reply.time_of("audio") - said.spoken_at_s) * 1000)


async def push_to_talk(stack: Stack, turns: int, results: Results, name: str) -> None:
    """Spoken turns whose speaker lets go a while after the last word."""
    stack.elevenlabs.put(delays={k: v for k, v in DELAYS.items() if not k.startswith("llm")})
    stack.llm.put(delays={k: v for k, v in DELAYS.items() if k.startswith("llm")})
    async with opened(stack.url) as client:
        for number in range(turns + 1):
            pcm = trimmed(stack.standins.speech(QUESTIONS[number % len(QUESTIONS)]))
            reply = await client.speak(pcm + silence(LET_GO_MS), chunk_ms=100)
            if not number:
                continue
            first_ms = (reply.time_of("audio") - client.audio_ended_at) * 1000
            results.add(f"push-to-talk, {name}: first audio", first_ms)
            ideal = ideal_ms(tokens_to_first_clause(stack), spoken=True)
            results.add(f"push-to-talk, {name}: over the ideal", first_ms - ideal)
            hit = bool(reply.end["metrics"].get("preemptive_hit"))
            results.add(f"push-to-talk, {name}: hits of 100", 100.0 * hit)


async def hands_free(stack: Stack, turns: int, results: Results, name: str) -> None:
    """Spoken turns whose end is a silence, with delays like real services'."""
    set_real_delays(stack.standins)
    async with opened(stack.url) as client:
        for number in range(turns + 1):
            pcm = trimmed(stack.standins.speech(QUESTIONS[number % len(QUESTIONS)]))
            said = await HandsFree(client, tells=name == "on").say(pcm)
            if not number:
                continue
            first_ms = (said.reply.time_of("audio") - said.spoken_at_s) * 1000
            results.add(f"hands-free, {name}: first audio", first_ms)
            hit = bool(said.reply.end["metrics"].get("preemptive_hit"))
            results.add(f"hands-free, {name}: hits of 100", 100.0 * hit)


def set_real_delays(standins: Standins) -> None:
    """Have the stand-ins take as long as real services."""
    standins.elevenlabs.put(delays=REAL_DELAYS)
    standins.llm.put(delays=REAL_MODEL)


def measure_pauses(folder: Path, standins: Standins, given: argparse.Namespace) -> Tally:
    """Utterances with pauses, against a transcriber that hears tones."""
    delays = REAL_DELAYS
    ear = ToneTranscriber(VOCABULARY, delays["stt_partial_ms"], delays["stt_final_ms"])
    place = folder / "pauses"
    place.mkdir()
    with ear.running() as url:
        parameters = {**WITHOUT_LIMITS, "Transcriber": "cartesia", "TranscriptionBaseUrl": url}
        with running_stack(place, parameters=parameters, standins=standins, prewarm=2) as stack:
            return asyncio.run(with_pauses(stack, given.utterances, given.sessions, given.seed))


async def with_pauses(stack: Stack, utterances: int, sessions: int, seed: int) -> Tally:
    """Utterances with random pauses in the middle, in many sessions at once."""
    set_real_delays(stack.standins)
    spoken = {part: speak(part.split(), VOCABULARY) for each in BROKEN for part in each}
    tally, rng, left = Tally(), random.Random(seed), list(range(utterances))

    async def talk() -> None:
        async with opened(stack.url) as client:
            said = 0
            while left:
                left.pop()
                first, second = rng.choice(BROKEN)
                pause = silence(rng.uniform(MIN_PAUSE_MS, MAX_PAUSE_MS))
                tally.add(await HandsFree(client).say(spoken[first] + pause + spoken[second]))
                said += 1
                if said % 10 == 0:
                    print(f"{tally.utterances} utterances", flush=True)
            await check_history(client, stack, tally)

    await asyncio.gather(*(talk() for _ in range(sessions)))
    check_ledger(stack, tally)
    return tally


async def check_history(client: RawClient, stack: Stack, tally: Tally) -> None:
    """Look for anything in the session's history that no turn has told."""
    told = []
    for reply in client.replies:
        finals = [e["text"] for e in reply.events if e["type"] == "transcript" and e["final"]]
        told += [("user", text) for text in finals]
        if reply.end["text"]:
            told.append(("assistant", reply.end["text"]))
    ready = client.ready
    resume = {"session_id": ready["session_id"], "resume_token": ready["resume_token"]}
    async with opened(stack.url, **resume) as again:
        kept = [(m["role"], m["text"]) for m in again.ready.get("history") or []]
    if kept != told[-len(kept) :]:
        tally.noticed.append(f"the history has {kept}, the turns told {told[-len(kept) :]}")


def check_ledger(stack: Stack, tally: Tally) -> None:
    """Look for tools that ran without their turn saying so."""
    ran = sum(
        line.startswith("ToolBookTableFunction | ") and '"type":"platform.report"' in line
        for line in stack.logs().splitlines()
    )
    tally.tools = ran
    if ran > tally.called:
        tally.noticed.append(f"{ran} bookings, and turns told of {tally.called}")


def show(results: Results, tally: Tally | None) -> None:
    """Print the tables."""
    print(f"\n{'ms':40s} {'median':>8s} {'min':>8s} {'p90':>8s} {'max':>8s}     n")
    for name, series in sorted(results.series.items()):
        print(f"{name:40s} {series.row()}")
    for kind in ("push-to-talk", "hands-free"):
        on, off = (results.series.get(f"{kind}, {name}: first audio") for name in ("on", "off"))
        if on and off:
            print(f"{kind}: {on.median / off.median:.2f} of what it is without")
    if tally is None:
        return
    print(
        f"\n{tally.utterances} utterances, {tally.pauses} pauses, {tally.tries} tries, "
        f"{tally.hits} hits ({tally.hits / max(1, tally.utterances):.0%} of the utterances)\n"
        f"wasted: {tally.wasted_chars} characters beside {tally.reply_chars} that were heard "
        f"({tally.wasted_chars / max(1, tally.reply_chars):.2f})\n"
        f"tools: {tally.called} calls told, {tally.tools} runs\n"
        f"failed: {dict(tally.failed)}\nnoticed too soon: {len(tally.noticed)}"
    )
    if tally.latency.samples:
        print(f"last sample to first audio: {tally.latency.row()}")
    for each in tally.noticed[:20]:
        print(f"  {each}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return 1 if anything could be noticed too soon."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--utterances", type=int, default=500)
    parser.add_argument("--sessions", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    results, tally = Results(), None
    print(f"Python {platform.python_version()}, {platform.machine()}", flush=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        running_standins(Path(folder)) as standins,
    ):
        for name in ("on", "off"):
            place = Path(folder, name)
            place.mkdir()
            parameters = {**WITHOUT_LIMITS, "PreemptiveReplies": name}
            with running_stack(place, parameters=parameters, standins=standins, prewarm=2) as stack:
                if given.turns:
                    asyncio.run(push_to_talk(stack, given.turns, results, name))
                    asyncio.run(hands_free(stack, given.turns, results, name))
        if given.utterances:
            tally = measure_pauses(Path(folder), standins, given)
    show(results, tally)
    if given.json:
        found: dict[str, Any] = {n: series.as_json() for n, series in results.series.items()}
        if tally is not None:
            found["pauses"] = {
                "utterances": tally.utterances,
                "tries": tally.tries,
                "hits": tally.hits,
                "wasted_chars": tally.wasted_chars,
                "reply_chars": tally.reply_chars,
                "noticed": len(tally.noticed),
            }
        given.json.write_text(json.dumps(found, indent=2) + "\n")
    return 1 if tally is not None and tally.noticed else 0


if __name__ == "__main__":
    raise SystemExit(main())
