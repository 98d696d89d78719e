"""The client's PCM: WAV files, cutting, pacing, and when a reply is heard."""

from __future__ import annotations

import array
import asyncio
import contextlib
import struct
import time
import wave
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley_client.audio_file import read_wav, write_wav
from parley_client.chunker import Chunker, cut_into_chunks, pace
from parley_client.errors import BadAudio
from parley_client.pcm import AUDIBLE_AMPLITUDE, first_audible_sample
from parley_client.playback import Playback
from parley_client.wav import NoWav, parse_wav
from tests.quickest import quickest
from tests.wav_files import (
    AMBISONIC_TAIL,
    DATA,
    EMPTY,
    FLOAT,
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


def ramp(count: int) -> bytes:
    return array.array("h", [(i * 7) % 30_000 for i in range(count)]).tobytes()


def make_wav(
    path: Path, frames: bytes, *, channels: int = 1, width: int = 2, rate_hz: int = 16_000
) -> Path:
    with wave.open(str(path), "wb") as wav:
        wav.setnchannels(channels)
        wav.setsampwidth(width)
        wav.setframerate(rate_hz)
        wav.writeframes(frames)
    return path


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 24_000, 44_100, 48_000])
def test_what_is_written_as_wav_is_read_back_with_its_format(tmp_path: Path, rate_hz: int) -> None:
    write_wav(tmp_path / "a.wav", ramp(500), rate_hz)
    assert read_wav(tmp_path / "a.wav") == (ramp(500), f"pcm_{rate_hz}")


def test_stereo_becomes_the_average_of_its_channels(tmp_path: Path) -> None:
    stereo = struct.pack("<6h", 100, 300, -100, -300, 32_767, 32_767)
    pcm, _ = read_wav(make_wav(tmp_path / "s.wav", stereo, channels=2))
    assert struct.unpack("<3h", pcm) == (200, -200, 32_767)


@pytest.mark.parametrize(
    ("channels", "width", "rate_hz", "complaint"),
    [
        (1, 1, 16_000, "8-bit"),
        (1, 3, 16_000, "24-bit"),
        (3, 2, 16_000, "3 channels"),
        (1, 2, 11_025, "11,025 samples per second"),
    ],
)
def test_a_wav_that_cannot_be_sent_says_what_converts_it(
    tmp_path: Path, channels: int, width: int, rate_hz: int, complaint: str
) -> None:
    frames = bytes(channels * width * 12)
    path = make_wav(tmp_path / "w.wav", frames, channels=channels, width=width, rate_hz=rate_hz)
    with pytest.raises(BadAudio, match=complaint) as refused:
        read_wav(path)
    assert f"ffmpeg -i {path}" in refused.value.message


@pytest.mark.parametrize("content", [b"", b"RIFF", b"ID3 this is an mp3 in disguise", ramp(9_000)])
def test_what_is_no_wav_is_refused_with_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(content)
    with pytest.raises(BadAudio, match="is not a PCM WAV file"):
        read_wav(path)


