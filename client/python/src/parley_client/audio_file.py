"""WAV files: an utterance to send, a reply to keep."""

from __future__ import annotations

import array
import logging
import sys
import wave
from pathlib import Path

from parley_client.errors import BadAudio
from parley_client.messages import AudioFormat
from parley_client.pcm import BYTES_PER_SAMPLE, SAMPLE_RATES_HZ, samples_of
from parley_client.wav import NoWav, parse_wav

_log = logging.getLogger(__name__)


def read_wav(path: str | Path) -> tuple[bytes, AudioFormat]:
    """Read a WAV file as mono PCM and its format; stereo is averaged.

    Raises:
        BadAudio: it is missing, is no WAV, or is of a kind that must be converted.
    """
    convert = f"Convert it: ffmpeg -i {path} -ac 1 -ar 16000 -c:a pcm_s16le question.wav"
    try:
        wav = parse_wav(Path(path).read_bytes())
    except OSError as unreadable:
        raise BadAudio(f"{path} cannot be read: {unreadable.strerror or unreadable}.") from None
    except NoWav as invalid:
        raise BadAudio(f"{path} is not a PCM WAV file ({invalid}). {convert}") from None
    if wav.coding != "PCM":
        raise BadAudio(f"{path} is not a PCM WAV file (it is {wav.coding}). {convert}")
    if wav.bits != 8 * BYTES_PER_SAMPLE:
        raise BadAudio(f"{path} has {wav.bits}-bit samples, 16 are needed. {convert}")
    if wav.announced_bytes > len(wav.data):
        _log.warning(
            "%s was cut off: it announces %s bytes of samples, and %s are there.",
            path,
            f"{wav.announced_bytes:,}",
            f"{len(wav.data):,}",
        )
    if wav.channels not in (1, 2):
        raise BadAudio(f"{path} has {wav.channels} channels, 1 or 2 can be sent. {convert}")
    for kind, rate in SAMPLE_RATES_HZ.items():
        if rate == wav.rate_hz:
            frame_bytes = BYTES_PER_SAMPLE * wav.channels
            pcm = wav.data[: len(wav.data) // frame_bytes * frame_bytes]  # it may be cut off
            return (_mono(pcm) if wav.channels == 2 else pcm), kind
    allowed = ", ".join(f"{rate:,}" for rate in SAMPLE_RATES_HZ.values())
    raise BadAudio(
        f"{path} has {wav.rate_hz:,} samples per second; {allowed} can be sent. {convert}"
    )


def write_wav(path: str | Path, pcm: bytes, rate_hz: int) -> None:
    """Write mono PCM as a WAV file."""
    # `wave` that fails to open a path itself complains once more when it is collected.
    with open(path, "wb") as file, wave.open(file, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(BYTES_PER_SAMPLE)
        wav.setframerate(rate_hz)
        wav.writeframes(pcm)


def _mono(stereo: bytes) -> bytes:
    samples = samples_of(stereo)
    mixed = array.array(
        "h", ((a + b) // 2 for a, b in zip(samples[::2], samples[1::2], strict=True))
    )
    if sys.byteorder == "big":
        mixed.byteswap()
    return mixed.tobytes()
