"""Cartesia's synthesis against a scripted socket: contexts, times, and how it fails."""

from __future__ import annotations

import asyncio
import base64
from typing import Any
from urllib.parse import urlsplit

import pytest

from parley.audio.word_timing import Alignment
from parley.config import DEFAULT_SETTINGS
from parley.errors import ProviderError
from parley.protocol.messages import AudioFormat, Settings
from parley.providers.cartesia import contexts, synthesizer
from parley.providers.cartesia.config import VERSION
from parley.providers.cartesia.synthesizer import (
    CartesiaSpeech,
    build_synthesizer,
    make_request,
)
from parley.providers.tts import SpeechPiece
from tests.unit.provider_context import build_context
from tests.unit.speech_server import Peer, Script, closed_port, playing, silence

PCM = bytes(range(64))


def chunk(pcm: bytes = PCM, context: str = "reply-1", **fields: Any) -> dict[str, Any]:
    audio = base64.b64encode(pcm).decode()
    return {"type": "chunk", "data": audio, "done": False, "context_id": context, **fields}


def words(
    *texts: str, start: float = 0.0, context: str = "reply-1", each: float = 0.1
) -> dict[str, Any]:
    starts = [start + index * each for index in range(len(texts))]
    ends = [begun + each for begun in starts]
    stamps = {"words": list(texts), "start": starts, "end": ends}
    return {"type": "timestamps", "context_id": context, "word_timestamps": stamps}


def flushed(number: int, context: str = "reply-1") -> dict[str, Any]:
    return {"type": "flush_done", "flush_done": True, "flush_id": number, "context_id": context}


def done(context: str = "reply-1") -> dict[str, Any]:
    return {"type": "done", "done": True, "status_code": 206, "context_id": context}


def error(
    context: str | None = "reply-1", status: int = 400, code: str | None = None
) -> dict[str, Any]:
    frame = {"type": "error", "done": True, "status_code": status, "error_code": code}
    told = {**frame, "title": "Context closed", "message": "Context has closed."}
    return {**told, "context_id": context} if context else told


async def opened(url: str, **settings: Any) -> CartesiaSpeech:
    context = build_context(variables={"SPEECH_BASE_URL": url})
    chosen = DEFAULT_SETTINGS.merged_with(Settings(**settings))
    return await build_synthesizer(context).open("pcm_16000", chosen)


async def until_closed(peer: Peer) -> list[dict[str, Any]]:
    """What the client sends, up to the end of its context."""
    frames = [await peer.receive()]
    while frames[-1].get("continue"):
        frames.append(await peer.receive())
    return frames


async def said(
    script: Script, *clauses: str, collected: list[SpeechPiece] | None = None
) -> list[SpeechPiece]:
    """What comes of clauses that are spoken at once."""
    pieces: list[SpeechPiece] = [] if collected is None else collected
    async with playing(script) as server:
        stream = await opened(server.url)
        try:
            for clause in clauses:
                await stream.speak(clause)
            await stream.finish()
            async with asyncio.timeout(20):
                async for piece in stream.pieces():
                    pieces.append(piece)
        finally:
            await stream.close()
    return pieces


async def spoken(*frames: object, clauses: tuple[str, ...] = ("Hi all.",)) -> list[SpeechPiece]:
    """What comes of frames that the service sends when the context has been closed."""

    async def script(peer: Peer) -> None:
        await until_closed(peer)
        await peer.send(*frames)

    return await said(script, *clauses)


async def failed(*frames: object, clauses: tuple[str, ...] = ("Hi all.",)) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        await spoken(*frames, clauses=clauses)
    assert raised.value.code == "speech_failed"
    return raised.value


def audio_of(pieces: list[SpeechPiece]) -> bytes:
    return b"".join(piece.pcm for piece in pieces)


def ends_of(pieces: list[SpeechPiece]) -> list[int]:
    """How many bytes had come at the end of each clause."""
    sizes = [len(audio_of(pieces[: index + 1])) for index in range(len(pieces))]
    return [size for size, piece in zip(sizes, pieces, strict=True) if piece.ends_clause]