@pytest.mark.parametrize("content", [file for _, file in WELL], ids=[name for name, _ in WELL])
def test_what_programs_write_is_read(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(content)
    assert read_wav(path) == (SAMPLES, "pcm_16000")


def test_a_file_that_was_cut_off_is_read_as_far_as_it_goes_with_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(riff(fmt(), DATA)[:-3])
    assert read_wav(path) == (SAMPLES[:4], "pcm_16000")
    (record,) = caplog.records
    assert record.getMessage() == (
        f"{path} was cut off: it announces 8 bytes of samples, and 5 are there."
    )


@pytest.mark.parametrize("content", [file for _, file in EMPTY], ids=[name for name, _ in EMPTY])
def test_a_recording_with_other_chunks_behind_it_is_empty(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(content)
    assert read_wav(path) == (b"", "pcm_16000")


def test_extensible_stereo_is_mixed(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(riff(extensible(channels=2), chunk(b"data", SAMPLES, UNKNOWN)))
    assert read_wav(path) == (struct.pack("<2h", -1, -1), "pcm_16000")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (riff(fmt(bits=32, code=FLOAT), DATA), "floating point"),
        (riff(extensible(bits=32, code=FLOAT), DATA), "floating point"),
        (riff(extensible(tail=AMBISONIC_TAIL), DATA), "an extensible format of another kind"),
        (riff(extensible(bits=24), DATA), "24-bit samples, 16 are needed"),
        (riff(extensible(channels=6), DATA), "6 channels, 1 or 2 can be sent"),
        (riff(fmt(bits=8, code=MU_LAW), DATA), "µ-law"),
        (riff(fmt(), LIST), "no samples in it"),
        (riff(DATA), "does not say what its samples are"),
    ],
)
def test_another_kind_of_wav_says_what_it_is_and_what_converts_it(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(content)
    with pytest.raises(BadAudio, match=complaint) as refused:
        read_wav(path)
    assert f"ffmpeg -i {path}" in refused.value.message


@given(st.binary(max_size=80), st.integers(0, 80), st.binary(max_size=8))
def test_whatever_is_in_a_file_it_is_read_or_refused(pcm: bytes, at: int, noise: bytes) -> None:
    file = riff(fmt(), LIST, chunk(b"data", pcm))
    with contextlib.suppress(NoWav):
        parse_wav(file[:at] + noise + file[at + len(noise) :])


def test_a_missing_file_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadAudio, match="cannot be read: No such file"):
        read_wav(tmp_path / "none.wav")


@given(st.lists(st.binary(max_size=40), max_size=12), st.integers(1, 12))
def test_chunks_have_the_same_bytes_however_they_came(pieces: list[bytes], half: int) -> None:
    async def cut(source: list[bytes]) -> list[bytes]:
        return [chunk async for chunk in cut_into_chunks(source, Chunker(2 * half))]

    whole = b"".join(pieces)
    even = [*pieces, b"\0"] if len(whole) % 2 else pieces
    cut_up = asyncio.run(cut(even))
    assert b"".join(cut_up) == b"".join(even)
    assert all(len(chunk) == 2 * half for chunk in cut_up[:-1])
    assert all(0 < len(chunk) <= 2 * half for chunk in cut_up[-1:])


async def test_half_a_sample_at_the_end_is_refused() -> None:
    with pytest.raises(BadAudio, match="half a sample"):
        assert [chunk async for chunk in cut_into_chunks(b"\0\0\0", Chunker(2))] == [b"\0\0"]


async def test_async_sources_are_cut_like_whole_ones() -> None:
    async def live() -> AsyncIterator[bytes]:
        for byte in ramp(100):
            yield bytes([byte])

    assert [c async for c in cut_into_chunks(live(), Chunker(64))] == [
        c async for c in cut_into_chunks(ramp(100), Chunker(64))
    ]


async def test_pacing_never_hands_a_chunk_on_before_its_sound_has_ended() -> None:
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    handed_on = [
        loop.time() async for _ in pace(cut_into_chunks(ramp(1_600), Chunker(320)), 16_000)
    ]
    for index, at_s in enumerate(handed_on, 1):
        assert at_s - started_s >= index * 0.010 - 0.001


async def test_pacing_catches_up_after_a_slow_receiver() -> None:
    """30 chunks of 10 ms with 8 ms lost after each: 0.3 s, not 0.54."""

    async def took_s() -> float:
        started_s = asyncio.get_running_loop().time()
        async for _ in pace(cut_into_chunks(ramp(4_800), Chunker(320)), 16_000):
            time.sleep(0.008)  # holds up the loop, as other work would
        return asyncio.get_running_loop().time() - started_s

    assert await quickest(took_s, 0.45) < 0.45


async def test_a_source_slower_than_real_time_is_not_held_back() -> None:
    async def held_back_s() -> float:
        waits_s: list[float] = []

        async def slow() -> AsyncIterator[bytes]:
            yield ramp(160)
            await asyncio.sleep(0.1)
            for _ in range(3):
                waits_s.append(asyncio.get_running_loop().time())
                yield ramp(160)

        async for _ in pace(slow(), 16_000):
            pass
        return waits_s[-1] - waits_s[0]

    assert await quickest(held_back_s, 0.01) < 0.01


def loud(count: int) -> bytes:
    return struct.pack("<h", -AUDIBLE_AMPLITUDE) * count


def quiet(count: int) -> bytes:
    return struct.pack("<h", AUDIBLE_AMPLITUDE - 1) * count


def test_the_first_audible_sample_is_found_behind_the_noise() -> None:
    assert first_audible_sample(quiet(7) + loud(2)) == 7
    assert first_audible_sample(quiet(7)) is None
    assert first_audible_sample(b"") is None


def test_leading_silence_delays_the_first_sound() -> None:
    playback = Playback()
    playback.add(quiet(800) + loud(800), 16_000, arrived_at_s=10.0)
    assert playback.first_sound_at_s == pytest.approx(10.05)


def test_the_first_sound_waits_for_the_silence_that_came_in_an_earlier_piece() -> None:
    playback = Playback()
    playback.add(quiet(1_600), 16_000, arrived_at_s=10.0)
    playback.add(quiet(160) + loud(160), 16_000, arrived_at_s=10.01)
    assert playback.first_sound_at_s == pytest.approx(10.11)


def test_a_late_piece_sounds_when_it_comes() -> None:
    playback = Playback()
    playback.add(quiet(160), 16_000, arrived_at_s=10.0)
    playback.add(loud(160), 16_000, arrived_at_s=11.0)
    assert playback.first_sound_at_s == pytest.approx(11.0)


@pytest.mark.parametrize(
    ("now_s", "played_ms"), [(9.0, 0), (10.0, 0), (10.05, 50), (10.5, 100), (11.04, 140), (20, 200)]
)
def test_what_has_been_played_leaves_out_the_pause_between_pieces(
    now_s: float, played_ms: float
) -> None:
    playback = Playback()
    playback.add(loud(1_600), 16_000, arrived_at_s=10.0)
    if now_s >= 11:
        playback.add(loud(1_600), 16_000, arrived_at_s=11.0)
    assert playback.played_ms(now_s) == pytest.approx(played_ms)


def test_an_iterator_of_pieces_is_a_source_too(tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield ramp(10)
        yield ramp(20)

    async def cut() -> bytes:
        return b"".join([chunk async for chunk in cut_into_chunks(pieces(), Chunker(16))])

    assert asyncio.run(cut()) == ramp(10) + ramp(20)
