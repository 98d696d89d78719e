"""What may be speech, by its loudness alone."""

from __future__ import annotations

import array
import math
import random
from collections.abc import Callable

import pytest

from parley.audio.energy_gate import EnergyGate

RATE_HZ = 16_000


def level(dbfs: float) -> float:
    return 32_768 * 10 ** (dbfs / 20)


def white(seconds: float, dbfs: float) -> list[float]:
    noise = random.Random(1)
    return [noise.gauss(0, level(dbfs)) for _ in range(round(RATE_HZ * seconds))]


def brown(seconds: float, dbfs: float) -> list[float]:
    value, found = 0.0, []
    for step in white(seconds, 0):
        value = value * 0.995 + step
        found.append(value)
    power = math.sqrt(sum(v * v for v in found) / len(found))
    return [v / power * level(dbfs) for v in found]


def hum(seconds: float, dbfs: float) -> list[float]:
    count = round(RATE_HZ * seconds)
    return [1.4 * level(dbfs) * math.sin(2 * math.pi * 50 * i / RATE_HZ) for i in range(count)]


def vowel(seconds: float, dbfs: float, rate_hz: int = RATE_HZ) -> list[float]:
    """A voiced sound: pulses at 120 Hz, with a resonance at 600 Hz."""
    found, a, b = [], 0.0, 0.0
    for i in range(round(rate_hz * seconds)):
        pulse = 1.0 if i % (rate_hz // 120) == 0 else 0.0
        a, b = pulse + 1.9 * a * math.cos(2 * math.pi * 600 / rate_hz) - 0.9025 * b, a
        found.append(a)
    power = math.sqrt(sum(v * v for v in found) / len(found))
    return [v / power * level(dbfs) for v in found]


def heard(samples: list[float], rate_hz: int = RATE_HZ, piece: int = 1_601) -> bool:
    clipped = (round(min(max(value, -32_768), 32_767)) for value in samples)
    pcm = array.array("h", clipped).tobytes()
    gate = EnergyGate(rate_hz)
    for at in range(0, len(pcm), piece):  # of an odd size: a sample may be cut
        gate.feed(pcm[at : at + piece])
    return gate.may_be_speech()


@pytest.mark.parametrize("noise", [white, brown, hum])
@pytest.mark.parametrize("dbfs", [-70, -45, -25])
def test_steady_noise_is_no_speech_however_loud(
    noise: Callable[[float, float], list[float]], dbfs: float
) -> None:
    assert not heard(noise(2.0, dbfs))


def test_nothing_and_silence_are_no_speech() -> None:
    assert not heard([])
    assert not heard([0.0] * RATE_HZ)
    assert not heard([1_000.0] * RATE_HZ)  # a constant is no sound


@pytest.mark.parametrize("dbfs", [-50, -35, -20])
def test_a_word_between_pauses_is_speech(dbfs: float) -> None:
    pause = white(0.3, -75)
    assert heard([*pause, *vowel(0.15, dbfs), *pause])


def test_a_word_in_noise_is_speech() -> None:
    word = [0.0] * 8_000 + vowel(0.25, -30) + [0.0] * 8_000
    assert heard([a + b for a, b in zip(word, white(2.0, -40), strict=False)])


def test_a_single_word_cut_off_at_both_ends_is_speech() -> None:
    assert heard(vowel(0.3, -35))


def test_a_click_is_no_speech() -> None:
    quiet = white(0.5, -70)
    assert not heard([*quiet, *[8_000.0, -8_000.0] * 160, *quiet])


@pytest.mark.parametrize("rate_hz", [8_000, 24_000, 48_000])
def test_other_rates_are_judged_alike(rate_hz: int) -> None:
    word = [*[0.0] * rate_hz, *vowel(0.3, -30, rate_hz), *[0.0] * rate_hz]
    assert heard(word, rate_hz)
    assert not heard(white(6.0, -35), rate_hz)  # 2 s at the highest
