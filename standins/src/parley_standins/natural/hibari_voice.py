"""The voice hibari: English text in, 24 kHz PCM and the times of its words out.

The package has one voice. The others are made of it: played back faster or slower, which moves
pitch and formants, at the same pace; and with another pitch, which the model gives for every frame.
How long each phoneme sounds is within its graph, and becomes one more output here.

It is for a process of its own (`hibari_worker`): it loads for a second, and computes in the thread
that calls it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import hibari
import numpy as np
import numpy.typing as npt
import onnxruntime
from hibari import dsp
from hibari.g2p import G2P
from hibari.g2p.normalize import normalize

from parley_standins.natural.hibari_words import PlacedWord, SpokenWord, place_words

SAMPLE_RATE_HZ = 24_000
SAMPLES_PER_FRAME = 600
"""Durations are whole frames of 25 ms, two hops of the synthesis."""
LAG = 2 * SAMPLES_PER_FRAME
"""A phoneme sounds 50 ms before the durations say: by 46 ms at the first sound of sentences, and by
58 ms at bursts of stops (medians of 30 and of 12)."""
DURATIONS = "/Cast_32_output_0"
"""What the graph of hibari-tts 0.2.1 calls the frames of each phoneme."""
MAX_PHONEMES = 400
"""What the model was made for; hibari itself cuts there."""
GAIN = 2.0
"""It speaks at -27 dBFS, other voices at -21."""
SEED = 0
"""Of the noise in breath and consonants: the same text is the same sound."""
LOUD, AUDIBLE = 0.01, 0.002
LEAD_MS = 25
"""What is left of the 300 ms of silence before the first sound."""
SENTENCE_PAUSE_MS, PAUSE_MS = 350, 120
"""What is left of the silence behind a sentence, and behind a part of one."""

_MARKS = frozenset(';:,.!?—…"“”() ')
_CLOSING = " \n\t\"'”’)]"

Sound = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Asked:
    """What to say and how.

    Attributes:
        speed: 1 is the voice's own.
        playback: of the voice's rate; pitch and formants move with it.
        pitch: of the voice's, besides.
    """

    text: str
    speed: float = 1.0
    playback: float = 1.0
    pitch: float = 1.0


@dataclass(frozen=True, slots=True)
class Said:
    """Signed 16-bit mono, and its words in samples from the start."""

    pcm: bytes
    rate_hz: int
    words: tuple[PlacedWord, ...]


class HibariVoice:
    """The model, loaded once in a process."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._g2p = G2P()
        self._vocabulary: dict[str, int] = hibari.Hibari(g2p=self._g2p).vocab
        graph = Path(hibari.__file__).parent / "assets" / "hibari.onnx"
        self._model = onnxruntime.InferenceSession(
            graph.read_bytes() + _more_output(DURATIONS),
            options,
            providers=["CPUExecutionProvider"],
        )

    def say(self, asked: Asked) -> Said:
        """Synthesise one sentence; what has no English letter or digit is silence."""
        sound: list[Sound] = []
        words: list[SpokenWord] = []
        times: list[float] = []
        samples = 0
        random = np.random.default_rng(SEED)
        for ids, group in self._parts(asked.text):
            spoken, frames = self._synthesize(ids, asked, random)
            sound.append(spoken)
            # The first of the ids, and the last, is none of the phonemes.
            begins = samples + np.cumsum(frames)[:-1] * SAMPLES_PER_FRAME - LAG
            words += [SpokenWord(w.text, w.first + len(times), w.end + len(times)) for w in group]
            times += begins.tolist()
            samples += spoken.size
        if not sound:
            return Said(b"", SAMPLE_RATE_HZ, ())
        times.append(float(samples))
        whole = np.concatenate(sound)
        first, last = _audible(whole, times[0])
        pause_ms = SENTENCE_PAUSE_MS if _is_whole(asked.text) else PAUSE_MS
        end = last + pause_ms * SAMPLE_RATE_HZ // 1000
        placed = (
            # The last phoneme has the silence behind it, too.
            PlacedWord(w.position, w.length, w.start - first, min(w.end, last) - first)
            for w in place_words(asked.text, words, times)
        )
        loud = np.clip(whole[first:end] * GAIN, -1.0, 1.0) * 32_767
        rate_hz = round(SAMPLE_RATE_HZ * asked.playback)
        return Said(loud.astype("<i2").tobytes(), rate_hz, tuple(placed))

    def _synthesize(
        self, ids: Sequence[int], asked: Asked, random: np.random.Generator
    ) -> tuple[Sound, npt.NDArray[np.int64]]:
        """Return the sound of phonemes, and how many frames each of them has."""
        pace = np.asarray([asked.speed / asked.playback], np.float32)
        found = self._model.run(None, {"ids": np.asarray([ids], np.int64), "speed": pace})
        lh, theta, ln, lr, phi, f0 = (each[0] for each in found[:6])
        sound: Sound = dsp.synth(lh, theta, ln, lr, phi, f0 * asked.pitch, random)
        return sound, found[6]

    def _parts(self, text: str) -> Iterator[tuple[list[int], list[SpokenWord]]]:
        """Yield ids of phonemes, as many as the model takes, and the words that they are."""
        ids: list[int] = [0]
        group: list[SpokenWord] = []
        for word, phonemes in self._spoken_words(text):
            known = [sign for sign in phonemes if sign in self._vocabulary]
            for at in range(0, len(known), MAX_PHONEMES):
                piece = known[at : at + MAX_PHONEMES]
                if len(ids) + len(piece) > MAX_PHONEMES and group:
                    yield [*ids, 0], group
                    ids, group = [0], []
                first = len(ids) - 1
                ids += [self._vocabulary[sign] for sign in piece]
                sounds = [n for n, sign in enumerate(piece) if sign not in _MARKS]
                if sounds:
                    group.append(SpokenWord(word, first, first + sounds[-1] + 1))
        if group:
            yield [*ids, 0], group

    def _spoken_words(self, text: str) -> Iterator[tuple[str, str]]:
        """Yield each word that is said, as it is written out, and its phonemes and marks."""
        tokens = self._g2p.phonemize_tokens(self._g2p.tokenize(normalize(text)))
        word, phonemes = "", ""
        for token in tokens:
            word += token.text
            phonemes += token.phonemes or ""
            if token.whitespace:
                yield word, phonemes + " "
                word, phonemes = "", ""
        if phonemes:
            yield word, phonemes


def _is_whole(text: str) -> bool:
    return text.rstrip(_CLOSING).endswith((".", "!", "?", "…"))


def _audible(sound: Sound, first_phoneme: float) -> tuple[int, int]:
    """Return where a sentence begins to sound, a little before that, and where it ends."""
    level = np.abs(sound)
    loud, audible = np.flatnonzero(level > LOUD), np.flatnonzero(level > AUDIBLE)
    first = min(int(first_phoneme), int(loud[0]) if loud.size else sound.size)
    first = max(0, first - LEAD_MS * SAMPLE_RATE_HZ // 1000)
    return first, max(first, int(audible[-1]) if audible.size else 0)


def _more_output(name: str) -> bytes:
    """Return what makes a value of an ONNX graph one of its outputs, to be put behind the model.

    ONNX is protocol buffers, where a message that comes twice is merged: field 7 of a model is its
    graph, field 12 of that an output, field 1 of that its name.
    """
    content = name.encode()
    for number in (1, 12, 7):
        assert len(content) < 0x80  # a length in one byte
        content = bytes([number << 3 | 2, len(content)]) + content
    return content