async def asked(*clauses: str) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def script(peer: Peer) -> None:
        sent.extend(await until_closed(peer))
        await peer.send(chunk(), done())

    await said(script, *clauses)
    return sent


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


# --- contexts that die ----------------------------------------------------------------------


async def test_after_a_pause_a_clause_gets_a_new_context(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contexts, "STALE_S", 0)
    sent: list[dict[str, Any]] = []
    spoken_out = asyncio.Event()

    async def script(peer: Peer) -> None:
        sent.append(await peer.receive())
        await peer.send(words("One."), chunk(), flushed(1))
        sent.append(await peer.receive())
        sent.append(await peer.receive())
        second = "reply-2"
        await peer.send(
            chunk(b"late!!"), done(), words("Two.", context=second), chunk(context=second)
        )
        sent.append(await peer.receive())
        await peer.send(flushed(1, second), done(second))

    async with playing(script) as server:
        stream = await opened(server.url)
        await stream.speak("One.")
        pieces: list[SpeechPiece] = []

        async def listen() -> None:
            async for piece in stream.pieces():
                pieces.append(piece)
                if piece.ends_clause:
                    spoken_out.set()

        listening = asyncio.create_task(listen())
        await spoken_out.wait()
        await stream.speak("Two.")
        await stream.finish()
        async with asyncio.timeout(20):
            await listening
        await stream.close()
    assert [(f["context_id"], f.get("transcript")) for f in sent] == [
        ("reply-1", "One. "),
        ("reply-1", None),
        ("reply-2", "Two. "),
        ("reply-2", ""),
    ]
    assert sent[1] == {"context_id": "reply-1", "cancel": True}
    assert audio_of(pieces) == PCM * 2
    times = [piece.alignment for piece in pieces if piece.alignment]
    assert [alignment.starts_ms[0] for alignment in times] == [0, 0]


@pytest.mark.parametrize("answer", ["error", "done", "done, then error"])
async def test_a_clause_that_a_dead_context_did_not_speak_is_said_once_more(answer: str) -> None:
    sent: list[dict[str, Any]] = []

    async def script(peer: Peer) -> None:
        sent.extend(await until_closed(peer))
        await peer.send(chunk(), flushed(1))
        await peer.send(*{"error": [error()], "done": [done()]}.get(answer, [done(), error()]))
        sent.extend(await until_closed(peer))
        await peer.send(chunk(PCM[::-1], "reply-2"), flushed(1, "reply-2"), done("reply-2"))

    pieces = await said(script, "One.", "Two.")
    assert [(f["context_id"], f["transcript"]) for f in sent] == [
        ("reply-1", "One. "),
        ("reply-1", "Two. "),
        ("reply-1", ""),
        ("reply-2", "Two. "),
        ("reply-2", ""),
    ]
    assert audio_of(pieces) == PCM + PCM[::-1]
    assert ends_of(pieces) == [64, 128]


async def test_a_clause_is_said_once_more_only_once() -> None:
    pieces: list[SpeechPiece] = []

    async def script(peer: Peer) -> None:
        await until_closed(peer)
        await peer.send(chunk(), flushed(1), error())
        await until_closed(peer)
        await peer.send(error("reply-2"))

    with pytest.raises(ProviderError):
        await said(script, "One.", "Two.", collected=pieces)
    assert audio_of(pieces) == PCM


async def test_what_was_said_once_more_is_not_said_a_third_time() -> None:
    pieces: list[SpeechPiece] = []

    async def script(peer: Peer) -> None:
        await until_closed(peer)
        await peer.send(chunk(), flushed(1), error())
        await until_closed(peer)
        await peer.send(chunk(context="reply-2"), flushed(1, "reply-2"), error("reply-2"))
        await peer.gone()

    with pytest.raises(ProviderError) as raised:
        await said(script, "One.", "Two.", "Three.", collected=pieces)
    assert raised.value.kind == "refused"
    assert audio_of(pieces) == PCM * 2


