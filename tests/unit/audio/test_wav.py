"""WAV files: what is read, and what is refused with which words."""

from __future__ import annotations

import contextlib
import re
import struct
import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from parley.audio.wav import read_wav
from parley.errors import ParleyError
from tests.e2e.http_api import wav
from tests.quickest import quickest
from tests.wav_files import (
    A_LAW,
    AMBISONIC_TAIL,
    DATA,
    EMPTY,
    FLOAT,
    IMA_ADPCM,
    LIST,
    MU_LAW,
    SAMPLES,
    UNKNOWN,
    WELL,
    chunk,
    extensible,
    fmt,
    riff,
)

RATES = [8_000, 16_000, 22_050, 24_000, 44_100, 48_000]


@given(st.binary(max_size=200), st.sampled_from(RATES))
def test_what_was_written_is_read(content: bytes, rate_hz: int) -> None:
    pcm = content[: len(content) // 2 * 2]
    assert read_wav(wav(pcm, rate_hz)) == (f"pcm_{rate_hz}", pcm)


def test_other_chunks_are_passed_over() -> None:
    file = wav(b"abcd")
    note = b"LIST" + struct.pack("<I", 6) + b"a note"
    size = struct.pack("<I", len(file) - 8 + len(note))
    assert read_wav(b"RIFF" + size + file[8:12] + note + file[12:]) == ("pcm_16000", b"abcd")


@pytest.mark.parametrize("file", [file for _, file in WELL], ids=[name for name, _ in WELL])
def test_what_programs_write_is_read(file: bytes) -> None:
    assert read_wav(file) == ("pcm_16000", SAMPLES)


@given(st.binary(max_size=200), st.sampled_from([0, UNKNOWN, 0x7FFFF000]), st.sampled_from(RATES))
def test_a_size_that_was_not_known_loses_nothing(content: bytes, size: int, rate_hz: int) -> None:
    pcm = content[: len(content) // 2 * 2]
    assume(not re.match(rb"[ -~]{4}", pcm))  # the name of a chunk
    file = riff(fmt(rate_hz), LIST, chunk(b"data", pcm, size), size=size)
    assert read_wav(file) == (f"pcm_{rate_hz}", pcm)


def test_a_stream_that_was_cut_within_a_sample_loses_half_of_it() -> None:
    file = riff(fmt(), chunk(b"data", SAMPLES + b"x", UNKNOWN, pad=False))
    assert read_wav(file) == ("pcm_16000", SAMPLES)


def test_an_empty_recording_with_a_note_behind_it_is_empty() -> None:
    assert read_wav(riff(fmt(), chunk(b"data", b""), LIST)) == ("pcm_16000", b"")


@pytest.mark.parametrize("file", [file for _, file in EMPTY], ids=[name for name, _ in EMPTY])
def test_a_chunk_behind_no_samples_is_no_sound(file: bytes) -> None:
    assert read_wav(file) == ("pcm_16000", b"")


REFUSED: list[tuple[str, bytes, str]] = [
    ("8 bits", riff(fmt(bits=8), DATA), "16-bit samples, got 8-bit"),
    ("24 bits", riff(extensible(bits=24), DATA), "16-bit samples, got 24-bit"),
    ("32 bits", riff(fmt(bits=32), DATA), "16-bit samples, got 32-bit"),
    ("floating point", riff(fmt(bits=32, code=FLOAT), DATA), "but floating point"),
    ("extensible floats", riff(extensible(bits=32, code=FLOAT), DATA), "but floating point"),
    ("A-law", riff(fmt(bits=8, code=A_LAW), DATA), "but A-law"),
    ("µ-law", riff(fmt(bits=8, code=MU_LAW), DATA), "but µ-law"),
    ("ADPCM", riff(fmt(bits=4, code=IMA_ADPCM), DATA), "but ADPCM"),
    ("something else", riff(fmt(code=0x1234), DATA), "but format 4660"),
    ("stereo", riff(fmt(channels=2), DATA), "one channel, got 2"),
    ("extensible stereo", riff(extensible(channels=2), DATA), "one channel, got 2"),
    ("another rate", riff(fmt(11_025), DATA), "got 11025"),
    ("no samples", riff(fmt(), LIST), "no samples in it"),
    ("no format", riff(DATA), "before it says what they are"),
    ("half a format", riff(chunk(b"fmt ", bytes(12)), DATA), "does not say what its samples are"),
    ("half the samples", riff(fmt(), chunk(b"data", SAMPLES, 800)), "800 bytes of samples, but 8"),
    ("another form", riff(fmt(), DATA, form=b"AVI "), "no WAV file"),
    ("big-endian", b"RIFX" + riff(fmt(), DATA)[4:], "no WAV file"),
    ("big-endian, by name", b"RIFX" + riff(fmt(), DATA)[4:], "no WAV file, but RIFX"),
    ("AVI", riff(fmt(), DATA, form=b"AVI "), "no WAV file, but AVI"),
    ("Wave64", bytes.fromhex("726966662e91cf11a5d628db04c10000") + bytes(60), "but Wave64"),
    ("AU", b".snd" + bytes(60), "no WAV file, but AU"),
    ("CAF", b"caff" + bytes(60), "no WAV file, but CAF"),
    ("AMR", b"#!AMR\n" + bytes(60), "no WAV file, but AMR"),
    ("AIFF", b"FORM" + bytes(60), "no WAV file, but AIFF"),
    ("AAC", b"\xff\xf1\x50\x80" + bytes(60), "no WAV file, but AAC"),
    ("AAC of MPEG-2", b"\xff\xf9\x50\x80" + bytes(60), "no WAV file, but AAC"),
    ("bare MP3", b"\xff\xfb\x90\x64" + bytes(60), "no WAV file, but MP3"),
    ("bare MP3 with a checksum", b"\xff\xf3\x48\xc4" + bytes(60), "no WAV file, but MP3"),
    ("bare samples", b"\xff\xff\xff\xff" + bytes(60), "this is no WAV file. Taken"),
    ("another GUID", riff(extensible(tail=AMBISONIC_TAIL), DATA), "extensible format of another"),
    ("half of a second data chunk", riff(fmt(), DATA, chunk(b"data", SAMPLES, 800)),
     "800 bytes of samples, but 8"),
    ("MP3", b"ID3\x04" + bytes(60), "no WAV file, but MP3"),
    ("Ogg", b"OggS" + bytes(60), "no WAV file, but Ogg"),
    ("FLAC", b"fLaC" + bytes(60), "no WAV file, but FLAC"),
    ("WebM", b"\x1aE\xdf\xa3" + bytes(60), "no WAV file, but WebM"),
    ("MP4", b"\0\0\0 ftypM4A " + bytes(60), "no WAV file, but MP4"),
    ("half a header", b"RIFF\0\0", "it ends too early"),
]  # fmt: skip


OF_ITS_STRUCTURE = {
    *("no samples in it", "before it says what they are", "does not say what its samples are"),
    *("800 bytes of samples, but 8", "got 11025"),
}


@pytest.mark.parametrize(
    ("file", "said"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_what_is_not_taken_is_named_with_what_is(file: bytes, said: str) -> None:
    with pytest.raises(ParleyError, match=said) as refused:
        read_wav(file)
    assert refused.value.field == "audio"
    names_what_is_taken = "Taken are WAV files of 16-bit PCM in one channel, at 8000"
    assert (names_what_is_taken in str(refused.value)) == (said not in OF_ITS_STRUCTURE)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (b"", "it ends too early"),
        (b"ID3 and so on, an MP3", "no WAV file"),
        (wav(b"ab")[:20] + b"\x03\x00" + wav(b"ab")[22:], "no WAV file"),
        (wav(b"ab" * 4, channels=2), "one channel, got 2"),
        (wav(b"abc" * 4, width=3), "16-bit samples, got 24-bit"),
        (wav(b"ab", 11_025), "16000, 22050, 24000, 44100, 48000 Hz; got 11025"),
        (wav(b"ab" * 9)[:-4], "announces 18 bytes of samples, but 14 came"),
    ],
)
def test_what_is_wrong_is_named(file: bytes, said: str) -> None:
    with pytest.raises(ParleyError, match=said) as refused:
        read_wav(file)
    assert (refused.value.code, refused.value.field) == ("bad_request", "audio")


MB = 1024 * 1024
NO_SOUND = {name: chunk(name, b"") for name in (b"junk", b"LIST", b"fmt ", b"ds64", b"\0\0\0\0")}


@pytest.mark.parametrize("name", NO_SOUND, ids=str)
async def test_a_file_of_nothing_but_empty_chunks_is_refused_at_once(name: bytes) -> None:
    empty = riff(fmt(16_000), *[NO_SOUND[name]] * (4 * MB // 8 - 10))
    nothing = riff(fmt(16_000), chunk(b"data", b""), *[NO_SOUND[b"LIST"]] * (4 * MB // 8 - 10))
    for file in (empty, nothing):

        async def took_s(file: bytes = file) -> float:
            began_s = time.process_time()
            with pytest.raises(ParleyError, match=r"more than 1,000 chunks\."):
                read_wav(file)
            return time.process_time() - began_s

        assert await quickest(took_s, 0.02) < 0.02


def test_so_many_chunks_as_programs_write_are_read() -> None:
    notes = [chunk(b"LIST", b"a note")] * 900
    assert read_wav(riff(fmt(16_000), *notes, chunk(b"data", b"abcd")))[1] == b"abcd"
    assert read_wav(riff(fmt(16_000), chunk(b"data", b""), *notes))[1] == b""


@given(st.binary(max_size=120), st.integers(0, 60), st.binary(max_size=8))
def test_nothing_else_is_raised_whatever_comes(pcm: bytes, at: int, noise: bytes) -> None:
    file = wav(pcm[: len(pcm) // 2 * 2])
    with contextlib.suppress(ParleyError):
        read_wav(file[:at] + noise + file[at + len(noise) :])
