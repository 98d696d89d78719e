"""Recordings of people with their texts, from Debian, and the whole way that a page's speech takes.

A recording is played into a microphone of 48 kHz. The client's own JavaScript makes chunks of it;
the layer's decoder and its adapter bring these to a transcriber.

The packages are `pocketsphinx-testdata`, `asterisk-core-sounds-en` (texts) and either of
`asterisk-core-sounds-en-wav` and `-g722`. The variable `RECORDINGS` names another folder than `/`
that they are unpacked in.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import struct
import subprocess
import unicodedata
import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soxr

from parley.audio.mulaw import decode_mulaw
from parley.providers.stt import Transcriber
from parley_standins.spoken_numbers import in_words

ROOT = Path(__file__).resolve().parent.parent
ROOT_OF_PACKAGES = Path(os.environ.get("RECORDINGS") or "/")
PROMPTS = "usr/share/asterisk/sounds/en_US_f_Allison"
TEXTS = "usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz"
TEST_DATA = "usr/share/pocketsphinx/test/data"
MICROPHONE_HZ = 48_000
FEWEST_WORDS = 3
LONGEST_S = 20
_SPELLED = {"mr": "mister", "mrs": "missis", "ok": "okay", "voice-mail": "voicemail"}

Signal = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Recording:
    """What somebody said.

    Attributes:
        kind: where it comes from.
    """

    kind: str
    path: Path
    text: str


def find_recordings(root: Path = ROOT_OF_PACKAGES) -> list[Recording]:
    """Return the recordings that are below a folder, with at least `FEWEST_WORDS` words."""
    return [*_prompts(root), *_test_data(root)]


def _prompts(root: Path) -> Iterator[Recording]:
    if not (root / TEXTS).exists():
        return
    with gzip.open(root / TEXTS, "rt", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            name, _, text = line.strip().partition(": ")
            spoken = (
                not re.search(r"[\[\]<>]|of silence", text) and len(text.split()) >= FEWEST_WORDS
            )
            paths = [root / PROMPTS / f"{name}.{kind}" for kind in ("g722", "wav")]
            found = [path for path in paths if path.exists()]
            if spoken and found:
                yield Recording(f"Asterisk, {found[0].suffix[1:]}", found[0], text)


def _test_data(root: Path) -> Iterator[Recording]:
    for kind in ("librivox", "cards"):
        for file in (root / TEST_DATA / kind).glob("*transcription"):
            for line in file.read_text().splitlines():
                found = re.fullmatch(r"(?:<s> )?(.*?)(?: </s>)? \((\S+)\)", line.strip())
                path = file.parent / f"{found[2]}.wav" if found else file
                if found and path.suffix == ".wav" and path.exists():
                    yield Recording(kind, path, found[1])


def microphone(recording: Recording) -> Signal:
    """Return a recording as a microphone hears it, -1 to 1 at 48 kHz."""
    if recording.path.suffix == ".g722":
        import av  # which only the benchmark has

        with av.open(str(recording.path), format="g722") as container:
            parts = [each.to_ndarray().reshape(-1) for each in container.decode(audio=0)]
        samples, rate_hz = np.concatenate(parts), 16_000
    else:
        with wave.open(str(recording.path)) as file:
            rate_hz = file.getframerate()
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    signal = samples.astype(np.float32) / np.float32(32_768)
    resampled: Signal = soxr.resample(signal, rate_hz, MICROPHONE_HZ)
    return resampled


def sent_by_a_page(signals: Sequence[Signal]) -> list[list[bytes]]:
    """Return the chunks, in µ-law, that a page sends of each signal."""
    node = shutil.which("node", path=f"{ROOT / '.venv' / 'bin'}:/usr/local/bin:/usr/bin")
    assert node is not None, "make test installs node"
    given = b"".join(struct.pack("<I", s.size) + s.astype("<f4").tobytes() for s in signals)
    script = str(ROOT / "tests" / "capture_recordings.mjs")
    made = subprocess.run([node, script], input=given, capture_output=True, check=True).stdout
    found: list[list[bytes]] = []
    at = 0

    def number() -> int:
        nonlocal at
        at += 4
        return int.from_bytes(made[at - 4 : at], "little")

    for _ in signals:
        chunks = []
        for _ in range(number()):
            size = number()
            chunks.append(made[at : at + size])
            at += size
        found.append(chunks)
    return found


async def transcribe(transcriber: Transcriber, chunks: Sequence[bytes]) -> str:
    """Have chunks transcribed, as a turn does; return the final text."""
    stream = await transcriber.open("pcm_16000", "en", "manual")
    try:
        for chunk in chunks:
            await stream.send(decode_mulaw(chunk))
        await stream.finish()
        text = ""
        async for piece in stream.pieces():
            text = piece.text
        return text
    finally:
        await stream.close()


def words_of(text: str) -> list[str]:
    """Return the words of a text without marks, in small letters, numbers as they are said."""
    plain = unicodedata.normalize("NFKC", text.lower()).replace("’", "'")
    words = [word.strip(".,;:!?\"'()…-–—") for word in plain.replace("can not", "cannot").split()]
    said = [in_words(int(word)) if word.isdecimal() else _SPELLED.get(word, word) for word in words]
    return [part for word in said for part in re.split("[- ]", word) if part]


def word_errors(said: Sequence[str], heard: Sequence[str]) -> int:
    """Return how many words differ (Levenshtein)."""
    row = list(range(len(heard) + 1))
    for count, word in enumerate(said, 1):
        diagonal, row[0] = row[0], count
        for at, other in enumerate(heard, 1):
            diagonal, row[at] = (
                row[at],
                min(row[at] + 1, row[at - 1] + 1, diagonal + (word != other)),
            )
    return row[-1]