async def test_an_error_in_the_middle_of_a_clause_is_a_failure() -> None:
    found = await failed(chunk(), flushed(1), chunk(), error(), clauses=("One.", "Two."))
    assert found.kind == "refused"


async def test_an_error_before_the_first_sound_is_for_the_next_attempt() -> None:
    assert (await failed(error(status=500))).kind == "unavailable"


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [(429, "concurrency_limited", "rate_limited"), (401, None, "unauthorized")],
)
async def test_what_a_new_context_meets_as_well_is_not_said_again(
    status: int, code: str | None, kind: str
) -> None:
    frames = (chunk(), flushed(1), error(status=status, code=code))
    assert (await failed(*frames, clauses=("One.", "Two."))).kind == kind


async def test_a_context_that_died_when_all_was_spoken_is_no_failure() -> None:
    assert audio_of(await spoken(chunk(), flushed(1), error())) == PCM


async def test_an_end_that_is_never_told_is_not_waited_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(synthesizer, "DONE_GRACE_S", 0.05)

    async def script(peer: Peer) -> None:
        await until_closed(peer)
        await peer.send(chunk(), flushed(1))
        await peer.gone()

    assert audio_of(await said(script, "Hi.")) == PCM


async def test_a_reply_goes_on_when_its_context_has_ended_by_itself() -> None:
    async def script(peer: Peer) -> None:
        await peer.receive()
        await peer.send(chunk(), done())
        await until_closed(peer)
        second = "reply-2"
        await peer.send(words("Two.", context=second), chunk(context=second), done(second))

    async with playing(script) as server:
        stream = await opened(server.url)
        await stream.speak("One.")
        pieces = stream.pieces()
        async with asyncio.timeout(20):
            heard = [await anext(pieces), await anext(pieces)]
            await stream.speak("Two.")
            await stream.finish()
            heard += [piece async for piece in pieces]
        await stream.close()
    assert audio_of(heard) == PCM * 2
    assert ["".join(piece.alignment.chars) for piece in heard if piece.alignment] == ["Two."]


async def test_a_finished_reply_ends_although_its_context_has_ended_before() -> None:
    async def script(peer: Peer) -> None:
        await peer.receive()
        await peer.send(chunk(), done())
        await peer.gone()

    async with playing(script) as server:
        stream = await opened(server.url)
        await stream.speak("One.")
        pieces = stream.pieces()
        async with asyncio.timeout(20):
            heard = [await anext(pieces), await anext(pieces)]
            ending = asyncio.ensure_future(anext(pieces, None))
            ended, _ = await asyncio.wait({ending}, timeout=0.1)
            assert not ended  # more may be said
            await stream.finish()
            assert await ending is None
        await stream.close()
    assert audio_of(heard) == PCM


# --- failures ---------------------------------------------------------------------------------


async def test_an_error_of_no_context_ends_the_reply() -> None:
    frames = (chunk(), flushed(1), error(None))
    assert (await failed(*frames, clauses=("One.", "Two."))).kind == "refused"


@pytest.mark.parametrize(
    ("status", "code", "kind", "reason"),
    [
        (401, None, "unauthorized", "key"),
        (402, None, "refused", "quota"),
        (404, "voice_not_found", "refused", "voice"),
        (400, "model_not_found", "refused", "model"),
        (429, "concurrency_limited", "rate_limited", "busy"),
        (429, "quota_exceeded", "refused", "quota"),
        (500, "internal_error", "unavailable", "down"),
        (503, None, "unavailable", "down"),
    ],
)
async def test_error_frames(status: int, code: str | None, kind: str, reason: str) -> None:
    found = await failed(error(status=status, code=code))
    assert (found.kind, found.cause.reason) == (kind, reason)
    assert (found.cause.status, found.cause.provider_code) == (status, code)
    assert "Context has closed" not in f"{found.message}{found.cause}"


@pytest.mark.parametrize(
    "frame", ["not json", "[]", "1", b"\xff", {**chunk(), "data": "@@@"}, {**chunk(), "data": 7}]
)
async def test_garbage_makes_no_sense(frame: object) -> None:
    assert (await failed(frame)).kind == "invalid"


