"""What of the audio Moonshine is given, and what is told of its texts: with a model that counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley_standins.natural.moonshine import Heard, Signal
from parley_standins.natural.moonshine_decoder import FRAME, MoonshineDecoder

CHUNK = 24 * FRAME * 2
"""480 ms in bytes."""


class Model:
    """Hears a word for each 200 ms of what it is given."""

    def __init__(self, text: str = "", mean: float = -0.1) -> None:
        self.lengths: list[float] = []
        self._text, self._mean = text, mean

    def __call__(self, signal: Signal) -> Heard:
        self.lengths.append(signal.size / 16_000)
        words = self._text.split() or [f"w{n}" for n in range(int(signal.size / 3_200))]
        return Heard(" ".join(words), (self._mean,) * len(words), self._mean)


def sound(*seconds: float) -> bytes:
    """Speech and silence in turns."""
    noise = np.random.default_rng(1)
    parts = [
        noise.normal(0, 0 if n % 2 else 2_000, int(length * 16_000))
        for n, length in enumerate(seconds)
    ]
    return np.concatenate(parts).astype("<i2").tobytes()


def hear(decoder: MoonshineDecoder, pcm: bytes, step: int = CHUNK) -> list[str]:
    told = [decoder.hear(pcm[at : at + step]) for at in range(0, len(pcm), step)]
    return [text for text in told if text is not None]


def test_silence_never_reaches_the_model() -> None:
    model = Model()
    decoder = MoonshineDecoder(model)
    hear(decoder, sound(0, 3))
    assert decoder.finish() == ("", [])
    assert model.lengths == []


def test_of_speech_in_silence_the_model_gets_the_speech() -> None:
    model = Model()
    decoder = MoonshineDecoder(model)
    hear(decoder, sound(0, 2, 0.3, 2))
    _, words = decoder.finish()
    assert model.lengths[-1] == pytest.approx(0.7, abs=0.04), "200 ms around it"
    assert words[0][1] == pytest.approx(2.0, abs=0.02)
    assert words[-1][2] == pytest.approx(2.3, abs=0.04)


def test_the_text_of_a_pause_is_the_final_one_without_another_look() -> None:
    model = Model()
    decoder = MoonshineDecoder(model)
    told = hear(decoder, sound(1.0, 1.0))
    looks = len(model.lengths)
    text, _ = decoder.finish()
    assert (text, len(model.lengths)) == (told[-1], looks)


def test_while_somebody_speaks_words_are_told_that_were_heard_twice() -> None:
    texts = iter(["Please, please,", "Please send", "Please send the invoice", "Please send"])
    decoder = MoonshineDecoder(lambda _signal: Model(next(texts))(np.zeros(0, np.float32)))
    told = hear(decoder, sound(4 * 0.48))
    assert told == ["Please", "Please send"], "and what has become shorter is not told again"


def test_no_text_is_made_that_would_be_late() -> None:
    model = Model()
    decoder = MoonshineDecoder(model)
    assert decoder.hear(sound(2.0), in_time=False) is None
    assert model.lengths == []


@pytest.mark.parametrize(
    "model",
    [Model("♪♪♪"), Model("The first one.", mean=-1.1), Model("...")],
    ids=["no letter", "a guess", "marks"],
)
def test_what_noise_seems_to_say_is_nothing(model: Model) -> None:
    decoder = MoonshineDecoder(model)
    hear(decoder, sound(1.0))
    assert decoder.finish() == ("", [])
    assert model.lengths, "it was asked"


def test_long_speech_is_heard_in_parts_and_no_part_is_too_long() -> None:
    model = Model()
    decoder = MoonshineDecoder(model)
    hear(decoder, sound(9.0, 1.0, 40.0))
    _, words = decoder.finish()
    assert max(model.lengths) <= 16.5
    times = [time for _, start, end, _ in words for time in (start, end)]
    assert times == sorted(times)
    assert times[-1] == pytest.approx(50.0, abs=0.1)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 3 * CHUNK), st.integers(0, 2**20))
def test_what_is_final_does_not_depend_on_how_the_audio_came(step: int, seed: int) -> None:
    lengths = np.random.default_rng(seed).uniform(0.1, 6, 5).tolist()
    pcm = sound(*lengths)
    decoder = MoonshineDecoder(Model())
    hear(decoder, pcm)
    first = decoder.finish()
    for at in range(0, len(pcm), max(step, 2_000)):
        decoder.hear(pcm[at : at + max(step, 2_000)], in_time=False)
    assert decoder.finish() == first
