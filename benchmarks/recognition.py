"""How many words of people each transcriber gets wrong, through the whole way in.

Takes Debian's recordings with their texts: Asterisk's prompts (one professional speaker, 16 kHz)
and PocketSphinx's test data (LibriVox, playing cards). Each is played into a microphone of 48 kHz.
The client's own JavaScript makes chunks of it, and the layer's adapter has them transcribed: by the
stand-ins' two recognisers, and by every real transcriber whose key is in the environment, which
costs money.

    python -m benchmarks.recognition [--folder DIR] [--most 60] [--speakers hibari espeak-ng]

Needs apt (Debian or Ubuntu), and fetches 14 MB of recordings and PyAV to decode them. With --folder
nothing is fetched twice. --speakers has the stand-ins' voices say the texts of the prompts, too.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import soxr

from dev import models
from dev.providers import variable
from dev.services import SERVICES
from parley.providers.registry import build_transcriber
from parley.providers.stt import Transcriber
from parley_standins.__main__ import serve_app
from parley_standins.elevenlabs_app import elevenlabs_app
from parley_standins.engines import Engines, Pair
from parley_standins.faults import SpeechSettings
from parley_standins.voices import DEFAULT_VOICE_ID, VOICES, VoiceSettings
from tests.recordings import (
    LONGEST_S,
    MICROPHONE_HZ,
    Recording,
    Signal,
    find_recordings,
    microphone,
    sent_by_a_page,
    transcribe,
    word_errors,
    words_of,
)
from tests.unit.provider_context import build_context

DEBS = ("asterisk-core-sounds-en-g722", "asterisk-core-sounds-en", "pocketsphinx-testdata")
PYAV = "av==15.1.0"
SEED = 711
KEY = "the-key"
PAIRS: dict[str, Pair] = {"espeak-ng": "small", "hibari": "natural"}


@dataclass(frozen=True, slots=True)
class Utterance:
    """What is heard, as a page sends it."""

    kind: str
    said: list[str]
    chunks: list[bytes]


def fetch(folder: Path) -> None:
    """Fetch recordings, and what decodes them, into a folder."""
    sys.path.append(str(folder / "modules"))
    if (folder / "fetched").exists():
        return
    (folder / "debs").mkdir(parents=True, exist_ok=True)
    subprocess.run(["apt-get", "download", *DEBS], cwd=folder / "debs", check=True)
    for deb in (folder / "debs").glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", deb, folder / "recordings"], check=True)
    python = Path(sys.base_prefix) / "bin" / "python3"
    install = ["-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-deps"]
    target = str(folder / "modules")
    subprocess.run([str(python), *install, "--target", target, PYAV], check=True)
    (folder / "fetched").touch()


def recorded(folder: Path, most: int) -> list[tuple[Recording, Signal]]:
    """Return all test data, and so many of the prompts."""
    found = find_recordings(folder / "recordings")
    prompts = [each for each in found if each.kind.startswith("Asterisk")]
    random.Random(SEED).shuffle(prompts)
    others = [each for each in found if each not in prompts]
    taken = [(each, microphone(each)) for each in (*others, *prompts[: most + most // 4])]
    fitting = [(r, signal) for r, signal in taken if signal.size <= LONGEST_S * MICROPHONE_HZ]
    return fitting[: len(others) + most]


async def spoken(voice: str, texts: Sequence[str]) -> list[Signal]:
    """Return texts as a stand-in's voice says them."""
    async with Engines(PAIRS[voice], models.WEIGHTS).running() as engines:
        assert engines.speaker.engine == voice, engines.missing
        found: list[Signal] = []
        for text in texts:
            speech = engines.speaker.speak(text, VOICES[DEFAULT_VOICE_ID], VoiceSettings(), 16_000)
            samples = np.concatenate([each.samples async for each in speech])
            heard: Signal = samples.astype(np.float32) / np.float32(32_768)
            found.append(soxr.resample(heard, 16_000, MICROPHONE_HZ))
        return found


