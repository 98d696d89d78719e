"""What chunks of other lengths cost, and how long speech waits in them.

The browser client's own chunker, and the detector that notices pauses for it, are given recordings
of people as a microphone would give them. For each length of a chunk: messages, write units, what
they cost in one minute of talk, and for how long a piece of speech waits until it leaves.

    python -m benchmarks.chunk_price --recordings DIR [--seconds 300]

Then: how often the turn reads its inbox, by `PollRhythm` and as it did before there was one.

DIR has WAV files of 16-bit mono PCM at 16 kHz. Needs node.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import subprocess
import sys
import wave
from pathlib import Path

from parley.turn.input.poll_rhythm import PollRhythm

ROOT = Path(__file__).resolve().parent.parent
RATE_HZ = 16_000
LISTENED_S = 30
"""Of the user's speech in a minute of talk (docs/costs.md)."""
ITEM_BYTES = 230
"""Of a chunk in the table, beside its audio: keys, names and times, with a user's id of 36
characters."""
MESSAGE_USD = (1.00 + 0.20) / 1e6
"""API Gateway and Lambda's request."""
GB_S_USD, MESSAGE_GB_S = 0.0000133334, 0.010 * 0.5
WRITE_UNIT_USD, READ_UNIT_USD = 0.625 / 1e6, 0.125 / 1e6
READ_S, REPLY_S = 0.005, 2.0
"""How long a read takes, and how long a turn goes on after the utterance (docs/costs.md)."""
CHUNK_MS = 480
SEED = 711
CHUNKS_MS = (100, 200, 240, 320, 480, 500, 640)
HARNESS = """
import { readFileSync } from "node:fs";
import { VoiceDetector } from "CLIENT/capture.js";
import { Chunker } from "CLIENT/chunker.js";

const { files, usualMs, pauseMs } = JSON.parse(readFileSync(0, "utf8"));
const chunks = [];
for (const file of files) {
  const wav = readFileSync(file);
  const pcm = new Int16Array(wav.buffer, wav.byteOffset + 44, (wav.length - 44) >> 1);
  const samples = Float32Array.from(pcm, (sample) => sample / 32768);
  let at = 0;
  const said = [];
  const chunker = new Chunker(16000, (bytes) => said.push([at, bytes.length / 2]), usualMs);
  const detector = new VoiceDetector(16000);
  detector.settings = { ...detector.settings, startMs: 30, pauseMs };
  for (; at < samples.length; ) {
    const block = samples.subarray(at, at + 320);
    at += block.length;
    const changed = detector.push(block);
    chunker.push(block);
    if (changed === "pausing") chunker.flush();
  }
  chunker.flush();
  chunks.push(said);
}
process.stdout.write(JSON.stringify(chunks));
"""


def utterances(folder: Path, seconds: float) -> list[Path]:
    """Return recordings of 2 to 12 s, which are so long together."""
    paths = sorted(folder.rglob("*.wav"))
    random.Random(SEED).shuffle(paths)
    chosen: list[Path] = []
    for path in paths:
        with wave.open(str(path)) as file:
            length_s = file.getnframes() / RATE_HZ
            fits = (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (
                RATE_HZ,
                1,
                2,
            )
        if fits and 2 <= length_s <= 12:
            chosen.append(path)
            seconds -= length_s
        if seconds <= 0:
            break
    return chosen


def cut(paths: list[Path], usual_ms: int, pause_ms: int) -> list[list[tuple[int, int]]]:
    """Return, of each recording, when each chunk left and how long it is, in samples."""
    asked = {"files": list(map(str, paths)), "usualMs": usual_ms, "pauseMs": pause_ms}
    client = (ROOT / "client" / "js").as_uri()
    command = ["node", "--input-type=module", "-e", HARNESS.replace("CLIENT", client)]
    run = subprocess.run(
        command, input=json.dumps(asked), capture_output=True, text=True, check=True
    )
    chunks: list[list[tuple[int, int]]] = json.loads(run.stdout)
    return chunks


def row(chunks: list[list[tuple[int, int]]], bytes_per_sample: int) -> str:
    """Return what they cost, and how long a sample waits, as columns."""
    samples = sum(length for said in chunks for _, length in said)
    minute = LISTENED_S * RATE_HZ / samples
    count = sum(map(len, chunks)) * minute
    units = minute * sum(
        math.ceil((length * bytes_per_sample + ITEM_BYTES) / 1024)
        for said in chunks
        for _, length in said
    )
    usd = count * (MESSAGE_USD + MESSAGE_GB_S * GB_S_USD) + units * WRITE_UNIT_USD
    waits = [
        (left - at) * 1000 / RATE_HZ
        for said in chunks
        for left, length in said
        for at in range(left - length, left, 160)
    ]
    waits.sort()
    p95 = waits[int(0.95 * len(waits))]
    return f"{count:.0f} | {units:.0f} | {usd:.6f} | {statistics.mean(waits):.0f} | {p95:.0f}"


def reads(chunks: list[list[tuple[int, int]]], *, rhythm: bool) -> tuple[float, float]:
    """Return how often an inbox is read in a minute of talk, and the read units of that.

    Args:
        chunks: as `cut` returns them.
        rhythm: whether by `PollRhythm`. If not, as before there was one: consistently, every 25 ms
            while the user speaks and every 40 ms in the reply.
    """
    count, units, spoken_s = 0, 0.0, 0.0  # utterances are shorter here than 6 s: more replies
    for said in chunks:
        poll = PollRhythm(0.0, listening=True)
        end_s = said[-1][0] / RATE_HZ
        spoken_s += end_s
        arrived, now_s, consistent = 0, 0.0, True
        while now_s < end_s + REPLY_S:
            count += 1
            units += 1.0 if consistent or not rhythm else 0.5
            now_s += READ_S
            while arrived < len(said) and said[arrived][0] / RATE_HZ <= now_s:
                arrived += 1
                poll.note_chunk(arrived, 2 * said[arrived - 1][1], now_s)
            if now_s >= end_s:
                poll.note_over()
            then = poll.next_read(now_s)
            consistent = then.consistent
            now_s += then.after_s if rhythm else 0.025 if now_s < end_s else 0.04
    minute = LISTENED_S / spoken_s
    return count * minute, units * minute


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=300)
    asked = parser.parse_args()
    paths = utterances(asked.recordings, asked.seconds)
    if not paths:
        sys.exit(f"{asked.recordings}: no WAV files of 2 to 12 s with 16-bit mono PCM at 16 kHz.")
    print("| chunk, ms | coding | messages | write units | USD a minute | waits, ms | p95 |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for coding, bytes_per_sample in (("PCM", 2), ("µ-law", 1)):
        for usual_ms in CHUNKS_MS:
            found = cut(paths, usual_ms, 100)
            print(f"| {usual_ms} | {coding} | {row(found, bytes_per_sample)} |")
    print("\n| reads of the inbox | a minute of talk | read units | USD |")
    print("| --- | --- | --- | --- |")
    for name, usual_ms, rhythm in (("fixed", 100, False), ("by what is due", CHUNK_MS, True)):
        count, units = reads(cut(paths, usual_ms, 100), rhythm=rhythm)
        print(f"| {name} | {count:.0f} | {units:.0f} | {units * READ_UNIT_USD:.6f} |")


if __name__ == "__main__":
    main()
