"""Cartesia's synthesis against a scripted socket: contexts that die, and how a reply fails."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from parley.errors import ProviderError
from parley.providers.cartesia import contexts, synthesizer
from parley.providers.tts import SpeechPiece
from tests.unit.cartesia_speech import (
    PCM,
    audio_of,
    chunk,
    done,
    ends_of,
    error,
    failed,
    flushed,
    opened,
    said,
    spoken,
    until_closed,
    words,
)
from tests.unit.speech_server import Peer, closed_port, playing

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
