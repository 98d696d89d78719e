"""Streaming synthesis against a scripted socket: frames, alignment, and how it fails."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from parley.audio.word_timing import Alignment
from parley.config import DEFAULT_SETTINGS
from parley.errors import ProviderError
from parley.providers.elevenlabs.synthesizer import CONTEXT, build_synthesizer
from parley.providers.tts import SpeechPiece, SpeechStream
from tests.unit.provider_context import build_context
from tests.unit.speech_server import Peer, SpeechServer, closed_port, playing

PCM = bytes(range(64))
AUDIO = base64.b64encode(PCM).decode()
TIMES = {"chars": ["H", "i"], "charStartTimesMs": [0, 10], "charDurationsMs": [10, 20]}
FINAL = {"audio": None, "isFinal": True, "contextId": CONTEXT}


async def opened(server: SpeechServer, model: str = "eleven_flash_v2_5") -> SpeechStream:
    context = build_context(variables={"ELEVENLABS_BASE_URL": server.url, "SPEECH_MODEL": model})
    return await build_synthesizer(context).open("pcm_24000", DEFAULT_SETTINGS)


def audio(**fields: Any) -> dict[str, Any]:
    return {"audio": AUDIO, "isFinal": None, "contextId": CONTEXT, "alignment": TIMES, **fields}


async def until_closed(peer: Peer) -> list[dict[str, Any]]:
    """What the client sends, up to the end of its context."""
    frames = [await peer.receive()]
    while not frames[-1].get("close_context"):
        frames.append(await peer.receive())
    return frames


async def spoken(*frames: object) -> list[SpeechPiece]:
    """What comes of frames that the service sends when the context has been closed."""

    async def script(peer: Peer) -> None:
        await until_closed(peer)
        await peer.send(*frames)

    async with playing(script) as server:
        stream = await opened(server)
        try:
            await stream.speak("Hi.")
            await stream.finish()
            return [piece async for piece in stream.pieces()]
        finally:
            await stream.close()


async def failed(*frames: object) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        await spoken(*frames)
    assert raised.value.code == "speech_failed"
    return raised.value


@pytest.fixture
async def conversation() -> AsyncIterator[list[dict[str, Any]]]:
    """What is sent for a reply of two clauses."""
    sent: list[dict[str, Any]] = []

    async def script(peer: Peer) -> None:
        sent.extend(await until_closed(peer))
        await peer.send(FINAL)

    async with playing(script) as server:
        stream = await opened(server)
        await stream.speak("Sure,")
        await stream.speak("let us see.")
        await stream.finish()
        assert [piece async for piece in stream.pieces()] == []
        await stream.close()
        yield sent


async def test_every_clause_is_flushed_and_ends_in_a_space(
    conversation: list[dict[str, Any]],
) -> None:
    _, *clauses, last = conversation
    assert [(f["text"], f["flush"]) for f in clauses] == [("Sure, ", True), ("let us see. ", True)]
    assert last == {"context_id": CONTEXT, "close_context": True}
    assert {frame["context_id"] for frame in conversation} == {CONTEXT}


async def test_the_voice_settings_come_first(conversation: list[dict[str, Any]]) -> None:
    assert conversation[0]["voice_settings"] == {"speed": 1.0, "stability": 0.5}


@pytest.mark.parametrize(
    ("model", "language"), [("eleven_flash_v2_5", ["en"]), ("eleven_multilingual_v2", None)]
)
async def test_what_is_wanted_goes_with_the_handshake(
    model: str, language: list[str] | None
) -> None:
    async with playing(until_closed_quietly) as server:
        await (await opened(server, model)).close()
        (peer,) = server.peers
    url = urlsplit(peer.path)
    query = parse_qs(url.query)
    assert url.path == f"/v1/text-to-speech/{DEFAULT_SETTINGS.voice}/multi-stream-input"
    assert (query["model_id"], query["output_format"]) == ([model], ["pcm_24000"])
    assert query.get("language_code") == language
    assert peer.headers["xi-api-key"] == "the-key"


async def until_closed_quietly(peer: Peer) -> None:
    await until_closed(peer)


async def test_audio_comes_with_the_times_of_its_characters() -> None:
    (piece,) = await spoken(audio(), FINAL)
    assert piece == SpeechPiece(PCM, Alignment(["H", "i"], [0, 10], [10, 20]))


@pytest.mark.parametrize(
    "fields",
    [
        {"alignment": {**TIMES, "charsDurationsMs": [10, 20], "charDurationsMs": None}},
        {"alignment": None, "normalizedAlignment": TIMES},
        {"normalizedAlignment": {"chars": ["x"], "charStartTimesMs": [1], "charDurationsMs": [1]}},
    ],
)
async def test_alignment_is_read_in_every_spelling(fields: dict[str, Any]) -> None:
    (piece,) = await spoken(audio(**fields), FINAL)
    exact = fields.get("alignment", TIMES) is not None
    assert piece.alignment == Alignment(["H", "i"], [0, 10], [10, 20], exact)


@pytest.mark.parametrize(
    "alignment",
    [
        None,
        [],
        "x",
        {},
        {"chars": "Hi"},
        {**TIMES, "charStartTimesMs": None},
        {**TIMES, "chars": [1, None]},
        {**TIMES, "charStartTimesMs": [0, None]},
        {**TIMES, "charDurationsMs": ["x", {}]},
    ],
)
async def test_audio_without_sensible_times_is_still_audio(alignment: object) -> None:
    (piece,) = await spoken(audio(alignment=alignment), FINAL)
    assert piece == SpeechPiece(PCM, None)


@pytest.mark.parametrize(
    "final",
    [
        {"isFinal": True, "contextId": CONTEXT},
        {"is_final": True, "context_id": CONTEXT},
        {"isFinal": True},
        audio(isFinal=True),
    ],
)
async def test_the_final_frame_is_known_in_every_spelling(final: dict[str, Any]) -> None:
    pieces = await spoken(audio(), final, {"error": "too late"})
    assert [piece.pcm for piece in pieces[:1]] == [PCM]


async def test_frames_of_other_contexts_and_kinds_are_passed_over() -> None:
    pieces = await spoken(
        audio(contextId="older"),
        {"is_final": True, "context_id": "older"},
        {"type": "flush_done"},
        {"audio": ""},
        audio(),
        FINAL,
    )
    assert [piece.pcm for piece in pieces] == [PCM]


async def test_a_frame_may_be_larger_than_a_megabyte() -> None:
    large = bytes(1_500_000)
    (piece,) = await spoken(audio(audio=base64.b64encode(large).decode()), FINAL)
    assert piece.pcm == large


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("invalid_api_key", "unauthorized"),
        ("quota_exceeded", "refused"),
        ("voice_not_found", "refused"),
        ("max_active_conversations", "rate_limited"),
        ("too_many_concurrent_requests", "rate_limited"),
        ("system_busy", "unavailable"),
        ("input_timeout_exceeded", "unavailable"),
    ],
)
async def test_error_frames(name: str, kind: str) -> None:
    found = await failed({"message": "details", "error": name, "code": 1008})
    assert found.kind == kind
    assert "details" not in found.message


@pytest.mark.parametrize(
    "frame",
    [
        "not json",
        "[" * 5_000,
        "[]",
        "1",
        b"\xff",
        audio(audio="@@@"),
        audio(audio="AAA"),
        audio(audio=7),
    ],
)
async def test_garbage_makes_no_sense(frame: object) -> None:
    assert (await failed(frame)).kind == "invalid"


@pytest.mark.parametrize("how", ["cut", "closed", "closed with an error"])
async def test_a_socket_that_ends_early_is_a_failure_after_what_has_come(how: str) -> None:
    async def script(peer: Peer) -> None:
        await until_closed(peer)
        await peer.send(audio())
        if how == "cut":
            peer.cut()
        else:
            await peer.close(1000 if how == "closed" else 1008)

    pieces: list[SpeechPiece] = []
    async with playing(script) as server:
        stream = await opened(server)
        await stream.finish()
        with pytest.raises(ProviderError) as raised:  # noqa: PT012 - what came before counts
            async for piece in stream.pieces():
                pieces.append(piece)
        await stream.close()
    assert raised.value.kind == "unavailable"
    if how != "cut":  # what was on its way when the connection broke may be lost
        assert [piece.pcm for piece in pieces] == [PCM]


@pytest.mark.parametrize(
    ("status", "kind"), [(401, "unauthorized"), (429, "rate_limited"), (503, "unavailable")]
)
async def test_a_handshake_that_is_refused(status: int, kind: str) -> None:
    async with playing() as server:
        server.refusal = (status, {"Retry-After": "2"})
        with pytest.raises(ProviderError) as raised:
            await opened(server)
    found = raised.value
    assert (found.kind, found.cause.status, found.retry_after_ms) == (kind, status, 2000)
    assert "the-key" not in found.message


async def test_nobody_is_there() -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    synthesizer = build_synthesizer(build_context(variables={"ELEVENLABS_BASE_URL": url}))
    with pytest.raises(ProviderError) as raised:
        await synthesizer.open("pcm_24000", DEFAULT_SETTINGS)
    assert raised.value.kind == "unavailable"


async def test_closing_never_raises() -> None:
    async def script(peer: Peer) -> None:
        await peer.receive()
        peer.cut()

    async with playing(script) as server:
        stream = await opened(server)
        await stream.close()
        await stream.close()
