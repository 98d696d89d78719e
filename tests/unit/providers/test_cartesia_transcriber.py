"""Cartesia's transcription against a scripted socket: both kinds of it, and how they fail."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from parley.errors import ConfigurationError, ProviderError
from parley.protocol.messages import Endpointing
from parley.providers import socket
from parley.providers.cartesia import transcriber
from parley.providers.cartesia.config import VERSION
from parley.providers.cartesia.transcriber import (
    END_TIMEOUT_MS,
    LAST_SILENCE_MS,
    SILENCE_MS,
    build_transcriber,
)
from parley.providers.stt import TranscriptPiece, TranscriptStream
from tests.unit.provider_context import build_context
from tests.unit.speech_server import Peer, closed_port, playing, silence, stalled_port

SECOND = bytes(32_000)
FLUSHED = {"type": "flush_done", "request_id": "r"}


async def opened(
    url: str, endpointing: Endpointing = "manual", language: str = "en", model: str = ""
) -> TranscriptStream:
    variables = {"TRANSCRIPTION_BASE_URL": url, "TRANSCRIPTION_MODEL": model}
    made = build_transcriber(build_context(variables=variables))
    return await made.open("pcm_16000", language, endpointing)


def heard(text: str, *, final: bool, **fields: Any) -> dict[str, Any]:
    return {"type": "transcript", "text": text, "is_final": final, "request_id": "r", **fields}


def turn(event: str, transcript: str | None = None, **fields: Any) -> dict[str, Any]:
    said = {} if transcript is None else {"transcript": transcript}
    return {"type": f"turn.{event}", "request_id": "r", **said, **fields}


def error(status: int, code: str | None = None) -> dict[str, Any]:
    named = {"error_code": code, "title": "Title", "message": "the details"}
    return {"type": "error", "status_code": status, **named}


async def until_text(peer: Peer, wanted: str = "finalize") -> bytes:
    """All audio up to a command."""
    audio = b""
    while isinstance(frame := await peer.receive_raw(), bytes):
        audio += frame
    assert frame == wanted
    return audio


async def until_close(peer: Peer) -> list[str | bytes]:
    """All frames up to the command that closes a connection that finds turns."""
    frames = [await peer.receive_raw()]
    while frames[-1] != json.dumps({"type": "close"}, separators=(",", ":")):
        frames.append(await peer.receive_raw())
    return frames


async def pieces_of(
    *frames: object, endpointing: Endpointing = "manual", close: bool = False
) -> list[TranscriptPiece]:
    """What comes of frames that the service sends when the audio is over."""

    async def script(peer: Peer) -> None:
        await (until_text(peer) if endpointing == "manual" else until_close(peer))
        await peer.send(*frames)
        if close:
            await peer.close()

    async with playing(script) as server:
        stream = await opened(server.url, endpointing)
        await stream.send(SECOND)
        await stream.finish()
        async with asyncio.timeout(20):
            pieces = [piece async for piece in stream.pieces()]
        await stream.close()
    return pieces


async def failed(*frames: object, endpointing: Endpointing = "manual") -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        await pieces_of(*frames, endpointing=endpointing)
    assert raised.value.code == "transcription_failed"
    assert "the details" not in f"{raised.value.message}{raised.value.cause}"
    return raised.value


# --- what is asked for ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpointing", "language", "model", "path", "query"),
    [
        ("manual", "en", "", "/stt/websocket", {"model": ["ink-2"]}),
        ("manual", "ja", "", "/stt/websocket", {"model": ["ink-2"]}),
        ("manual", "de", "", "/stt/websocket", {"model": ["ink-whisper"], "language": ["de"]}),
        ("manual", "fil", "", "/stt/websocket", {"model": ["ink-whisper"], "language": ["tl"]}),
        ("manual", "", "", "/stt/websocket", {"model": ["ink-preview"]}),
        ("server_vad", "en", "", "/stt/turns/websocket", {"model": ["ink-2"]}),
        (
            "server_vad",
            "de",
            "",
            "/stt/turns/websocket",
            {"model": ["ink-preview"], "language_hint": ["de"]},
        ),
        ("server_vad", "hr", "", "/stt/turns/websocket", {"model": ["ink-preview"]}),
        ("server_vad", "", "", "/stt/turns/websocket", {"model": ["ink-preview"]}),
        (
            "manual",
            "en",
            "ink-whisper",
            "/stt/websocket",
            {"model": ["ink-whisper"], "language": ["en"]},
        ),
        ("server_vad", "en", "ink-whisper", "/stt/turns/websocket", {"model": ["ink-2"]}),
        ("manual", "de", "ink-2", "/stt/websocket", {"model": ["ink-whisper"], "language": ["de"]}),
        ("manual", "en", "ink-9", "/stt/websocket", {"model": ["ink-9"]}),
        ("manual", "en", "ink-2-2026-05-22", "/stt/websocket", {"model": ["ink-2-2026-05-22"]}),
    ],
)
async def test_the_model_suits_the_language_and_who_ends_an_utterance(
    endpointing: Endpointing, language: str, model: str, path: str, query: dict[str, list[str]]
) -> None:
    async with playing(silence) as server:
        await (await opened(server.url, endpointing, language, model)).close()
        (peer,) = server.peers
    url = urlsplit(peer.path)
    assert url.path == path
    assert parse_qs(url.query) == {"encoding": ["pcm_s16le"], "sample_rate": ["16000"], **query}
    assert peer.headers["Authorization"] == "Bearer the-key"
    assert peer.headers["Cartesia-Version"] == VERSION


def test_a_model_that_does_not_understand_the_language_is_refused_at_the_start() -> None:
    variables = {"TRANSCRIPTION_MODEL": "ink-2", "LANGUAGE": "de"}
    with pytest.raises(ConfigurationError) as refused:
        build_transcriber(build_context(variables=variables))
    assert "TranscriptionModel" in str(refused.value)
    assert "Language" in str(refused.value)


@pytest.mark.parametrize(
    ("model", "language"), [("ink-2", "fr"), ("ink-whisper", "de"), ("", "de"), ("ink-3", "de")]
)
def test_a_model_that_may_understand_the_language_is_not(model: str, language: str) -> None:
    build_transcriber(build_context(variables={"TRANSCRIPTION_MODEL": model, "LANGUAGE": language}))


# --- an utterance that the client ends ----------------------------------------------------


async def test_audio_goes_up_as_it_is() -> None:
    received = asyncio.get_running_loop().create_future()

    async def script(peer: Peer) -> None:
        received.set_result(await until_text(peer))
        await peer.send(FLUSHED)

    async with playing(script) as server:
        stream = await opened(server.url)
        for part in (b"\1\2", b"", b"\3\4"):
            await stream.send(part)
        await stream.finish()
        assert [piece async for piece in stream.pieces()] == [TranscriptPiece("", final=True)]
        await stream.close()
    assert await received == b"\1\2\3\4"


async def test_transcripts_are_joined_as_they_are() -> None:
    pieces = await pieces_of(
        heard(" How ma", final=False),
        heard(" How many", final=False),
        heard(" How many", final=True),
        heard("", final=True),
        heard(" days are", final=False),
        heard(" days", final=True),
        heard("time?", final=True),
        FLUSHED,
    )
    assert [piece.text for piece in pieces] == [
        "How ma",
        "How many",
        "How many days are",
        "How many days",
        "How many daystime?",
        "How many daystime?",
    ]
    assert [piece.final for piece in pieces] == [False] * 5 + [True]


async def test_a_transcript_without_a_word_is_not_told() -> None:
    pieces = await pieces_of(heard("", final=False), heard(" ", final=True), FLUSHED)
    assert pieces == [TranscriptPiece("", final=True)]


async def test_what_the_service_makes_final_by_itself_ends_nothing() -> None:
    async def script(peer: Peer) -> None:
        await peer.receive_raw()
        await peer.send(FLUSHED, heard("One.", final=True))
        await until_text(peer)
        await peer.send(heard(" Two.", final=True), FLUSHED)

    async with playing(script) as server:
        stream = await opened(server.url)
        await stream.send(SECOND)
        pieces = stream.pieces()
        assert await anext(pieces) == TranscriptPiece("One.", final=False)
        await stream.finish()
        rest = [piece async for piece in pieces]
        await stream.close()
    assert rest == [TranscriptPiece("One. Two.", final=False), TranscriptPiece("One. Two.", True)]


async def test_a_partial_transcript_that_was_not_made_final_does_not_count() -> None:
    pieces = await pieces_of(heard(" Uh", final=False), FLUSHED)
    assert pieces[-1] == TranscriptPiece("", final=True)


async def test_the_language_that_was_heard_is_told() -> None:
    pieces = await pieces_of(heard("Ja.", final=True, language="de"), FLUSHED)
    assert [piece.language for piece in pieces] == ["de", "de"]


# --- an utterance whose end the service finds ---------------------------------------------


async def test_a_flush_is_answered_in_its_turn() -> None:
    async def script(peer: Peer) -> None:
        await until_text(peer)
        await peer.send(heard(" Well.", final=True), FLUSHED)
        await until_text(peer)
        await peer.send(heard(" Then go.", final=True), FLUSHED)

    async with playing(script) as server:
        stream = await opened(server.url)
        await stream.send(SECOND)
        assert await stream.flush()
        pieces = aiter(stream.pieces())
        first = [await anext(pieces), await anext(pieces)]
        await stream.send(SECOND)
        await stream.finish()
        assert not await stream.flush()
        rest = [piece async for piece in pieces]
        await stream.close()
    assert first == [
        TranscriptPiece("Well.", False),
        TranscriptPiece("Well.", False, "", "confirmed"),
    ]
    assert rest[-1] == TranscriptPiece("Well. Then go.", True)


async def test_the_answer_to_a_flush_does_not_end_the_utterance() -> None:
    async def script(peer: Peer) -> None:
        await until_text(peer)
        await until_text(peer)
        await peer.send(FLUSHED, heard(" Go.", final=True), FLUSHED)

    async with playing(script) as server:
        stream = await opened(server.url)
        await stream.send(SECOND)
        await stream.flush()
        await stream.send(SECOND)
        await stream.finish()
        pieces = [piece async for piece in stream.pieces()]
        await stream.close()
    assert pieces[-1] == TranscriptPiece("Go.", True)


async def test_likely_ends_are_told_and_taken_back() -> None:
    pieces = await pieces_of(
        turn("start"),
        turn("update", "Well"),
        turn("eager_end", "Well."),
        turn("resume"),
        turn("update", "Well then"),
        turn("eager_end", "Well then."),
        turn("end", "Well then."),
        endpointing="server_vad",
    )
    assert pieces == [
        TranscriptPiece("Well", False),
        TranscriptPiece("Well.", False, "", "likely_end"),
        TranscriptPiece("Well.", False, "", "unlikely_end"),
        TranscriptPiece("Well then", False),
        TranscriptPiece("Well then.", False, "", "likely_end"),
        TranscriptPiece("Well then.", True),
    ]


async def test_the_end_of_a_turn_ends_the_utterance() -> None:
    async def script(peer: Peer) -> None:
        await peer.send({"type": "connected", "request_id": "r"}, turn("start"))
        await peer.send(turn("update", "How"), turn("update", "How"), turn("eager_end", "How many"))
        await peer.send(turn("resume"), turn("end", "How many days?"), turn("start"))
        await peer.gone()

    async with playing(script) as server:
        stream = await opened(server.url, "server_vad")
        pieces = [piece async for piece in stream.pieces()]
        await stream.close()
    assert [(piece.text, piece.final) for piece in pieces] == [
        ("How", False),
        ("How many", False),
        ("How many", False),
        ("How many days?", True),
    ]


async def test_a_turn_without_a_word_is_none() -> None:
    frames = [turn("start"), turn("end", ""), turn("start"), turn("end", "Yes.")]
    pieces = await pieces_of(*frames, endpointing="server_vad")
    assert pieces == [TranscriptPiece("Yes.", final=True)]


async def test_the_language_of_a_turn_is_the_surest_one() -> None:
    told = [{"language": "hi", "confidence": 1.0}, {"language": "en", "confidence": 0.6}]
    (piece,) = await pieces_of(turn("end", "Haan.", languages=told), endpointing="server_vad")
    assert piece.language == "hi"


@pytest.mark.parametrize("languages", [None, [], [None], "de", [{}]])
async def test_languages_that_make_no_sense_are_none(languages: object) -> None:
    (piece,) = await pieces_of(turn("end", "Ja.", languages=languages), endpointing="server_vad")
    assert piece == TranscriptPiece("Ja.", final=True)


async def test_when_the_audio_is_over_silence_ends_the_turn() -> None:
    sent: list[str | bytes] = []

    async def script(peer: Peer) -> None:
        sent.extend(await until_close(peer))
        await peer.send(turn("end", "Yes."))

    async with playing(script) as server:
        stream = await opened(server.url, "server_vad")
        await stream.send(b"\1\2")
        await stream.finish()
        assert [piece.text async for piece in stream.pieces()] == ["Yes."]
        await stream.close()
    audio, settings, quiet, _ = sent
    assert audio == b"\1\2"
    assert json.loads(settings) == {"type": "config", "turn": {"end_timeout_ms": END_TIMEOUT_MS}}
    assert quiet == bytes(32 * LAST_SILENCE_MS)
    assert LAST_SILENCE_MS > END_TIMEOUT_MS


async def test_a_connection_that_is_closed_has_heard_all() -> None:
    frames = [turn("start"), turn("update", "Yes")]
    pieces = await pieces_of(*frames, endpointing="server_vad", close=True)
    assert pieces == [TranscriptPiece("Yes", final=False), TranscriptPiece("Yes", final=True)]


async def test_nothing_said_is_an_empty_transcript() -> None:
    pieces = await pieces_of(endpointing="server_vad", close=True)
    assert pieces == [TranscriptPiece("", final=True)]


async def test_a_turn_in_which_no_audio_comes_gets_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcriber, "GAP_S", 0.05)
    quiet: list[str | bytes] = []

    async def script(peer: Peer) -> None:
        await peer.receive_raw()
        await peer.send(turn("start"))
        quiet.extend([await peer.receive_raw(), await peer.receive_raw()])
        await peer.send(turn("end", "Yes."))

    async with playing(script) as server:
        stream = await opened(server.url, "server_vad")
        await stream.send(SECOND)
        async with asyncio.timeout(20):
            assert [piece.text async for piece in stream.pieces()] == ["Yes."]
        await stream.close()
    assert quiet == [bytes(32 * SILENCE_MS)] * 2


@pytest.mark.parametrize("ended", [False, True])
async def test_no_silence_is_sent_where_nobody_talks(
    monkeypatch: pytest.MonkeyPatch, ended: bool
) -> None:
    monkeypatch.setattr(transcriber, "GAP_S", 0.01)
    got: list[str | bytes] = []

    async def script(peer: Peer) -> None:
        await peer.send(*([turn("start"), turn("end", "")] if ended else []))
        got.append(await peer.receive_raw())

    async with playing(script) as server:
        stream = await opened(server.url, "server_vad")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await anext(aiter(stream.pieces()))
        await stream.close()
    assert got == []


# --- failures ---------------------------------------------------------------------------------


@pytest.mark.parametrize("endpointing", ["manual", "server_vad"])
@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "model_not_found", "refused"),
        (401, None, "unauthorized"),
        (402, None, "refused"),
        (429, "concurrency_limited", "rate_limited"),
        (429, "quota_exceeded", "refused"),
        (500, "internal_error", "unavailable"),
    ],
)
async def test_error_frames(
    endpointing: Endpointing, status: int, code: str | None, kind: str
) -> None:
    found = await failed(error(status, code), endpointing=endpointing)
    assert (found.kind, found.cause.status, found.cause.provider_code) == (kind, status, code)


async def test_the_model_that_failed_is_named() -> None:
    found = await failed(error(400, "model_not_found"), endpointing="server_vad")
    assert "'ink-2'" in found.cause.advice
    assert "TranscriptionModel" in found.cause.advice


@pytest.mark.parametrize("endpointing", ["manual", "server_vad"])
@pytest.mark.parametrize("frame", ["not json", "[]", b"\xff"])
async def test_garbage_makes_no_sense(endpointing: Endpointing, frame: object) -> None:
    assert (await failed(frame, endpointing=endpointing)).kind == "invalid"


@pytest.mark.parametrize("endpointing", ["manual", "server_vad"])
@pytest.mark.parametrize("how", ["cut", "closed"])
async def test_a_connection_that_ends_while_the_user_talks(
    endpointing: Endpointing, how: str
) -> None:
    async def script(peer: Peer) -> None:
        await peer.receive_raw()
        if how == "cut":
            peer.cut()
        else:
            await peer.close()

    async with playing(script) as server:
        stream = await opened(server.url, endpointing)
        await stream.send(SECOND)
        with pytest.raises(ProviderError) as raised:
            await anext(aiter(stream.pieces()))
        await stream.close()
    assert raised.value.kind == "unavailable"


async def test_a_connection_that_is_closed_before_it_has_flushed() -> None:
    async def script(peer: Peer) -> None:
        await until_text(peer)
        await peer.close()

    async with playing(script) as server:
        stream = await opened(server.url)
        await stream.finish()
        with pytest.raises(ProviderError) as raised:
            await anext(aiter(stream.pieces()))
        await stream.close()
    assert raised.value.kind == "unavailable"


@pytest.mark.parametrize("endpointing", ["manual", "server_vad"])
@pytest.mark.parametrize(
    ("status", "kind"), [(401, "unauthorized"), (429, "rate_limited"), (503, "unavailable")]
)
async def test_a_handshake_that_is_refused(
    endpointing: Endpointing, status: int, kind: str
) -> None:
    async with playing() as server:
        server.refusal = (status, {"Retry-After": "2"})
        with pytest.raises(ProviderError) as raised:
            await opened(server.url, endpointing)
    found = raised.value
    assert (found.kind, found.cause.status, found.retry_after_ms) == (kind, status, 2000)
    assert "the-key" not in f"{found.message}{found.cause}"


async def test_nobody_is_there() -> None:
    with pytest.raises(ProviderError) as raised:
        await opened(f"http://127.0.0.1:{closed_port()}")
    assert raised.value.kind == "unavailable"


async def test_a_connect_that_stalls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "CONNECT_TIMEOUT_S", 0.2)
    async with stalled_port() as port:
        with pytest.raises(ProviderError) as raised:
            await opened(f"http://127.0.0.1:{port}")
    assert raised.value.kind == "unavailable"


async def test_a_service_that_is_out_of_reach_while_the_user_talks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transcriber, "PING_INTERVAL_S", 0.05)
    monkeypatch.setattr(transcriber, "PING_TIMEOUT_S", 0.05)

    async def script(peer: Peer) -> None:
        peer.stall()
        await peer.gone()

    async with playing(script) as server:
        stream = await opened(server.url)
        with pytest.raises(ProviderError) as raised:
            async with asyncio.timeout(20):
                await anext(aiter(stream.pieces()))
        await stream.close()
        server.peers[0].cut()
    assert raised.value.kind == "unavailable"
