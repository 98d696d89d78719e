"""Cartesia's synthesis against a scripted socket: what is sent, and the audio and its times."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import pytest

from parley.audio.word_timing import Alignment
from parley.config import DEFAULT_SETTINGS
from parley.protocol.messages import AudioFormat, Settings
from parley.providers.cartesia.config import VERSION
from parley.providers.cartesia.synthesizer import (
    build_synthesizer,
    make_request,
)
from parley.providers.tts import SpeechPiece
from tests.unit.cartesia_speech import (
    PCM,
    asked,
    audio_of,
    chunk,
    done,
    ends_of,
    error,
    flushed,
    opened,
    said,
    spoken,
    until_closed,
    words,
)
from tests.unit.provider_context import build_context
from tests.unit.speech_server import Peer, playing, silence

# --- what is sent -----------------------------------------------------------------------


async def test_clauses_are_joined_by_a_space_and_end_in_one() -> None:
    sent = await asked("Sure,", "let us see.")
    assert [(f["transcript"], f["continue"]) for f in sent] == [
        ("Sure, ", True),
        ("let us see. ", True),
        ("", False),
    ]


async def test_all_requests_of_a_context_say_the_same() -> None:
    first, second, last = await asked("Sure,", "let us see.")
    for frame in (first, second, last):
        del frame["transcript"], frame["continue"]
    assert first == second == last
    assert first["max_buffer_delay_ms"] == 0
    assert first["add_timestamps"] is True
    assert first["output_format"] == {
        "container": "raw",
        "encoding": "pcm_s16le",
        "sample_rate": 16_000,
    }


@pytest.mark.parametrize(
    ("audio_format", "rate"), [("pcm_8000", 8000), ("pcm_22050", 22050), ("pcm_48000", 48000)]
)
async def test_the_audio_has_the_replys_rate(audio_format: AudioFormat, rate: int) -> None:
    async def script(peer: Peer) -> None:
        (frame,) = [await peer.receive()]
        assert frame["output_format"]["sample_rate"] == rate
        await peer.send(chunk(), done())

    async with playing(script) as server:
        context = build_context(variables={"SPEECH_BASE_URL": server.url})
        stream = await build_synthesizer(context).open(audio_format, DEFAULT_SETTINGS)
        await stream.speak("Hi.")
        await stream.finish()
        assert (await anext(aiter(stream.pieces()))).pcm == PCM
        await stream.close()


@pytest.mark.parametrize(
    ("settings", "sent"), [(Settings(voice="v", speed=0.7), 0.7), (Settings(voice="v"), 1.0)]
)
def test_the_speed_is_that_of_the_session(settings: Settings, sent: float) -> None:
    request = make_request("sonic-3.5", 16_000, settings)
    assert request["generation_config"] == {"speed": sent}


@pytest.mark.parametrize(("language", "sent"), [("de", "de"), ("fil", "tl")])
def test_the_language_goes_along(language: str, sent: str) -> None:
    request = make_request("sonic-3.5", 16_000, Settings(voice="v", language=language))
    assert request["language"] == sent
    assert "language" not in make_request("sonic-3.5", 16_000, Settings(voice="v"))


def test_stability_has_no_counterpart() -> None:
    assert "stability" not in str(make_request("m", 16_000, Settings(voice="v", stability=0.9)))


async def test_the_handshake_has_key_and_version() -> None:
    async with playing(silence) as server:
        await (await opened(server.url)).close()
        (peer,) = server.peers
    assert urlsplit(peer.path).path == "/tts/websocket"
    assert peer.headers["Authorization"] == "Bearer the-key"
    assert peer.headers["Cartesia-Version"] == VERSION


@pytest.mark.parametrize(
    ("clause", "transcript"),
    [
        ('Wait <break time="9s"/> here.', 'Wait break time="9s"/> here. '),
        ("No </spell> of <!-- it.", "No /spell> of !-- it. "),
        ("3 < 5, and 3 <5.", "3 < 5, and 3 <5. "),
        ("a <= b.", "a <= b. "),
    ],
)
async def test_what_a_model_writes_is_no_command(clause: str, transcript: str) -> None:
    assert (await asked(clause))[0]["transcript"] == transcript


@pytest.mark.parametrize("first", ["…", "—", "🎉"])
async def test_a_context_never_begins_with_punctuation(first: str) -> None:
    sent = await asked(first, "Hello.")
    assert [f["transcript"] for f in sent] == [f"{first} Hello. ", ""]


@pytest.mark.parametrize(
    ("clauses", "end"),
    [
        (("Hello.",), ""),
        (("He said “so.”",), ""),
        (("好。",), ""),
        (("Hello",), "."),
        (("So, then,",), "."),
        (("Hello", "!"), "!"),
    ],
)
async def test_a_reply_ends_as_a_sentence_does(clauses: tuple[str, ...], end: str) -> None:
    assert (await asked(*clauses))[-1]["transcript"] == end


async def test_nothing_to_say_needs_no_answer() -> None:
    assert await said(silence) == []
    assert await said(silence, "…") == []


# --- audio and times ----------------------------------------------------------------------


async def test_times_come_with_the_audio_and_count_from_it() -> None:
    pieces = await spoken(
        words("Hi"), chunk(), words("all.", start=0.1), chunk(), flushed(1), done()
    )
    assert pieces[0].alignment == Alignment(["H", "i"], [0, 50], [50, 50])
    second = pieces[1].alignment
    assert second is not None
    assert "".join(second.chars) == "all."
    # 64 bytes at 16 kHz are 2 ms.
    assert second.starts_ms == pytest.approx([98, 123, 148, 173])
    assert audio_of(pieces) == PCM * 2


async def test_times_alone_are_no_sound() -> None:
    async def script(peer: Peer) -> None:
        await until_closed(peer)
        await peer.send(words("Hi"))
        await peer.gone()

    async with playing(script) as server:
        stream = await opened(server.url)
        await stream.speak("Hi.")
        await stream.finish()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await anext(aiter(stream.pieces()))
        await stream.close()


async def test_times_behind_the_last_audio_come_at_its_end() -> None:
    pieces = await spoken(chunk(), words("Hi", "all."), flushed(1), done())
    assert [bool(piece.alignment) for piece in pieces] == [False, True]
    assert pieces[1].alignment is not None
    assert pieces[1].alignment.starts_ms[0] == pytest.approx(-2)
    assert pieces[1] == SpeechPiece(b"", pieces[1].alignment, ends_clause=True)


async def test_audio_without_times_is_audio() -> None:
    pieces = await spoken(chunk(), flushed(1), done())
    assert pieces == [SpeechPiece(PCM, None), SpeechPiece(b"", None, ends_clause=True)]


async def test_a_clause_without_times_does_not_hide_those_of_the_next() -> None:
    long = "A clause of many words that nobody has timed."
    frames = (chunk(), flushed(1), words("Yes."), chunk(), flushed(2), done())
    pieces = await spoken(*frames, clauses=(long, "Yes."))
    assert ["".join(piece.alignment.chars) for piece in pieces if piece.alignment] == ["Yes."]


@pytest.mark.parametrize(
    "stamps",
    [None, [], {"words": "Hi"}, {"words": ["Hi"], "start": [None], "end": [1]}, {"words": ["Hi"]}],
)
async def test_times_that_make_no_sense_are_none(stamps: object) -> None:
    nonsense = {**words("Hi"), "word_timestamps": stamps}
    pieces = await spoken(nonsense, chunk(), done())
    assert [piece.alignment for piece in pieces] == [None, None]


async def test_half_a_sample_waits_for_its_other_half() -> None:
    pieces = await spoken(chunk(PCM[:5]), chunk(PCM[5:6]), chunk(PCM[6:]), chunk(b"\1"), done())
    assert [len(piece.pcm) % 2 for piece in pieces] == [0] * len(pieces)
    assert audio_of(pieces) == PCM


async def test_the_end_of_each_clause_is_told_once() -> None:
    pieces = await spoken(
        chunk(), flushed(1), flushed(1), chunk(), chunk(), flushed(2), done(), clauses=("A,", "b.")
    )
    assert ends_of(pieces) == [64, 192]


async def test_clauses_that_were_sent_together_end_together() -> None:
    pieces = await spoken(chunk(), flushed(1), done(), clauses=("…", "Well.", "…"))
    assert ends_of(pieces) == [64, 64, 64]


async def test_without_flushes_all_clauses_end_at_the_end() -> None:
    pieces = await spoken(chunk(), chunk(), done(), clauses=("A,", "b."))
    assert ends_of(pieces) == [128, 128]


async def test_frames_of_other_contexts_and_kinds_are_passed_over() -> None:
    pieces = await spoken(
        chunk(context="other"),
        done("other"),
        error("other"),
        {"type": "phoneme_timestamps", "context_id": "reply-1"},
        {"type": "what comes later", "context_id": "reply-1"},
        chunk(),
        done(),
    )
    assert audio_of(pieces) == PCM


async def test_a_frame_may_be_larger_than_a_megabyte() -> None:
    large = bytes(1_500_000)
    assert audio_of(await spoken(chunk(large), done())) == large
