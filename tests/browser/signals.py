"""Tones, and what can be measured of them."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]


def tone(hz: float, seconds: float, rate_hz: int, level: float = 0.5) -> bytes:
    """A sine as 16-bit PCM; `level` is its peak, 1 is full scale."""
    count = round(seconds * rate_hz)
    # From half a sample on, so that no sample is zero by chance at the very start or end.
    phase = 2 * np.pi * hz * (np.arange(count) + 0.5) / rate_hz
    return (np.sin(phase) * level * 32767).round().astype("<i2").tobytes()


def noise(seconds: float, rate_hz: int, level: float, seed: int = 1) -> bytes:
    """White noise as 16-bit PCM, the same at every run; `level` is its root mean square."""
    samples = np.random.default_rng(seed).normal(0, level, round(seconds * rate_hz))
    return (samples.clip(-1, 1) * 32767).round().astype("<i2").tobytes()


def cough(seconds: float, rate_hz: int, level: float) -> bytes:
    """A burst of noise that begins at once and fades away; `level` is its loudest."""
    samples = samples_of(noise(seconds, rate_hz, level, seed=2))
    fading = np.exp(-3 * np.arange(len(samples)) / len(samples))
    return (samples * fading * 32767).round().astype("<i2").tobytes()


def mixed(one: bytes, other: bytes) -> bytes:
    """Two pieces of 16-bit PCM heard at once, as long as the first."""
    first, second = np.frombuffer(one, "<i2"), np.frombuffer(other, "<i2")
    sums = first.astype(np.int32) + np.resize(second, len(first))
    return sums.clip(-32768, 32767).astype("<i2").tobytes()


def samples_of(pcm: bytes) -> Samples:
    """16-bit PCM as floating point samples from -1 to 1."""
    return np.frombuffer(pcm, "<i2").astype(np.float64) / 32768


def frequency_hz(samples: Samples, rate_hz: int) -> float:
    """The strongest frequency, exact to a fraction of a Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 16 * len(samples)))
    return float(spectrum.argmax() * rate_hz / (16 * len(samples)))


class Tone(NamedTuple):
    """What is heard of one tone: medians, and for how long at once it is whole."""

    hz: float
    level: float
    whole_s: float


def steady_tone(samples: Samples, rate_hz: int) -> Tone:
    """The tone in the moments of 20 ms in which nothing is missing: it is exact there, or wrong.

    Of one sine `x`, `x[n - 1] + x[n + 1]` is `2 cos(w) x[n]` everywhere. Where a piece is missing
    it is not.
    """
    size = rate_hz // 50
    moments = samples[: len(samples) // size * size].reshape(-1, size)
    inner, beside = moments[:, 1:-1], moments[:, :-2] + moments[:, 2:]
    energy = np.sum(inner**2, axis=1)
    cosine = np.sum(inner * beside, axis=1) / (2 * np.maximum(energy, 1e-9))
    rest = np.sum((beside - 2 * cosine[:, None] * inner) ** 2, axis=1)
    whole = (energy > 1e-3) & (rest < 1e-4 * energy)
    if not whole.any():
        return Tone(0, 0, 0)
    each_hz = np.arccos(np.clip(cosine[whole], -1, 1)) * rate_hz / (2 * np.pi)
    level = np.sqrt(2 * energy[whole] / (size - 2))
    edges = np.flatnonzero(np.diff([False, *whole, False]))
    whole_s = float(np.max(edges[1::2] - edges[::2])) / 50
    return Tone(float(np.median(each_hz)), float(np.median(level)), whole_s)


def rms(samples: Samples) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(samples**2)))


def write_wav(path: Path, pcm: bytes, rate_hz: int) -> Path:
    """A mono WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(pcm)
    return path
