"""Audio formats by ElevenLabs' names: 16-bit samples to bytes, and back.

Spoken audio is encoded in the format that was asked for; received audio is decoded
to what the recogniser hears. `pcm_*`, `ulaw_8000`, `alaw_8000`, `mp3_*` and `wav_*`
can be made; Opus can't, and says so.
"""

from __future__ import annotations

import io
import struct
import wave
from dataclasses import dataclass
from typing import Literal, Protocol

import lameenc
import numpy as np
import numpy.typing as npt
import soxr

Samples = npt.NDArray[np.int16]
Codec = Literal["pcm", "ulaw", "alaw", "mp3", "wav"]

_PCM_RATES_HZ = (8000, 16000, 22050, 24000, 32000, 44100, 48000)
_MP3 = ("22050_32", "24000_48", "44100_32", "44100_64", "44100_96", "44100_128", "44100_192")
_UNSUPPORTED = tuple(f"opus_48000_{kbps}" for kbps in (32, 64, 96, 128, 192))
_SOCKET_EXCLUDED = frozenset({"mp3_24000_48", "pcm_32000", "pcm_48000"})

HTTP_FORMATS = (
    *(f"pcm_{rate}" for rate in _PCM_RATES_HZ),
    "ulaw_8000",
    "alaw_8000",
    *(f"mp3_{variant}" for variant in _MP3),
)
CONVERT_FORMATS = (*HTTP_FORMATS, *(f"wav_{rate}" for rate in _PCM_RATES_HZ))
SOCKET_FORMATS = tuple(name for name in HTTP_FORMATS if name not in _SOCKET_EXCLUDED)
TRANSCRIBED_FORMATS = (
    *(f"pcm_{rate}" for rate in _PCM_RATES_HZ if rate != 32000),
    "ulaw_8000",
)

_CONTENT_TYPES: dict[Codec, str] = {
    "pcm": "audio/pcm",
    "ulaw": "audio/basic",
    "alaw": "audio/basic",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
}


class UnsupportedAudio(ValueError):
    """A format's name is not known, or audio is not what it is said to be."""


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """A format, parsed from its name."""

    name: str
    codec: Codec
    rate_hz: int
    kbps: int = 0

    @property
    def content_type(self) -> str:
        """The MIME type that the HTTP endpoints answer with."""
        return _CONTENT_TYPES[self.codec]

    @classmethod
    def parse(cls, name: str, allowed: tuple[str, ...]) -> AudioFormat:
        """Find a format by its name.

        Raises:
            UnsupportedAudio: it is not among the allowed ones.
        """
        if name not in allowed:
            reason = (
                "this stand-in makes no Opus"
                if name in _UNSUPPORTED
                else f"it is none of {', '.join(allowed)}"
            )
            raise UnsupportedAudio(f"Audio format {name!r} is not supported: {reason}.")
        codec, rate, *kbps = name.split("_")
        match codec:
            case "pcm" | "ulaw" | "alaw" | "mp3" | "wav":
                return cls(name, codec, int(rate), int(kbps[0]) if kbps else 0)
        raise UnsupportedAudio(f"Audio format {name!r} is not supported.")


class Encoder(Protocol):
    """Turns pieces of one stream of samples into bytes."""

    def encode(self, samples: Samples) -> bytes:
        """Return the next bytes; some may be kept back."""

    def finish(self) -> bytes:
        """Return what was kept back."""


def encoder(audio_format: AudioFormat) -> Encoder:
    """Return a new encoder for one stream."""
    match audio_format.codec:
        case "mp3":
            return _Mp3Encoder(audio_format)
        case "ulaw":
            return _Companded(to_ulaw)
        case "alaw":
            return _Companded(to_alaw)
        case "pcm" | "wav":
            return _Companded(to_pcm)


class _Companded:
    """A format in which every sample stands for itself."""

    def __init__(self, convert: _Converter) -> None:
        self._convert = convert

    def encode(self, samples: Samples) -> bytes:
        return self._convert(samples)

    def finish(self) -> bytes:
        return b""


class _Converter(Protocol):
    def __call__(self, samples: Samples, /) -> bytes: ...


class _Mp3Encoder:
    def __init__(self, audio_format: AudioFormat) -> None:
        self._lame = lameenc.Encoder()
        self._lame.set_bit_rate(audio_format.kbps)
        self._lame.set_in_sample_rate(audio_format.rate_hz)
        # LAME halves the rate of a low bit rate unless it is told one.
        self._lame.set_out_sample_rate(audio_format.rate_hz)
        self._lame.set_channels(1)
        self._lame.set_quality(7)
        self._lame.silence()

    def encode(self, samples: Samples) -> bytes:
        return bytes(self._lame.encode(to_pcm(samples)))

    def finish(self) -> bytes:
        return bytes(self._lame.flush())


