"""What is in a WAV file, as programs write it: a plain reader of its chunks.

The standard library's `wave` reads no `WAVE_FORMAT_EXTENSIBLE` before Python 3.12, and takes what a
header says of the length at its word: ffmpeg and sox do not know it when they write into a pipe.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

_EXTENSIBLE = 0xFFFE
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
"""A format's GUID is its code and this (Microsoft, "Extensible Wave-Format Descriptors")."""
_UNKNOWN_FROM = 0x7FFF0000
"""Sizes from here on stand for "not known yet": ffmpeg writes 0xFFFFFFFF, sox 0x7FFFF000."""
_CHUNKS = frozenset(
    [b"fmt ", b"data", b"LIST", b"fact", b"bext", b"JUNK", b"PEAK", b"cue ", b"id3 "]
)
_NAME = re.compile(rb"[A-Za-z_][ -~]{3}")
"""Of any other chunk."""
_CODES = {1: "PCM", 2: "ADPCM", 3: "floating point", 6: "A-law", 7: "µ-law", 0x11: "ADPCM"}
_CODES[_EXTENSIBLE] = "an extensible format of another kind"


class NoWav(ValueError):
    """It is no WAV file; says why."""


@dataclass(frozen=True, slots=True)
class WavFile:
    """A file's sound and what it is.

    Attributes:
        coding: `PCM`, or another in words.
        bits: of a sample.
        data: the samples.
        announced_bytes: of samples; more than there are if the file was cut off.
    """

    coding: str
    channels: int
    rate_hz: int
    bits: int
    data: bytes
    announced_bytes: int


def parse_wav(content: bytes) -> WavFile:
    """Find the sound in a WAV file.

    Raises:
        NoWav: it is something else.
    """
    if content[:4] not in (b"RIFF", b"RF64", b"BW64") or content[8:12] != b"WAVE":
        raise NoWav("it does not begin as one" if len(content) >= 12 else "it ends too early")
    kind: tuple[str, int, int, int] | None = None
    found: list[bytes] = []
    announced_bytes = long_size = 0
    at = 12
    while at + 8 <= len(content):
        name, size = content[at : at + 4], struct.unpack_from("<I", content, at + 4)[0]
        start = at + 8
        if name == b"fmt " and kind is None:
            kind = _format_in(content[start : start + size])
        elif name == b"ds64" and size >= 16:  # of RF64 and BW64, for more than 4 GB
            long_size = int.from_bytes(content[start + 8 : start + 16], "little")
        elif name == b"data":
            if kind is None:
                raise NoWav("it does not say what its samples are")
            size = long_size if size >= _UNKNOWN_FROM else size
            found.append(_samples(content[start:], size))
            announced_bytes += max(size if size < _UNKNOWN_FROM else 0, len(found[-1]))
            size = len(found[-1])
        at = _next_chunk(content, start, size)
    if kind is None or not found:
        raise NoWav("there are no samples in it: it ends too early")
    return WavFile(*kind, b"".join(found), announced_bytes)


def _format_in(body: bytes) -> tuple[str, int, int, int]:
    """Coding, channels, rate and bits."""
    if len(body) < 16:
        raise NoWav("it does not say what its samples are: it ends too early")
    code, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", body)
    if code == _EXTENSIBLE and len(body) >= 40 and body[26:40] == _GUID_TAIL:
        code = struct.unpack_from("<H", body, 24)[0]
    return _CODES.get(code, f"format {code}"), channels, rate_hz, bits


def _samples(rest: bytes, size: int) -> bytes:
    is_unknown = size >= _UNKNOWN_FROM or (size == 0 and not _are_chunks(rest))
    return rest if is_unknown else rest[:size]


def _are_chunks(rest: bytes) -> bool:
    """Whether these bytes are chunks, and so no sound of a size that was not known."""
    at, known = 0, True
    while at + 8 <= len(rest):
        name, size = rest[at : at + 4], struct.unpack_from("<I", rest, at + 4)[0]
        if name not in _CHUNKS:
            known = False
            if not size or not _NAME.match(name):
                return False
        at = _next_chunk(rest, at + 8, size)
    # Four letters may be sound, but not with a size behind them that leads to the file's end.
    return at > 0 if known and rest else len(rest) <= at <= len(rest) + 1


def _next_chunk(content: bytes, start: int, size: int) -> int:
    """Where the chunk begins after one whose content begins here. One of odd size has a pad byte,
    which some programs forget."""
    end = start + size
    if size % 2 == 0 or content[end : end + 4] in _CHUNKS:
        return end
    if content[end + 1 : end + 5] in _CHUNKS:  # some write a pad byte that is a letter
        return end + 1
    return end if _NAME.match(content, end) else end + 1
