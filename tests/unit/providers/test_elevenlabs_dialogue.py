"""Synthesis by v3 and v4 against a scripted dialogue socket: frames, ends, and how it fails."""

from __future__ import annotations

import asyncio
import base64
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from parley.audio.word_timing import Alignment
from parley.config import DEFAULT_SETTINGS
from parley.errors import ProviderError
from parley.providers.elevenlabs import dialogue
from parley.providers.elevenlabs.dialogue import (
    CONTEXT,
    DialogueSpeech,
    DialogueSynthesizer,
)
from parley.providers.elevenlabs.synthesizer import ElevenLabsSynthesizer, build_synthesizer
from parley.providers.tts import SpeechPiece
from tests.unit.provider_context import build_context
from tests.unit.speech_server import Peer, SpeechServer, closed_port, playing, silence

PCM = bytes(range(64))
AUDIO = base64.b64encode(PCM).decode()
TIMES = {"chars": ["H", "i"], "char_start_times_ms": [0, 10], "char_durations_ms": [10, 20]}
CLAUSE_END = {"is_final_audio_for_turn": True, "context_id": CONTEXT}
FINAL = {"is_final": True, "context_id": CONTEXT}
END_OF_CLAUSE = SpeechPiece(b"", None, ends_clause=True)


@pytest.fixture(autouse=True)
def _no_end_by_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialogue, "ANSWER_WAIT_S", 60.0)


async def opened(server: SpeechServer, model: str = "eleven_v4_turbo") -> DialogueSpeech:
    context = build_context(variables={"ELEVENLABS_BASE_URL": server.url, "SPEECH_MODEL": model})
    stream = await build_synthesizer(context).open("pcm_24000", DEFAULT_SETTINGS)
    assert isinstance(stream, DialogueSpeech)
    return stream


def audio(**fields: Any) -> dict[str, Any]:
    return {"audio": AUDIO, "context_id": CONTEXT, "alignment": TIMES, **fields}


async def until(peer: Peer, field: str) -> list[dict[str, Any]]:
    """What the client sends, up to and with the first frame that has a field."""
    frames = [await peer.receive()]
    while not frames[-1].get(field):
        frames.append(await peer.receive())
    return frames


async def spoken(*frames: object, final: object = FINAL) -> list[SpeechPiece]:
    """What comes of frames that the service answers one flushed clause with."""

    async def script(peer: Peer) -> None:
        await until(peer, "flush")
        await peer.send(*frames)
        await until(peer, "close_context")
        await peer.send(final)

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


@pytest.mark.parametrize(
    ("model", "in_dialogue"),
    [
        ("eleven_v3", True),
        ("eleven_v3_conversational", True),
        ("eleven_v4", True),
        ("eleven_v4_turbo", True),
        ("eleven_flash_v2_5", False),
        ("eleven_multilingual_v2", False),
        ("", False),
    ],
)
def test_the_model_says_which_socket_serves_it(model: str, in_dialogue: bool) -> None:
    built = build_synthesizer(build_context(variables={"SPEECH_MODEL": model}))
    expected = DialogueSynthesizer if in_dialogue else ElevenLabsSynthesizer
    assert type(built) is expected


@pytest.mark.parametrize(
    ("model", "hedge_after_s"),
    [("eleven_v4_turbo", 0), ("eleven_v3_conversational", 0), ("eleven_v4", 4), ("eleven_v3", 4)],
)
def test_a_model_for_reading_aloud_is_given_more_time(model: str, hedge_after_s: float) -> None:
    built = build_synthesizer(build_context(variables={"SPEECH_MODEL": model}))
    assert built.rules.hedge_after_s == hedge_after_s


async def test_what_is_wanted_goes_with_the_handshake() -> None:
    async with playing(silence) as server:
        await (await opened(server, "eleven_v3")).close()
        (peer,) = server.peers
    url = urlsplit(peer.path)
    assert url.path == "/v1/text-to-dialogue/multi-stream-input"
    assert parse_qs(url.query) == {
        "model_id": ["eleven_v3"],
        "output_format": ["pcm_24000"],
        "sync_alignment": ["true"],
        "language_code": ["en"],
    }
    assert peer.headers["xi-api-key"] == "the-key"


