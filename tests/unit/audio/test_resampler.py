"""Resampling: what it keeps, what it takes away, and that pieces make no difference."""

from __future__ import annotations

import array
import math
import random

import pytest

from parley.audio.resampler import Resampler

AMPLITUDE = 10_000


def sine(hz: float, rate_hz: int, seconds: float = 0.5) -> bytes:
    count = round(rate_hz * seconds)
    wave = (round(AMPLITUDE * math.sin(2 * math.pi * hz * i / rate_hz)) for i in range(count))
    return array.array("h", wave).tobytes()


def resampled(pcm: bytes, from_hz: int, to_hz: int) -> list[int]:
    resampler = Resampler(from_hz, to_hz)
    return list(array.array("h", resampler.feed(pcm) + resampler.close()))


def power_db(samples: list[float]) -> float:
    """Relative to the sine's."""
    mean = sum(value * value for value in samples) / len(samples)
    return 10 * math.log10(max(mean, 1e-9) / (AMPLITUDE**2 / 2))


@pytest.mark.parametrize(
    ("from_hz", "to_hz"),
    [
        (22_050, 24_000),
        (24_000, 22_050),
        (24_000, 16_000),
        (44_100, 24_000),
        (24_000, 44_100),
        (24_000, 48_000),
        (48_000, 24_000),
        (24_000, 8_000),
    ],
)
def test_a_tone_stays_the_tone_that_it_was(from_hz: int, to_hz: int) -> None:
    found = resampled(sine(1_000, from_hz), from_hz, to_hz)
    assert len(found) == to_hz // 2
    wanted = [AMPLITUDE * math.sin(2 * math.pi * 1_000 * i / to_hz) for i in range(len(found))]
    middle = slice(200, -200)
    errors = [a - b for a, b in zip(found[middle], wanted[middle], strict=True)]
    assert power_db(errors) < -75


@pytest.mark.parametrize(("from_hz", "to_hz"), [(24_000, 16_000), (48_000, 24_000)])
def test_a_tone_above_the_new_band_is_gone(from_hz: int, to_hz: int) -> None:
    found = resampled(sine(to_hz / 2 * 1.1, from_hz), from_hz, to_hz)
    assert power_db([float(value) for value in found[400:-400]]) < -70


def test_pieces_of_any_size_make_no_difference() -> None:
    pcm = random.Random(1).randbytes(20_000)
    cuts = random.Random(2)
    for from_hz, to_hz in ((22_050, 24_000), (24_000, 8_000)):
        whole = Resampler(from_hz, to_hz)
        pieces = Resampler(from_hz, to_hz)
        found, at = b"", 0
        while at < len(pcm):
            size = 2 * cuts.randrange(0, 400)
            found += pieces.feed(pcm[at : at + size])
            at += size
        assert found + pieces.close() == whole.feed(pcm) + whole.close()


def test_it_is_never_louder_than_a_sample_can_say() -> None:
    square = array.array("h", [32_767, -32_768] * 20 + [32_767] * 100 + [-32_768] * 100)
    found = resampled(square.tobytes(), 16_000, 24_000)
    assert max(found) == 32_767
    assert min(found) == -32_768


def test_the_same_rate_changes_nothing() -> None:
    resampler = Resampler(24_000, 24_000)
    assert resampler.feed(b"\x01\x02") + resampler.close() == b"\x01\x02"


def test_of_nothing_comes_nothing() -> None:
    assert resampled(b"", 22_050, 24_000) == []
