"""WAV as servers stream it: sizes that nobody knows, other chunks, other samples."""

from __future__ import annotations

import array
import struct

import pytest

from parley.audio.wav import write_wav
from parley.audio.wav_stream import MAX_HEADER_BYTES, CutOffWav, UnreadableWav, WavStream

PCM = array.array("h", range(-3_000, 3_000, 7)).tobytes()


def chunk(name: bytes, body: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(body) if size is None else size) + body


def header(
    code: int = 1,
    bits: int = 16,
    channels: int = 1,
    rate_hz: int = 22_050,
    *,
    more: bytes = b"",
    size: int = 0xFFFFFFFF,
    magic: bytes = b"RIFF",
) -> bytes:
    frame = channels * bits // 8
    fmt = struct.pack("<HHIIHH", code, channels, rate_hz, rate_hz * frame, frame, bits)
    start = magic + b"\xff\xff\xff\xffWAVE" + chunk(b"fmt ", fmt)
    return start + more + b"data" + struct.pack("<I", size)


def read(content: bytes, piece: int = 37) -> tuple[int, bytes]:
    wav = WavStream()
    sound = b"".join(wav.feed(content[at : at + piece]) for at in range(0, len(content), piece))
    return wav.rate_hz, sound + wav.close()


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFF, len(PCM)])
@pytest.mark.parametrize("piece", [1, 44, 100_000])
def test_the_sound_goes_to_the_end_where_its_size_is_unknown(size: int, piece: int) -> None:
    assert read(header(size=size) + PCM, piece) == (22_050, PCM)


@pytest.mark.parametrize(
    "more",
    [
        chunk(b"LIST", b"INFOISFT\x0e\x00\x00\x00Lavf62.12.102\x00"),
        chunk(b"junk", b"odd") + b"\x00",
        chunk(b"fact", b"\x00\x00\x00\x00") + chunk(b"PEAK", bytes(16)),
    ],
)
def test_chunks_before_the_sound_are_passed_over(more: bytes) -> None:
    assert read(header(more=more) + PCM) == (22_050, PCM)


def test_chunks_after_the_sound_are_no_sound() -> None:
    assert read(header(size=len(PCM)) + PCM + chunk(b"LIST", b"INFO")) == (22_050, PCM)


def test_a_file_is_read_too() -> None:
    assert read(write_wav(PCM, 24_000)) == (24_000, PCM)


@pytest.mark.parametrize("magic", [b"RF64", b"BW64"])
def test_files_of_more_than_4_gb_are_streams_too(magic: bytes) -> None:
    more = chunk(b"ds64", bytes(28))
    assert read(header(magic=magic, more=more) + PCM) == (22_050, PCM)


@pytest.mark.parametrize("piece", [1, 37, 100_000])
def test_a_header_that_comes_again_is_no_sound(piece: int) -> None:
    begin = header(more=chunk(b"LIST", b"INFOISFT\x0e\x00\x00\x00Lavf62.12.102\x00"))
    again = bytearray(len(begin))
    struct.pack_into("<I", again, 4, len(begin) + len(PCM) - 8)
    struct.pack_into("<I", again, len(begin) - 4, len(PCM))
    assert read(begin + PCM + again, piece) == (22_050, PCM)


def test_silence_at_the_end_stays() -> None:
    assert read(header() + PCM + bytes(400)) == (22_050, PCM + bytes(400))


def test_sound_shorter_than_the_header_stays() -> None:
    assert read(header() + b"\x01\x02") == (22_050, b"\x01\x02")


def samples(pcm: bytes) -> list[int]:
    return list(array.array("h", pcm))


@pytest.mark.parametrize(
    ("code", "bits", "raw"),
    [
        (1, 8, bytes([0, 128, 192])),
        (1, 24, b"\xff\x00\x80\x00\x00\x00\x12\x00\x40"),
        (1, 32, struct.pack("<iii", -(2**31), 0, 2**30)),
        (3, 32, struct.pack("<fff", -1.0, 0.0, 0.5)),
        (3, 64, struct.pack("<ddd", -1.0, 0.0, 0.5)),
    ],
)
def test_samples_of_other_kinds_become_16_bits(code: int, bits: int, raw: bytes) -> None:
    assert samples(read(header(code, bits) + raw, 5)[1]) == [-32_768, 0, 16_384]


def test_float_beyond_its_range_is_clipped() -> None:
    raw = struct.pack("<ff", -3.0, 1.0)
    assert samples(read(header(3, 32) + raw)[1]) == [-32_768, 32_767]


def test_channels_are_mixed() -> None:
    raw = struct.pack("<hhhh", 100, 300, -100, -300)
    assert samples(read(header(channels=2) + raw, 3)[1]) == [200, -200]


def test_an_extensible_format_is_what_its_guid_says() -> None:
    fmt = struct.pack("<HHIIHH", 0xFFFE, 1, 16_000, 32_000, 2, 16)
    fmt += struct.pack("<HHIH", 22, 16, 4, 1) + bytes(14)
    content = b"RIFF\0\0\0\0WAVE" + chunk(b"fmt ", fmt) + chunk(b"data", PCM)
    assert read(content) == (16_000, PCM)


@pytest.mark.parametrize(
    "content",
    [
        b"<html>this is no sound at all</html>",
        b"RIFF\0\0\0\0AVI " + bytes(40),
        b"RIFF\0\0\0\0WAVE" + chunk(b"data", PCM),
        header(code=2) + PCM,
        header(bits=12) + PCM,
        header(channels=0) + PCM,
        header(rate_hz=0) + PCM,
        b"RIFF\0\0\0\0WAVE" + chunk(b"fmt ", b"short") + chunk(b"data", PCM),
        b"RIFF\0\0\0\0WAVE" + chunk(b"LIST", b"", MAX_HEADER_BYTES),
    ],
)
def test_what_cannot_be_read_says_so(content: bytes) -> None:
    with pytest.raises(UnreadableWav):
        read(content, 1_000)


@pytest.mark.parametrize("content", [b"", b"RIFF", header()[:30], header(size=len(PCM)) + PCM[:-2]])
def test_what_ends_too_early_says_so(content: bytes) -> None:
    with pytest.raises(CutOffWav):
        read(content)
