"""WAV files of 16-bit mono PCM, written, and read strictly: at a rate that the protocol knows."""

from __future__ import annotations

import io
import struct
import wave
from typing import get_args

from parley.audio import BYTES_PER_SAMPLE, sample_rate_hz
from parley.errors import ParleyError
from parley.protocol import AudioFormat


def read_wav(content: bytes) -> tuple[AudioFormat, bytes]:
    """The format and the samples of a WAV file.

    Raises:
        ParleyError: `bad_request`; it is something else, or not all of it is there.
    """
    try:
        with wave.open(io.BytesIO(content)) as file:
            channels, width, rate_hz, frames, _, _ = file.getparams()
            pcm = file.readframes(frames)
    except (wave.Error, EOFError, RuntimeError, struct.error) as problem:
        said = str(problem) or "it ends too early"
        raise _refused(f"this is no WAV file with PCM in it ({said})") from None
    if width != BYTES_PER_SAMPLE:
        raise _refused(f"expected 16-bit samples, got {8 * width}-bit")
    if channels != 1:
        raise _refused(f"expected one channel, got {channels}")
    audio_format = format_at(rate_hz, "audio")
    if len(pcm) != frames * width:
        raise _refused(
            f"its header announces {frames * width:,} bytes of samples, but {len(pcm):,} came. A "
            "program that writes WAV into a pipe does not know its length: have it write a file"
        )
    return audio_format, pcm


def write_wav(pcm: bytes, rate_hz: int) -> bytes:
    """So much PCM as a WAV file."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(BYTES_PER_SAMPLE)
        file.setframerate(rate_hz)
        file.writeframes(pcm)
    return content.getvalue()


def format_at(rate_hz: int, field: str) -> AudioFormat:
    """The format of a sample rate.

    Raises:
        ParleyError: `bad_request`; the protocol has none.
    """
    for audio_format in get_args(AudioFormat):
        if sample_rate_hz(audio_format) == rate_hz:
            found: AudioFormat = audio_format
            return found
    known = ", ".join(str(sample_rate_hz(name)) for name in get_args(AudioFormat))
    raise ParleyError(
        "bad_request", f"{field}: expected a sample rate of {known} Hz; got {rate_hz}.", field=field
    )


def _refused(why: str) -> ParleyError:
    return ParleyError("bad_request", f"audio: {why}.", field="audio")
