"""WAV files, byte by byte as programs write them."""

from __future__ import annotations

import struct

PCM, FLOAT, A_LAW, MU_LAW, IMA_ADPCM, EXTENSIBLE = 1, 3, 6, 7, 0x11, 0xFFFE
GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
"""What follows the format's code in the sub-format of `WAVE_FORMAT_EXTENSIBLE`."""
UNKNOWN = 0xFFFFFFFF
"""The size that ffmpeg writes into a pipe; sox writes 0x7FFFFFFF less its header, others 0."""


def chunk(name: bytes, content: bytes, size: int | None = None, *, pad: bool = True) -> bytes:
    """A chunk, with its pad byte.

    Args:
        size: what its header says, in place of the truth.
    """
    padding = b"\0" if pad and len(content) % 2 else b""
    said = len(content) if size is None else size
    return name + struct.pack("<I", said) + content + padding


def fmt(rate_hz: int = 16_000, *, channels: int = 1, bits: int = 16, code: int = PCM) -> bytes:
    """A plain `fmt ` chunk."""
    return chunk(b"fmt ", _fmt(rate_hz, channels, bits, code))


def _fmt(rate_hz: int, channels: int, bits: int, code: int) -> bytes:
    width = channels * ((bits + 7) // 8)
    return struct.pack("<HHIIHH", code, channels, rate_hz, rate_hz * width, width, bits)


def extensible(
    rate_hz: int = 16_000,
    *,
    channels: int = 1,
    bits: int = 16,
    valid_bits: int | None = None,
    code: int = PCM,
    tail: bytes = GUID_TAIL,
) -> bytes:
    """A `fmt ` chunk of `WAVE_FORMAT_EXTENSIBLE`."""
    valid = bits if valid_bits is None else valid_bits
    extension = struct.pack("<HHI", 22, valid, 4) + struct.pack("<H", code) + tail
    return chunk(b"fmt ", _fmt(rate_hz, channels, bits, EXTENSIBLE) + extension)


def riff(*chunks: bytes, size: int | None = None, form: bytes = b"WAVE") -> bytes:
    """A file of these chunks.

    Args:
        size: what its header says, in place of the truth.
    """
    content = form + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(content) if size is None else size) + content


LIST = chunk(b"LIST", b"INFOISFT" + struct.pack("<I", 14) + b"Lavf59.27.100\0")
"""As ffmpeg writes it."""
FACT = chunk(b"fact", struct.pack("<I", 2))
BEXT = chunk(b"bext", bytes(603))
"""Broadcast Wave's; 602 bytes and the coding history, of odd length."""
JUNK = chunk(b"JUNK", bytes(28))
ODD = chunk(b"odd ", b"abc")

AMBISONIC_TAIL = bytes.fromhex("000021072d118644c8c1ca000000")
"""Of another GUID, `AMBISONIC_B_FORMAT_PCM`."""


