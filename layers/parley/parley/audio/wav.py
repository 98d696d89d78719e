"""WAV files of 16-bit mono PCM, written, and read as programs write them.

Programs that write into a pipe do not know how long the sound will be, and say 0, or a size that
no file has; others add chunks before and after, or forget a pad byte. What is in the file counts,
not what its headers say of its length.
"""

from __future__ import annotations

import io
import re
import struct
import wave
from dataclasses import dataclass
from typing import get_args

from parley.audio.pcm import BYTES_PER_SAMPLE, sample_rate_hz
from parley.errors import ParleyError
from parley.protocol.messages import AudioFormat

_PCM = 1
_EXTENSIBLE = 0xFFFE
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
"""A format's GUID is its code and this (Microsoft, "Extensible Wave-Format Descriptors")."""
_SMALLEST = 12
_UNKNOWN_FROM = 0x7FFF0000
"""Sizes from here on stand for "not known yet": ffmpeg writes 0xFFFFFFFF, sox 0x7FFFF000. A
request's body is much smaller."""
_CHUNKS = frozenset(
    [b"fmt ", b"data", b"LIST", b"fact", b"bext", b"JUNK", b"PEAK", b"cue ", b"id3 "]
)
_MAX_CHUNKS = 1_000
"""More than any program writes. Each takes time to pass over, and a body has room for half a
million."""
_NAME = re.compile(rb"[A-Za-z_][ -~]{3}")
"""Of any other chunk."""
_CODES = {2: "ADPCM", 3: "floating point", 6: "A-law", 7: "µ-law", 0x11: "ADPCM", 0x55: "MP3"}
_CODES[_EXTENSIBLE] = "an extensible format of another kind"


@dataclass(frozen=True, slots=True)
class _Format:
    code: int
    channels: int
    rate_hz: int
    bits: int


