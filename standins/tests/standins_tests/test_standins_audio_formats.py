"""Every format of the stand-in for ElevenLabs is what its name says, the same every time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley_standins.audio_formats import (
    CONVERT_FORMATS,
    HTTP_FORMATS,
    SOCKET_FORMATS,
    AudioFormat,
    Samples,
    StreamResampler,
    encoder,
    from_wav,
    resample,
    to_pcm,
    wav,
)

SECONDS = 2
RATES_HZ = (8000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
BITRATES = {
    "MPEG-1": (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    "MPEG-2": (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Kbit/s of layer III by the four bits of a frame's header (ISO/IEC 11172-3 and 13818-3)."""
MPEG_RATES_HZ = {"MPEG-1": (44_100, 48_000, 32_000), "MPEG-2": (22_050, 24_000, 16_000)}


def tone(rate_hz: int) -> Samples:
    """Two seconds that are neither silence nor too loud."""
    at = np.arange(rate_hz * SECONDS) / rate_hz
    return (9000 * np.sin(2 * np.pi * 440 * at)).astype(np.int16)


def mp3_frames(data: bytes) -> Iterator[tuple[int, int, int, bool]]:
    """Rate, kbit/s, samples and whether it is mono, of every frame as its header says."""
    at = 0
    while at + 4 <= len(data):
        assert data[at] == 0xFF
        assert data[at + 1] & 0xE6 == 0xE2, "layer III"
        version = "MPEG-1" if data[at + 1] & 0x18 == 0x18 else "MPEG-2"
        rate_hz = MPEG_RATES_HZ[version][data[at + 2] >> 2 & 3]
        kbps = BITRATES[version][data[at + 2] >> 4]
        samples = 1152 if version == "MPEG-1" else 576
        yield rate_hz, kbps, samples, data[at + 3] >> 6 == 3
        at += samples // 8 * kbps * 1000 // rate_hz + (data[at + 2] >> 1 & 1)


@pytest.mark.parametrize("name", [*CONVERT_FORMATS])
def test_a_format_is_what_its_name_says(name: str) -> None:
    codec, rate, *kbps = name.split("_")
    audio_format = AudioFormat.parse(name, CONVERT_FORMATS)
    made = encoder(audio_format)
    pieces = np.array_split(tone(audio_format.rate_hz), 7)
    data = b"".join(made.encode(piece) for piece in pieces) + made.finish()
    rate_hz = int(rate)
    if codec == "mp3":
        frames = list(mp3_frames(data))
        assert {frame[:2] for frame in frames} == {(rate_hz, int(kbps[0]))}
        assert all(mono for *_, mono in frames)
        seconds = sum(samples for _, _, samples, _ in frames) / rate_hz
        assert seconds == pytest.approx(SECONDS, abs=0.15)
    elif codec == "wav":
        samples, found_hz = from_wav(wav(data, rate_hz))
        assert (found_hz, samples.size) == (rate_hz, rate_hz * SECONDS)
    else:
        width = 2 if codec == "pcm" else 1
        assert len(data) == rate_hz * SECONDS * width


def test_no_list_of_formats_has_one_that_is_not_tried() -> None:
    assert set(HTTP_FORMATS) | set(SOCKET_FORMATS) <= set(CONVERT_FORMATS)


@pytest.mark.parametrize("from_hz", RATES_HZ)
@pytest.mark.parametrize("to_hz", RATES_HZ)
def test_silence_stays_silence_and_results_are_the_same_twice(from_hz: int, to_hz: int) -> None:
    silence = np.zeros(from_hz, np.int16)
    assert not resample(silence, from_hz, to_hz).any()
    stream = StreamResampler(from_hz, to_hz)
    assert not any(stream.resample(piece).any() for piece in np.array_split(silence, 9))
    once, again = (resample(tone(from_hz), from_hz, to_hz) for _ in range(2))
    assert once.dtype == np.int16
    assert np.array_equal(once, again)
    assert once.size == pytest.approx(to_hz * SECONDS, abs=2)


@given(cuts=st.lists(st.integers(1, 5000), min_size=1, max_size=12), at=st.sampled_from(RATES_HZ))
def test_a_stream_is_the_same_however_it_is_cut(cuts: list[int], at: int) -> None:
    samples = tone(at)[: sum(cuts)]

    def whole(sizes: list[int]) -> bytes:
        stream, ends = StreamResampler(at, 11_025), np.cumsum(sizes)[:-1]
        return b"".join(to_pcm(stream.resample(piece)) for piece in np.split(samples, ends))

    in_pieces, at_once = whole(cuts), whole([sum(cuts)])
    shared = min(len(in_pieces), len(at_once))
    assert in_pieces[:shared] == at_once[:shared]


@pytest.mark.parametrize("level", [-32_768, 32_767])
def test_what_is_as_loud_as_can_be_does_not_wrap_around(level: int) -> None:
    square = np.where(np.arange(8000) // 100 % 2, level, -level - 1).astype(np.int16)
    found = resample(square, 8000, 48_000)
    assert np.sign(found[300]) == np.sign(square[50])
    assert np.abs(np.diff(found.astype(np.int32))).max() < 40_000