def long_form(name: bytes, *chunks: bytes, samples: int) -> bytes:
    """A file of the form for more than 4 GB, whose sizes are in `ds64`."""
    sizes = chunk(b"ds64", struct.pack("<QQQI", 80, samples, samples // 2, 0))
    return name + struct.pack("<I", UNKNOWN) + b"WAVE" + sizes + b"".join(chunks)


SAMPLES = struct.pack("<4h", 1, -2, 32767, -32768)
DATA = chunk(b"data", SAMPLES)

SMPL, AXML = chunk(b"smpl", bytes(36)), chunk(b"axml", b"<ebuCoreMain/>")

WELL: list[tuple[str, bytes]] = [
    ("plain", riff(fmt(), DATA)),
    ("ffmpeg into a file", riff(fmt(), LIST, DATA)),
    ("ffmpeg into a pipe",
     riff(fmt(), LIST, chunk(b"data", SAMPLES, UNKNOWN), size=UNKNOWN)),
    ("sox into a pipe",
     riff(fmt(), chunk(b"data", SAMPLES, 0x7FFFFFFF - 36), size=0x7FFFFFFF)),
    ("sizes of 0", riff(fmt(), chunk(b"data", SAMPLES, 0), size=0)),
    ("a data size of 0 alone", riff(fmt(), chunk(b"data", SAMPLES, 0))),
    ("sizes less the header, of 0",
     riff(fmt(), chunk(b"data", SAMPLES, 0xFFFFFFD7), size=0xFFFFFFFB)),
    ("a data size of 2 GB", riff(fmt(), chunk(b"data", SAMPLES, 0x80000000), size=0x80000024)),
    ("a data size of 0x7FFFF000", riff(fmt(), chunk(b"data", SAMPLES, 0x7FFFF000), size=0)),
    ("a RIFF size of 0", riff(fmt(), DATA, size=0)),
    ("a RIFF size too small", riff(fmt(), DATA, size=36)),
    ("a RIFF size too large", riff(fmt(), DATA, size=1_000_000)),
    ("extensible", riff(extensible(), FACT, DATA)),
    ("extensible, in a pipe", riff(extensible(), chunk(b"data", SAMPLES, UNKNOWN), size=UNKNOWN)),
    ("extensible, valid bits of 0", riff(extensible(valid_bits=0), DATA)),
    ("18 bytes of format", riff(chunk(b"fmt ", _fmt(16_000, 1, 16, PCM) + b"\0\0"), DATA)),
    ("a fact", riff(fmt(), FACT, DATA)),
    ("notes before the format", riff(BEXT, JUNK, fmt(), DATA)),
    ("an odd chunk before", riff(fmt(), ODD, DATA)),
    ("an odd chunk before, without its pad", riff(fmt(), chunk(b"odd ", b"abc", pad=False), DATA)),
    ("notes after the data", riff(fmt(), DATA, LIST, ODD)),
    ("a last chunk that is cut off", riff(fmt(), DATA, LIST[:13])),
    ("half a header at the end", riff(fmt(), DATA, b"LIS")),
    ("bytes after the end", riff(fmt(), DATA) + b"ID3\x03\0\0\0\0\0\0"),
    ("an average rate that is wrong",
     riff(chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 16_000, 7, 2, 16)), DATA)),
    ("RF64", b"RF64" + struct.pack("<I", UNKNOWN) + b"WAVE"
     + chunk(b"ds64", struct.pack("<QQQI", 80, len(SAMPLES), 4, 0)) + fmt()
     + chunk(b"data", SAMPLES, UNKNOWN)),
    ("RF64, a chunk behind its samples",
     long_form(b"RF64", fmt(), chunk(b"data", SAMPLES, UNKNOWN), LIST, samples=len(SAMPLES))),
    ("RF64 of unknown length",
     long_form(b"RF64", fmt(), chunk(b"data", SAMPLES, UNKNOWN), samples=0)),
    ("BW64", long_form(b"BW64", fmt(), chunk(b"data", SAMPLES, UNKNOWN), samples=len(SAMPLES))),
    ("BW64, a chunk behind its samples",
     long_form(b"BW64", fmt(), chunk(b"data", SAMPLES, UNKNOWN), AXML, samples=len(SAMPLES))),
    ("BW64 with plain sizes", b"BW64" + riff(JUNK, fmt(), DATA, AXML)[4:]),
    ("two data chunks",
     riff(fmt(), chunk(b"data", SAMPLES[:4]), LIST, chunk(b"data", SAMPLES[4:]))),
    ("an empty data chunk first", riff(fmt(), chunk(b"data", b""), LIST, DATA)),
    ("an empty data chunk directly before", riff(fmt(), chunk(b"data", b""), DATA)),
    ("an empty data chunk last", riff(fmt(), DATA, chunk(b"data", b""))),
    ("two odd chunks without their pads",
     riff(fmt(), chunk(b"odd ", b"abc", pad=False), chunk(b"aXML", b"abc", pad=False), DATA)),
    ("an odd chunk without its pad before another name",
     riff(fmt(), chunk(b"LIST", b"abc", pad=False), SMPL, DATA)),
    ("an odd chunk with a pad byte that is not 0", riff(fmt(), chunk(b"odd ", b"abc", pad=False),
                                                        b"x", DATA)),
]  # fmt: skip
"""All of them hold `SAMPLES`, at 16 kHz."""

EMPTY: list[tuple[str, bytes]] = [
    *(
        (f"{names} of {len(content)}",
         riff(fmt(), chunk(b"data", b""), *[chunk(name, content) for name in names]))
        for names in ([b"smpl"], [b"iXML"], [b"afsp"], [b"LIST", b"smpl"], [b"smpl", b"LIST"])
        for content in (b"abc", b"abcd" * 9)
    ),
    ("two empty data chunks", riff(fmt(), chunk(b"data", b""), chunk(b"data", b""))),
]  # fmt: skip
"""None of them holds a sample: other chunks come behind."""