@pytest.mark.parametrize("flushes", [True, False])
async def test_a_reply_without_a_sound_has_failed(flushes: bool) -> None:
    async def script(peer: Peer) -> None:
        await until_closed(peer)
        await peer.send(done())
        await until_closed(peer)
        await peer.send(*([flushed(1, "reply-2")] if flushes else []), done("reply-2"))
        await peer.gone()

    with pytest.raises(ProviderError) as raised:
        await said(script, "Hi.")
    assert raised.value.kind == "unavailable"


@pytest.mark.parametrize("how", ["cut", "closed", "closed with an error"])
async def test_a_socket_that_ends_early_is_a_failure_after_what_has_come(how: str) -> None:
    pieces: list[SpeechPiece] = []

    async def script(peer: Peer) -> None:
        await until_closed(peer)
        await peer.send(chunk())
        if how == "cut":
            peer.cut()
        else:
            await peer.close(1000 if how == "closed" else 1011)

    with pytest.raises(ProviderError) as raised:
        await said(script, "Hi.", collected=pieces)
    assert raised.value.kind == "unavailable"
    if how != "cut":  # what was on its way when the connection broke may be lost
        assert audio_of(pieces) == PCM


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, "unauthorized"), (402, "refused"), (429, "rate_limited"), (503, "unavailable")],
)
@pytest.mark.parametrize(("headers", "wait_ms"), [({"Retry-After": "2"}, 2000), ({}, None)])
async def test_a_handshake_that_is_refused(
    status: int, kind: str, headers: dict[str, str], wait_ms: int | None
) -> None:
    async with playing() as server:
        server.refusal = (status, headers)
        with pytest.raises(ProviderError) as raised:
            await opened(server.url)
    found = raised.value
    assert (found.kind, found.cause.status, found.retry_after_ms) == (kind, status, wait_ms)
    assert "the-key" not in f"{found.message}{found.cause}"


async def test_a_handshake_over_the_accounts_limit_says_so() -> None:
    async with playing() as server:
        server.refusal = (429, {})
        server.refusal_body = b'{"error_code": "concurrency_limited", "title": "t", "message": "m"}'
        with pytest.raises(ProviderError) as raised:
            await opened(server.url)
    assert raised.value.cause.provider_code == "concurrency_limited"
    assert raised.value.kind == "rate_limited"


async def test_nobody_is_there() -> None:
    with pytest.raises(ProviderError) as raised:
        await opened(f"http://127.0.0.1:{closed_port()}")
    assert raised.value.kind == "unavailable"


async def test_speaking_into_a_broken_connection_is_a_failure() -> None:
    async def script(peer: Peer) -> None:
        await peer.receive()
        peer.cut()

    async with playing(script) as server:
        stream = await opened(server.url)
        await stream.speak("Hi.")
        with pytest.raises(ProviderError):  # the break has been noticed
            await anext(stream.pieces())
        with pytest.raises(ProviderError) as raised:
            await stream.speak("Hi.")
        await stream.close()
    assert raised.value.kind == "unavailable"


async def test_an_interrupted_reply_is_cancelled_before_the_socket_closes() -> None:
    got: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def script(peer: Peer) -> None:
        while True:
            got.put_nowait(await peer.receive())

    async with playing(script) as server:
        stream = await opened(server.url)
        await stream.speak("Hi.")
        await stream.close()
        await got.get()
        async with asyncio.timeout(20):
            assert await got.get() == {"context_id": "reply-1", "cancel": True}


async def test_a_reply_that_was_spoken_is_not_cancelled() -> None:
    after: list[object] = []

    async def script(peer: Peer) -> None:
        await until_closed(peer)
        await peer.send(chunk(), done())
        after.append(await peer.receive())

    await said(script, "Hi.")
    assert after == []


async def test_closing_never_raises() -> None:
    async def script(peer: Peer) -> None:
        await peer.receive()
        peer.cut()

    async with playing(script) as server:
        stream = await opened(server.url)
        await stream.speak("Hi.")
        await stream.close()
        await stream.close()
