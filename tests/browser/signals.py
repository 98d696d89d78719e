"""Tones, and what can be measured of them."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]


def tone(hz: float, seconds: float, rate_hz: int, level: float = 0.5) -> bytes:
    """A sine as 16-bit PCM; `level` is its peak, 1 is full scale."""
    count = round(seconds * rate_hz)
    # From half a sample on, so that no sample is zero by chance at the very start or end.
    phase = 2 * np.pi * hz * (np.arange(count) + 0.5) / rate_hz
    return (np.sin(phase) * level * 32767).round().astype("<i2").tobytes()


def samples_of(pcm: bytes) -> Samples:
    """16-bit PCM as floating point samples from -1 to 1."""
    return np.frombuffer(pcm, "<i2").astype(np.float64) / 32768


def frequency_hz(samples: Samples, rate_hz: int) -> float:
    """The strongest frequency, exact to a fraction of a Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 16 * len(samples)))
    return float(spectrum.argmax() * rate_hz / (16 * len(samples)))


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