def read_wav(content: bytes) -> tuple[AudioFormat, bytes]:
    """The format and the samples of a WAV file.

    Raises:
        ParleyError: `bad_request`; it is something else, or not all of it is there.
    """
    kind, data = _find_data(content)
    if kind.code != _PCM:
        what = _CODES.get(kind.code, f"format {kind.code}")
        raise _refused(f"this is no WAV file with PCM in it, but {what}. {_TAKEN}")
    if kind.bits != 8 * BYTES_PER_SAMPLE:
        raise _refused(f"expected 16-bit samples, got {kind.bits}-bit. {_TAKEN}")
    if kind.channels != 1:
        raise _refused(f"expected one channel, got {kind.channels}. {_TAKEN}")
    audio_format = format_at(kind.rate_hz, "audio")
    return audio_format, data[: len(data) // BYTES_PER_SAMPLE * BYTES_PER_SAMPLE]


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
    raise ParleyError(
        "bad_request",
        f"{field}: expected a sample rate of {_RATES} Hz; got {rate_hz}.",
        field=field,
    )


def _find_data(content: bytes) -> tuple[_Format, bytes]:
    """The format and the bytes of a file's sound, which may be in several chunks."""
    if content[:4] not in (b"RIFF", b"RF64", b"BW64") or content[8:12] != b"WAVE":
        raise _refused(f"this is no WAV file{_what_it_is(content)}. {_TAKEN}")
    kind: _Format | None = None
    found: list[bytes] = []
    long_size = 0
    at, passed = 12, 0
    while at + 8 <= len(content):
        passed = _passed(passed)
        name, size = content[at : at + 4], struct.unpack_from("<I", content, at + 4)[0]
        body = content[at + 8 : at + 8 + size]
        if name == b"fmt ":
            kind = kind or _format_in(body)
        elif name == b"ds64" and len(body) >= 16:  # of RF64 and BW64, for more than 4 GB
            long_size = struct.unpack_from("<Q", body, 8)[0]
        elif name == b"data":
            if kind is None:
                raise _refused("this WAV file has samples before it says what they are")
            size = long_size if size >= _UNKNOWN_FROM else size
            found.append(_samples(content[at + 8 :], size))
            size = len(found[-1])
        at = _next_chunk(content, at + 8, size)
    if kind is None or not found:
        raise _refused("this WAV file has no samples in it: it ends too early")
    return kind, b"".join(found)


def _format_in(body: bytes) -> _Format:
    if len(body) < 16:
        raise _refused("this WAV file does not say what its samples are: it ends too early")
    code, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", body)
    if code == _EXTENSIBLE and len(body) >= 40 and body[26:40] == _GUID_TAIL:
        code = struct.unpack_from("<H", body, 24)[0]
    return _Format(code, channels, rate_hz, bits)


def _samples(rest: bytes, size: int) -> bytes:
    """The samples at the start of what follows a data chunk's header.

    Args:
        size: what it says of their length.
    """
    if size >= _UNKNOWN_FROM or (size == 0 and not _are_chunks(rest)):
        return rest
    if size > len(rest):
        raise _refused(
            f"its header announces {size:,} bytes of samples, but {len(rest):,} came: it was cut "
            "off on its way"
        )
    return rest[:size]


def _are_chunks(rest: bytes) -> bool:
    """Whether these bytes are chunks, and so no sound of a size that was not known."""
    at, known, passed = 0, True, 0
    while at + 8 <= len(rest):
        passed = _passed(passed)
        name, size = rest[at : at + 4], struct.unpack_from("<I", rest, at + 4)[0]
        if name not in _CHUNKS:
            known = False
            if not size or not _NAME.match(name):
                return False
        at = _next_chunk(rest, at + 8, size)
    # Four letters may be sound, but not with a size behind them that leads to the file's end.
    return at > 0 if known and rest else len(rest) <= at <= len(rest) + 1


def _passed(chunks: int) -> int:
    """One chunk more."""
    if chunks == _MAX_CHUNKS:
        raise _refused(f"this WAV file has more than {_MAX_CHUNKS:,} chunks")
    return chunks + 1


def _next_chunk(content: bytes, start: int, size: int) -> int:
    """Where the chunk begins after one whose content begins here. One of odd size has a pad byte,
    which some programs forget."""
    end = start + size
    if size % 2 == 0 or content[end : end + 4] in _CHUNKS:
        return end
    if content[end + 1 : end + 5] in _CHUNKS:  # some write a pad byte that is a letter
        return end + 1
    return end if _NAME.match(content, end) else end + 1


def _what_it_is(content: bytes) -> str:
    for magic, name in _OTHERS.items():
        if re.match(magic, content, re.DOTALL):
            return f", but {name}"
    return "" if len(content) >= _SMALLEST else ": it ends too early"


_OTHERS = {
    rb"ID3": "MP3",
    rb"OggS": "Ogg",
    rb"fLaC": "FLAC",
    rb"\x1aE\xdf\xa3": "WebM",
    rb"FORM": "AIFF",
    rb"....ftyp": "MP4",
    rb"RIFF....AVI ": "AVI",
    rb"RIFX": "RIFX, its big-endian form",
    rb"riff\x2e\x91\xcf\x11": "Wave64",
    rb"\.snd": "AU",
    rb"caff": "CAF",
    rb"#!AMR": "AMR",
    rb"ADIF|\xff[\xf0\xf1\xf8\xf9]": "AAC",
    # An MPEG frame without a tag before it: layer III, and a bit rate and a sample rate that exist.
    rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb][\x10-\xeb]": "MP3",
}
"""How other files begin."""


def _refused(why: str) -> ParleyError:
    return ParleyError("bad_request", f"audio: {why}.", field="audio")


_RATES = ", ".join(str(sample_rate_hz(name)) for name in get_args(AudioFormat))
_TAKEN = f"Taken are WAV files of 16-bit PCM in one channel, at {_RATES} Hz"