async def test_a_reply_is_one_turn_of_one_voice_in_which_every_clause_is_flushed() -> None:
    sent: list[dict[str, Any]] = []

    async def script(peer: Peer) -> None:
        sent.extend(await until(peer, "flush"))
        sent.extend(await until(peer, "flush"))
        await peer.send(CLAUSE_END, CLAUSE_END)
        sent.extend(await until(peer, "close_context"))
        await peer.send(FINAL)

    async with playing(script) as server:
        stream = await opened(server)
        await stream.speak("Sure,")
        await stream.speak("let us see.")
        await stream.finish()
        assert [piece async for piece in stream.pieces()] == [END_OF_CLAUSE, END_OF_CLAUSE]
        await stream.close()
    voice = DEFAULT_SETTINGS.voice
    assert {frame.pop("context_id") for frame in sent} == {CONTEXT}
    assert sent == [
        {"voices": [voice], "voice_settings": {"stability": 0.5}},
        {"inputs": [{"text": "Sure, ", "voice_id": voice, "new_turn": True}]},
        {"flush": True},
        {"inputs": [{"text": "let us see. ", "voice_id": voice, "new_turn": False}]},
        {"flush": True},
        {"close_context": True},
    ]


async def test_the_context_is_closed_only_when_every_flush_is_answered() -> None:
    early: list[dict[str, Any]] = []

    async def script(peer: Peer) -> None:
        await until(peer, "flush")
        await until(peer, "flush")
        await peer.send(audio(), CLAUSE_END)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                early.append(await peer.receive())
        await peer.send(audio(), CLAUSE_END)
        await until(peer, "close_context")
        await peer.send(audio(alignment=None), FINAL)

    async with playing(script) as server:
        stream = await opened(server)
        await stream.speak("One.")
        await stream.speak("Two.")
        await stream.finish()
        pieces = [piece async for piece in stream.pieces()]
        await stream.close()
    assert early == []
    times = Alignment(["H", "i"], [0, 10], [10, 20])
    assert pieces == [
        SpeechPiece(PCM, times),
        END_OF_CLAUSE,
        SpeechPiece(PCM, times),
        END_OF_CLAUSE,
        SpeechPiece(PCM, None),
    ]


async def test_a_reply_without_a_clause_is_closed_at_once() -> None:
    async def script(peer: Peer) -> None:
        await until(peer, "close_context")
        await peer.send(FINAL)

    async with playing(script) as server:
        stream = await opened(server)
        await stream.finish()
        assert [piece async for piece in stream.pieces()] == []
        await stream.close()


async def test_a_service_that_answers_a_turn_and_not_each_flush_still_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dialogue, "ANSWER_WAIT_S", 0.1)

    async def script(peer: Peer) -> None:
        await until(peer, "flush")
        await until(peer, "flush")
        await peer.send(audio(), audio())
        await until(peer, "close_context")
        await peer.send(CLAUSE_END, FINAL)

    async with playing(script) as server:
        stream = await opened(server)
        await stream.speak("One.")
        await stream.speak("Two.")
        await stream.finish()
        pieces = [piece async for piece in stream.pieces()]
        await stream.close()
    assert [piece.pcm for piece in pieces] == [PCM, PCM, b""]


async def test_more_answers_than_flushes_end_no_clause() -> None:
    pieces = await spoken(audio(), CLAUSE_END, CLAUSE_END)
    assert [piece.ends_clause for piece in pieces] == [False, True]


async def test_the_context_is_kept_alive_until_it_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dialogue, "KEEP_ALIVE_S", 0.02)
    after: list[dict[str, Any]] = []
    kept_alive = asyncio.Event()

    async def script(peer: Peer) -> None:
        await until(peer, "keep_alive")
        await until(peer, "keep_alive")
        kept_alive.set()
        await until(peer, "flush")
        await peer.send(CLAUSE_END)
        await until(peer, "close_context")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                after.append(await peer.receive())
        await peer.send(FINAL)

    async with playing(script) as server:
        stream = await opened(server)
        async with asyncio.timeout(5):
            await kept_alive.wait()
        await stream.speak("Hi.")
        await stream.finish()
        assert [piece async for piece in stream.pieces()] == [END_OF_CLAUSE]
        await stream.close()
    assert after == []


