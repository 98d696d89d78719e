"""WAV files of 16-bit mono PCM: written, and read as programs write them.

A program that writes into a pipe does not know how long the sound will be, and writes 0 or an
impossible size. Others add chunks before and after the sound, or omit a pad byte. So the content
counts, not what the headers say of its length.
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
"""The end of a format's GUID; the format's code is its beginning (Microsoft, "Extensible
Wave-Format Descriptors")."""
_SMALLEST = 12
_UNKNOWN_FROM = 0x7FFF0000
"""Sizes from here on mean "not known yet": ffmpeg writes 0xFFFFFFFF, sox 0x7FFFF000. A request's
body is much smaller."""
_CHUNKS = frozenset(
    [b"fmt ", b"data", b"LIST", b"fact", b"bext", b"JUNK", b"PEAK", b"cue ", b"id3 "]
)
_MAX_CHUNKS = 1_000
"""More chunks than any program writes. Each takes time to skip, and a body has room for half a
million."""
_NAME = re.compile(rb"[A-Za-z_][ -~]{3}")
"""The name of a chunk that is not in `_CHUNKS`."""
_CODES = {2: "ADPCM", 3: "floating point", 6: "A-law", 7: "µ-law", 0x11: "ADPCM", 0x55: "MP3"}
_CODES[_EXTENSIBLE] = "an extensible format of another kind"


@dataclass(frozen=True, slots=True)
class _Format:
    code: int
    channels: int
    rate_hz: int
    bits: int


def read_wav(content: bytes) -> tuple[AudioFormat, bytes]:
    """Return the format and the samples of a WAV file.

    Raises:
        ParleyError: `bad_request`; the content is not such a file, or is not complete.
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
    """Return PCM as a WAV file."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(BYTES_PER_SAMPLE)
        file.setframerate(rate_hz)
        file.writeframes(pcm)
    return content.getvalue()


def format_at(rate_hz: int, field: str) -> AudioFormat:
    """Return the protocol's format of a sample rate.

    Args:
        field: the field that an error names.

    Raises:
        ParleyError: `bad_request`; the protocol has no such format.
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
    """Return the format and the bytes of a file's sound, which may be in several chunks."""
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
        elif name == b"ds64" and len(body) >= 16:  # in RF64 and BW64: the sizes beyond 4 GB
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
    """Return the samples at the start of `rest`, which follows the header of a data chunk.

    Args:
        size: the length of the samples, as the header says it.
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
    """Return whether these bytes are chunks, and not sound whose size was unknown."""
    at, known, passed = 0, True, 0
    while at + 8 <= len(rest):
        passed = _passed(passed)
        name, size = rest[at : at + 4], struct.unpack_from("<I", rest, at + 4)[0]
        if name not in _CHUNKS:
            known = False
            if not size or not _NAME.match(name):
                return False
        at = _next_chunk(rest, at + 8, size)
    # Sound may look like a name, but hardly with a size behind it that leads to the file's end.
    return at > 0 if known and rest else len(rest) <= at <= len(rest) + 1


def _passed(chunks: int) -> int:
    """Count a chunk, and refuse one too many."""
    if chunks == _MAX_CHUNKS:
        raise _refused(f"this WAV file has more than {_MAX_CHUNKS:,} chunks")
    return chunks + 1


def _next_chunk(content: bytes, start: int, size: int) -> int:
    """Return where the chunk after the one whose content begins at `start` begins.

    A chunk of odd size has a pad byte, which some programs omit.
    """
    end = start + size
    if size % 2 == 0 or content[end : end + 4] in _CHUNKS:
        return end
    if content[end + 1 : end + 5] in _CHUNKS:  # some programs write a letter as the pad byte
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
    # An MPEG frame without a tag in front: layer III, with a valid bit rate and sample rate.
    rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb][\x10-\xeb]": "MP3",
}
"""Patterns of how files of other formats begin."""


def _refused(why: str) -> ParleyError:
    return ParleyError("bad_request", f"audio: {why}.", field="audio")


_RATES = ", ".join(str(sample_rate_hz(name)) for name in get_args(AudioFormat))
_TAKEN = f"Taken are WAV files of 16-bit PCM in one channel, at {_RATES} Hz"