def to_pcm(samples: Samples) -> bytes:
    """Encode samples as signed 16-bit little-endian, without a header."""
    return samples.astype("<i2", copy=False).tobytes()


def to_ulaw(samples: Samples) -> bytes:
    """Encode samples as G.711 µ-law, 8 bits a sample."""
    # On 14 bits, as G.711 has it: negative samples are rounded away from zero.
    wide = samples.astype(np.int32) >> 2
    magnitude = np.minimum(np.abs(wide) + 33, 8191)
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 5
    mantissa = (magnitude >> (exponent + 1)) & 0x0F
    sign = np.where(samples < 0, 0x80, 0)
    coded: bytes = (~(sign | (exponent << 4) | mantissa) & 0xFF).astype(np.uint8).tobytes()
    return coded


def to_alaw(samples: Samples) -> bytes:
    """Encode samples as G.711 A-law, 8 bits a sample."""
    wide = samples.astype(np.int32)
    magnitude = np.where(wide < 0, ~wide, wide) >> 3
    exponent = np.maximum(np.floor(np.log2(np.maximum(magnitude, 1))).astype(np.int32) - 4, 0)
    mantissa = np.where(exponent > 0, magnitude >> exponent, magnitude >> 1) & 0x0F
    sign = np.where(wide < 0, 0, 0x80)
    coded: bytes = ((sign | (exponent << 4) | mantissa) ^ 0x55).astype(np.uint8).tobytes()
    return coded


def from_ulaw(data: bytes) -> Samples:
    """Decode G.711 µ-law."""
    coded = ~np.frombuffer(data, np.uint8) & 0xFF
    exponent = ((coded >> 4) & 0x07).astype(np.int32)
    magnitude = (((coded & 0x0F).astype(np.int32) << 3) + 132 << exponent) - 132
    return np.where(coded & 0x80, -magnitude, magnitude).astype(np.int16)


def from_pcm(data: bytes) -> Samples:
    """Decode signed 16-bit little-endian; pass over an odd last byte."""
    return np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.int16, copy=False)


def resample(samples: Samples, from_hz: int, to_hz: int) -> Samples:
    """Return all of a signal at another rate."""
    if from_hz == to_hz or not samples.size:
        return samples
    return _rounded(soxr.resample(samples.astype(np.float32), from_hz, to_hz))


class StreamResampler:
    """A signal at another rate, piece by piece."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._stream = (
            None
            if from_hz == to_hz
            else soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32", quality=soxr.HQ)
        )

    def resample(self, samples: Samples) -> Samples:
        """Return the next piece; a few milliseconds are kept back."""
        if self._stream is None:
            return samples
        return _rounded(self._stream.resample_chunk(samples.astype(np.float32)))


def _rounded(signal: npt.NDArray[np.float32]) -> Samples:
    """Return the 16-bit samples of a resampled signal.

    soxr itself makes them with dither: silence becomes noise, and the same samples in other pieces
    come out otherwise.
    """
    return np.clip(np.rint(signal), -32_768, 32_767).astype(np.int16)


def wav(pcm: bytes, rate_hz: int) -> bytes:
    """Return 16-bit mono PCM with a WAV header."""
    output = io.BytesIO()
    with wave.open(output, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(pcm)
    return output.getvalue()


def from_wav(data: bytes) -> tuple[Samples, int]:
    """Return samples (the mean of all channels) and their rate, of a 16-bit PCM WAV file.

    Raises:
        UnsupportedAudio: it is another kind of file.
    """
    try:
        with wave.open(io.BytesIO(data)) as file:
            channels, width, rate_hz = (
                file.getnchannels(),
                file.getsampwidth(),
                file.getframerate(),
            )
            frames = file.readframes(file.getnframes())
    except (wave.Error, EOFError, struct.error) as error:
        raise UnsupportedAudio(f"The file is no WAV file that can be read: {error}.") from None
    if width != 2:
        raise UnsupportedAudio(f"The file has {8 * width}-bit samples; 16-bit ones are needed.")
    samples = from_pcm(frames)
    if channels > 1:
        whole = samples[: samples.size // channels * channels].reshape(-1, channels)
        samples = whole.mean(axis=1).astype(np.int16)
    return samples, rate_hz