async def test_a_context_that_the_service_closes_by_itself_is_a_failure() -> None:
    assert (await failed(audio(), FINAL)).kind == "unavailable"


async def test_why_the_service_has_gone_is_told_even_if_keeping_alive_finds_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dialogue, "KEEP_ALIVE_S", 0.05)

    async def script(peer: Peer) -> None:
        await peer.receive()
        await peer.send({"message": "m", "error": "quota_exceeded", "code": 1008})
        await peer.close(1008)

    async with playing(script) as server:
        stream = await opened(server)
        async with asyncio.timeout(5):
            await asyncio.wait([stream._keep_alive_task])
            with pytest.raises(ProviderError) as raised:
                assert [piece async for piece in stream.pieces()] == []
        await stream.close()
    assert raised.value.cause.reason == "quota"


@pytest.mark.parametrize("alignment", [None, [], {}, {**TIMES, "char_durations_ms": ["x"]}])
async def test_audio_without_sensible_times_is_still_audio(alignment: object) -> None:
    pieces = await spoken(audio(alignment=alignment), CLAUSE_END)
    assert pieces == [SpeechPiece(PCM, None), END_OF_CLAUSE]


async def test_frames_of_other_contexts_and_kinds_are_passed_over() -> None:
    pieces = await spoken(
        audio(context_id="older"),
        {"is_final": True, "context_id": "older"},
        {"type": "flush_done"},
        {"audio": ""},
        audio(),
        CLAUSE_END,
    )
    assert [piece.pcm for piece in pieces] == [PCM, b""]


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("authentication_required", "unauthorized", "key"),
        ("invalid_api_key", "unauthorized", "key"),
        ("quota_exceeded", "refused", "quota"),
        ("voice_not_found", "refused", "voice"),
        ("too_many_concurrent_requests", "rate_limited", "busy"),
        ("context_closing", "unavailable", "down"),
    ],
)
async def test_error_frames(name: str, kind: str, reason: str) -> None:
    found = await failed({"message": "details", "error": name, "code": 1008, "param": None})
    assert (found.kind, found.cause.reason) == (kind, reason)
    assert "details" not in found.message


@pytest.mark.parametrize("frame", ["not json", "[]", b"\xff", audio(audio="@@@"), audio(audio=7)])
async def test_garbage_makes_no_sense(frame: object) -> None:
    assert (await failed(frame)).kind == "invalid"


@pytest.mark.parametrize("how", ["cut", "closed", "closed with an error"])
async def test_a_socket_that_ends_early_is_a_failure_after_what_has_come(how: str) -> None:
    async def script(peer: Peer) -> None:
        await until(peer, "flush")
        await peer.send(audio())
        if how == "cut":
            peer.cut()
        else:
            await peer.close(1000 if how == "closed" else 1008)

    pieces: list[SpeechPiece] = []
    async with playing(script) as server:
        stream = await opened(server)
        await stream.speak("Hi.")
        await stream.finish()
        with pytest.raises(ProviderError) as raised:  # noqa: PT012 - what came before counts
            async for piece in stream.pieces():
                pieces.append(piece)
        await stream.close()
    assert raised.value.kind == "unavailable"
    if how != "cut":  # what was on its way when the connection broke may be lost
        assert [piece.pcm for piece in pieces] == [PCM]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "refused"), (401, "unauthorized"), (429, "rate_limited"), (503, "unavailable")],
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
    variables = {"ELEVENLABS_BASE_URL": url, "SPEECH_MODEL": "eleven_v3"}
    with pytest.raises(ProviderError) as raised:
        await build_synthesizer(build_context(variables=variables)).open(
            "pcm_24000", DEFAULT_SETTINGS
        )
    assert raised.value.kind == "unavailable"


async def test_an_interrupted_reply_closes_its_socket_and_asks_no_more() -> None:
    async with playing(silence) as server:
        stream = await opened(server)
        await stream.speak("Hi.")
        tasks = asyncio.all_tasks()
        await stream.close()
        await stream.close()
        async with asyncio.timeout(5):
            await server.peers[0].gone()
        assert asyncio.all_tasks() <= tasks
