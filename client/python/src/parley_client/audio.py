"""PCM: formats, WAV files, cutting and pacing an utterance, and when a reply is heard.

Nothing here knows the conversation. Audio is signed 16-bit little-endian mono
PCM throughout, as the protocol carries it.
"""

from __future__ import annotations

import array
import asyncio
import logging
import sys
import wave
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from pathlib import Path
from typing import TypeAlias, get_args

from parley_client.errors import BadAudio
from parley_client.messages import AudioFormat
from parley_client.wav import NoWav, parse_wav

PcmSource: TypeAlias = bytes | bytearray | memoryview | Iterable[bytes] | AsyncIterable[bytes]
"""A whole utterance, or pieces of it of any size."""

AUDIBLE_AMPLITUDE = 328
"""1 % of full scale (-40 dBFS): above the noise floor that speech synthesis
leaves in a pause, below any spoken sound."""

BYTES_PER_SAMPLE = 2
_log = logging.getLogger(__name__)
_RATES_HZ = {kind: int(kind.removeprefix("pcm_")) for kind in get_args(AudioFormat)}


def sample_rate_hz(audio_format: str) -> int:
    """The rate of a format such as `pcm_16000`.

    Raises:
        BadAudio: the protocol has no such format.
    """
    try:
        return _RATES_HZ[audio_format]
    except KeyError:
        raise BadAudio(
            f"The audio format {audio_format!r} is not one of {', '.join(_RATES_HZ)}."
        ) from None


def duration_ms(pcm_bytes: int, rate_hz: int) -> float:
    """How long that many bytes sound."""
    return pcm_bytes / BYTES_PER_SAMPLE / rate_hz * 1000


def first_audible_sample(pcm: bytes) -> int | None:
    """Index of the first sample that can be heard; None in silence."""
    return next(
        (i for i, sample in enumerate(_samples(pcm)) if abs(sample) >= AUDIBLE_AMPLITUDE), None
    )


def _samples(pcm: bytes) -> array.array[int]:
    samples = array.array("h", pcm)
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def _mono(stereo: bytes) -> bytes:
    samples = _samples(stereo)
    mixed = array.array(
        "h", ((a + b) // 2 for a, b in zip(samples[::2], samples[1::2], strict=True))
    )
    if sys.byteorder == "big":
        mixed.byteswap()
    return mixed.tobytes()


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
    for kind, rate in _RATES_HZ.items():
        if rate == wav.rate_hz:
            frame_bytes = BYTES_PER_SAMPLE * wav.channels
            pcm = wav.data[: len(wav.data) // frame_bytes * frame_bytes]  # it may be cut off
            return (_mono(pcm) if wav.channels == 2 else pcm), kind
    allowed = ", ".join(f"{rate:,}" for rate in _RATES_HZ.values())
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


async def _pieces(source: PcmSource) -> AsyncIterator[bytes]:
    if isinstance(source, bytes | bytearray | memoryview):
        yield bytes(source)
    elif isinstance(source, AsyncIterable):
        async for piece in source:
            yield piece
    else:
        for piece in source:
            yield piece


async def chunks(source: PcmSource, chunk_bytes: int) -> AsyncGenerator[bytes, None]:
    """Re-cut an utterance into chunks of `chunk_bytes`; the last may be shorter.

    Raises:
        BadAudio: the utterance ends in half a sample.
    """
    held = bytearray()
    async for piece in _pieces(source):
        held += piece
        while len(held) >= chunk_bytes:
            yield bytes(held[:chunk_bytes])
            del held[:chunk_bytes]
    if len(held) % BYTES_PER_SAMPLE:
        raise BadAudio("The audio ends in half a sample: 16-bit PCM has an even number of bytes.")
    if held:
        yield bytes(held)


async def in_real_time(source: AsyncIterator[bytes], rate_hz: int) -> AsyncGenerator[bytes, None]:
    """Hand chunks on when a microphone would have: each at the end of its own sound.

    The deadlines count from the first chunk, so that late wake-ups don't add up;
    a source that is itself in real time is never held back.
    """
    loop = asyncio.get_running_loop()
    started_at_s: float | None = None
    sent_bytes = 0
    async for chunk in source:
        if started_at_s is None:
            started_at_s = loop.time()
        sent_bytes += len(chunk)
        due_at_s = started_at_s + duration_ms(sent_bytes, rate_hz) / 1000
        await asyncio.sleep(max(0.0, due_at_s - loop.time()))
        yield chunk


class Playback:
    """When a reply would be heard, were every piece played as soon as it came.

    A plain model of a player without a buffer: a piece starts when it arrives or
    when the one before has ended, whichever is later. Times in s of any one clock.
    """

    def __init__(self) -> None:
        self.first_sound_at_s: float | None = None
        """When the first audible sample sounds (leading silence doesn't count)."""
        self._ends_at_s = 0.0
        self._total_ms = 0.0

    def add(self, pcm: bytes, rate_hz: int, arrived_at_s: float) -> None:
        """One more piece of the reply has arrived."""
        starts_at_s = max(arrived_at_s, self._ends_at_s)
        length_ms = duration_ms(len(pcm), rate_hz)
        if self.first_sound_at_s is None and (sample := first_audible_sample(pcm)) is not None:
            self.first_sound_at_s = starts_at_s + sample / rate_hz
        self._ends_at_s = starts_at_s + length_ms / 1000
        self._total_ms += length_ms

    def played_ms(self, now_s: float) -> float:
        """How much has been heard by `now_s`."""
        return max(0.0, self._total_ms - max(0.0, self._ends_at_s - now_s) * 1000)
