"""How soon the stand-ins' voices speak and their recognisers answer, the two pairs in turns.

Each sample asks both pairs for the same, with nothing set to be slow. First sound: from the request
for a sentence to its first audio that is not silence, over the HTTP stream. Final text: a sentence
of hibari's, sent as a page does in chunks of 480 ms and in real time, from its end, or from the end
of 700 ms of silence behind it (hands-free), to the final text. Memory is that of each pair's
processes.

    python -m benchmarks.local_speech [--samples 15]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import subprocess
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence

import httpx
import numpy as np

from dev import models
from parley.providers.registry import build_transcriber
from parley.providers.stt import Transcriber
from parley_standins.__main__ import serve_app
from parley_standins.elevenlabs_app import elevenlabs_app
from parley_standins.engines import Engines, Pair
from parley_standins.faults import SpeechSettings
from parley_standins.voices import DEFAULT_VOICE_ID
from tests.unit.provider_context import build_context

PAIRS: tuple[Pair, ...] = ("small", "natural")
SENTENCES = {
    "23 characters": "It is half past eleven.",
    "72 characters": "I have booked a table for two at eight and will send you a confirmation.",
}
RATE_HZ = 16_000
CHUNK = RATE_HZ * 48 // 100 * 2
LOUD = 250
SILENCE_MS = 700
KEY = "the-key"


class Side:
    """One pair behind a stand-in for ElevenLabs."""

    def __init__(self, url: str, transcriber: Transcriber, client: httpx.AsyncClient) -> None:
        self._url = url
        self._transcriber = transcriber
        self._client = client

    async def speak(self, text: str) -> tuple[float, bytes]:
        """Return after how many ms a text is first heard, and its sound."""
        began, pcm, first_ms = time.monotonic(), b"", 0.0
        async with self._client.stream(
            "POST",
            f"{self._url}/v1/text-to-speech/{DEFAULT_VOICE_ID}/stream",
            params={"output_format": f"pcm_{RATE_HZ}"},
            json={"text": text},
            headers={"xi-api-key": KEY},
        ) as response:
            response.raise_for_status()
            async for part in response.aiter_bytes():
                if not pcm:
                    first_ms = (time.monotonic() - began) * 1000
                pcm += part
        return first_ms + silence_before(pcm), pcm

    async def hear(self, pcm: bytes) -> tuple[float, str]:
        """Return after how many ms a sound's final text is there, and the text."""
        stream = await self._transcriber.open("pcm_16000", "en", "manual")
        try:
            began = time.monotonic()
            for at in range(0, len(pcm), CHUNK):
                piece = pcm[at : at + CHUNK]
                due = began + (at + len(piece)) / 2 / RATE_HZ
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                await stream.send(piece)
            ended, text = time.monotonic(), ""
            await stream.finish()
            async for found in stream.pieces():
                text = found.text
            return (time.monotonic() - ended) * 1000, text
        finally:
            await stream.close()


def silence_before(pcm: bytes) -> float:
    """Return how many ms of a sound are silence before its first loud 10 ms."""
    samples = np.frombuffer(pcm, "<i2").astype(np.float64)
    frames = samples[: samples.size // 160 * 160].reshape(-1, 160)
    loud = np.flatnonzero(np.sqrt((frames**2).mean(axis=1)) >= LOUD)
    return float(loud[0] * 10) if loud.size else 0.0


@contextlib.asynccontextmanager
async def running(pair: Pair, client: httpx.AsyncClient) -> AsyncIterator[Side]:
    """Run a pair."""
    async with Engines(pair, models.WEIGHTS).running() as engines:
        if engines.missing:
            raise RuntimeError(f"{engines.missing}: python -m dev.models fetches it")
        await engines.recognizer.wait_until_ready()
        app = elevenlabs_app(KEY, SpeechSettings(), engines)
        async with serve_app(app, "127.0.0.1", 0) as url:
            context = build_context(variables={"ELEVENLABS_BASE_URL": url}, timeout_s=30)
            yield Side(url, build_transcriber("elevenlabs", context), client)


def children() -> dict[int, float]:
    """Return the memory of this process's children in MB, by their ids."""
    command = ["ps", "-o", "pid=,rss=", "--ppid", str(os.getpid())]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    rows = [line.split() for line in listed.splitlines()]
    return {int(pid): int(size) / 1024 for pid, size in rows}


async def run(samples: int) -> None:
    """Measure and print."""
    found: dict[tuple[str, Pair], list[float]] = defaultdict(list)
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=30))
        sides, belongs = {}, {}
        for pair in PAIRS:
            before = children()
            sides[pair] = await stack.enter_async_context(running(pair, client))
            belongs[pair] = children().keys() - before.keys()
        _, asked = await sides["natural"].speak(SENTENCES["23 characters"])
        pause = b"\0\0" * (RATE_HZ * SILENCE_MS // 1000)
        for _ in range(samples):
            for label, text in SENTENCES.items():
                for pair, side in sides.items():
                    found[f"first sound, {label}", pair].append((await side.speak(text))[0])
            for pair, side in sides.items():
                found["final text, push-to-talk", pair].append((await side.hear(asked))[0])
                waited, _ = await side.hear(asked + pause)
                found["final text, hands-free", pair].append(waited)
        for pair, ids in belongs.items():
            sizes = children()
            print(f"{pair}: {sum(sizes.get(each, 0) for each in ids):.0f} MB")
    print(f"\nn = {samples}, load {os.getloadavg()[0]:.1f}\n")
    print("| ms | small | natural | ratio |")
    print("| --- | --- | --- | --- |")
    for label in dict.fromkeys(label for label, _ in found):
        small, natural = (found[label, pair] for pair in PAIRS)
        ratio = statistics.median(natural) / statistics.median(small)
        print(f"| {label} | {shown(small)} | {shown(natural)} | {ratio:.2f} |")


def shown(samples: Sequence[float]) -> str:
    """Return median and spread."""
    return f"{statistics.median(samples):.0f} ({min(samples):.0f} to {max(samples):.0f})"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--samples", type=int, default=15)
    asyncio.run(run(parser.parse_args().samples))


if __name__ == "__main__":
    main()
