"""WAV files: what is read, and what is refused with which words."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.errors import ParleyError
from parley.wav import read_wav
from tests.e2e.http_api import wav

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


@given(st.binary(max_size=120), st.integers(0, 60), st.binary(max_size=8))
def test_nothing_else_is_raised_whatever_comes(pcm: bytes, at: int, noise: bytes) -> None:
    file = wav(pcm[: len(pcm) // 2 * 2])
    with contextlib.suppress(ParleyError):
        read_wav(file[:at] + noise + file[at + len(noise) :])