@contextlib.asynccontextmanager
async def local(pair: Pair) -> AsyncIterator[tuple[str, Transcriber]]:
    """Run a stand-in for ElevenLabs; give the name of its recogniser, and the adapter."""
    async with Engines(pair, models.WEIGHTS).running() as engines:
        await engines.recognizer.wait_until_ready()
        app = elevenlabs_app(KEY, SpeechSettings(), engines)
        async with serve_app(app, "127.0.0.1", 0) as url:
            context = build_context(variables={"ELEVENLABS_BASE_URL": url}, timeout_s=60)
            yield engines.recognizer.engine, build_transcriber("elevenlabs", context)


@contextlib.asynccontextmanager
async def real(name: str, key: str) -> AsyncIterator[tuple[str, Transcriber]]:
    """Give a service's adapter."""
    async with httpx.AsyncClient() as client:
        context = build_context(client, os.environ, key=key, timeout_s=60)
        yield name, build_transcriber(name, context)


def there() -> Sequence[contextlib.AbstractAsyncContextManager[tuple[str, Transcriber]]]:
    """Return every transcriber that can be had here."""
    found = [local("small"), *([local("natural")] if models.are_here() else [])]
    for (stage, name), service in SERVICES.items():
        key = os.environ.get(variable(service.key), "") if service.key else ""
        if stage == "transcriber" and key:
            found.append(real(name, key))
    return found


async def measure(utterances: Sequence[Utterance]) -> None:
    """Print a row for each transcriber and each kind of utterance.

    Each is sent at once, so the time is that of all of the work.
    """
    print("| transcriber | what is heard | n | words | WER | without an error | ms |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    kinds = list(dict.fromkeys(each.kind for each in utterances))
    for transcriber in there():
        async with transcriber as (name, adapter):
            for kind in kinds:
                chosen = [each for each in utterances if each.kind == kind]
                print(await row(name, adapter, kind, chosen), flush=True)


async def row(name: str, adapter: Transcriber, kind: str, utterances: Sequence[Utterance]) -> str:
    """Return what one transcriber makes of utterances, as a row of Markdown."""
    errors, waits = [], []
    for utterance in utterances:
        began = time.monotonic()
        heard = words_of(await transcribe(adapter, utterance.chunks))
        waits.append((time.monotonic() - began) * 1000)
        errors.append(word_errors(utterance.said, heard))
        if errors[-1]:
            print(f"{name}: {' '.join(utterance.said)}\n  {' '.join(heard)}", file=sys.stderr)
    words = sum(len(each.said) for each in utterances)
    right = sum(not count for count in errors)
    return (
        f"| {name} | {kind} | {len(errors)} | {words} | {100 * sum(errors) / words:.1f} % "
        f"| {right} | {statistics.median(waits):.0f} |"
    )


async def run(folder: Path, most: int, voices: Sequence[str]) -> None:
    """Fetch, make the utterances and measure."""
    fetch(folder)
    found = recorded(folder, most)
    heard = [(recording.kind, recording.text, signal) for recording, signal in found]
    prompts = [recording.text for recording, _ in found if recording.kind.startswith("Asterisk")]
    for voice in voices:
        signals = await spoken(voice, prompts)
        heard += [(voice, text, each) for text, each in zip(prompts, signals, strict=True)]
    sent = sent_by_a_page([signal for _, _, signal in heard])
    await measure(
        [
            Utterance(kind, words_of(text), chunks)
            for (kind, text, _), chunks in zip(heard, sent, strict=True)
        ]
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--most", type=int, default=60, help="how many of Asterisk's prompts")
    parser.add_argument("--speakers", nargs="*", default=[], choices=[*PAIRS])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (asked.folder or Path(temporary)).resolve()
        asyncio.run(run(folder, asked.most, asked.speakers))


if __name__ == "__main__":
    main()
