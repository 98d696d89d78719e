"""Flux against a scripted socket: frames, turns, and how it fails."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from parley.errors import ConfigurationError, ProviderError
from parley.protocol.messages import AudioFormat, Endpointing, Settings
from parley.providers import registry, socket
from parley.providers.context import ProviderContext
from parley.providers.deepgram import transcriber
from parley.providers.deepgram.transcriber import TAIL_MS, FluxStream, build_transcriber
from parley.providers.stt import TranscriptPiece
from tests.unit.provider_context import build_context
from tests.unit.speech_server import Peer, closed_port, playing, silence, stalled_port

CONNECTED = {"type": "Connected", "request_id": "x", "sequence_id": 0}
NO_TURN = {"type": "Warning", "code": "FORCE_END_TURN_NO_ACTIVE_TURN", "description": "none"}
CHUNK = bytes(2_560)
SECOND = bytes(32_000)


async def opened(
    url: str,
    endpointing: Endpointing = "manual",
    language: str = "en",
    *,
    audio_format: AudioFormat = "pcm_16000",
    **variables: str,
) -> FluxStream:
    context = build_context(variables={"TRANSCRIPTION_BASE_URL": url, **variables})
    return await build_transcriber(context).open(audio_format, language, endpointing)


def turn(event: str, text: str, index: int = 0, **fields: Any) -> dict[str, Any]:
    return {
        "type": "TurnInfo",
        "event": event,
        "turn_index": index,
        "transcript": text,
        "words": [],
        "end_of_turn_confidence": 0.5,
        **fields,
    }


def ended(text: str, index: int = 0, trigger: str = "manual", **fields: Any) -> dict[str, Any]:
    return turn("EndOfTurn", text, index, trigger=trigger, **fields)


async def until_forced(peer: Peer) -> list[bytes]:
    """The chunks of audio up to `ForceEndTurn`."""
    chunks = []
    while isinstance(raw := await peer.receive_raw(), bytes):
        chunks.append(raw)
    assert json.loads(raw) == {"type": "ForceEndTurn"}
    return chunks


async def heard(
    *frames: object, before: tuple[object, ...] = (), language: str = "en"
) -> list[TranscriptPiece]:
    """What comes of frames that the service sends before and after our `ForceEndTurn`."""

    async def script(peer: Peer) -> None:
        await peer.send(CONNECTED, *before)
        await until_forced(peer)
        await peer.send(*frames)

    async with playing(script) as server:
        stream = await opened(server.url, language=language)
        try:
            await stream.send(SECOND)
            await stream.finish()
            return [piece async for piece in stream.pieces()]
        finally:
            await stream.close()


async def failed(*frames: object) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        await heard(*frames)
    assert raised.value.code == "transcription_failed"
    return raised.value


@pytest.mark.parametrize(
    ("endpointing", "language", "model", "expected"),
    [
        (
            "manual",
            "en",
            "",
            {"model": ["flux-general-en"], "eot_threshold": ["1.0"], "eot_timeout_ms": ["60000"]},
        ),
        ("server_vad", "en", "", {"model": ["flux-general-en"]}),
        ("server_vad", "de", "", {"model": ["flux-general-multi"], "language_hint": ["de"]}),
        ("server_vad", "", "", {"model": ["flux-general-multi"]}),
        ("server_vad", "pl", "", {"model": ["flux-general-multi"]}),
        (
            "server_vad",
            "en",
            "flux-general-multi",
            {"model": ["flux-general-multi"], "language_hint": ["en"]},
        ),
        ("server_vad", "de", "flux-general-en", {"model": ["flux-general-en"]}),
    ],
)
async def test_the_key_and_what_is_wanted_go_with_the_handshake(
    endpointing: Endpointing, language: str, model: str, expected: dict[str, list[str]]
) -> None:
    async with playing(silence) as server:
        await (await opened(server.url, endpointing, language, TRANSCRIPTION_MODEL=model)).close()
        (peer,) = server.peers
    url = urlsplit(peer.path)
    assert url.path == "/v2/listen"
    eager = {"eager_eot_threshold": ["0.4"]} if endpointing == "server_vad" else {}
    assert parse_qs(url.query) == {
        "encoding": ["linear16"],
        "sample_rate": ["16000"],
        **eager,
        **expected,
    }
    assert peer.headers["Authorization"] == "Token the-key"


async def test_audio_arrives_in_chunks_of_80_ms_and_with_a_tail_of_silence() -> None:
    received: list[bytes] = []

    async def script(peer: Peer) -> None:
        received.extend(await until_forced(peer))
        await peer.send(ended("Hello."))

    sent = [bytes([n, n]) * 1_001 for n in range(1, 9)]
    async with playing(script) as server:
        stream = await opened(server.url)
        for pcm in sent:
            await stream.send(pcm)
        await stream.finish()
        assert [piece async for piece in stream.pieces()] == [TranscriptPiece("Hello.", True)]
        await stream.close()
    audio, whole = b"".join(received), b"".join(sent)
    assert {len(chunk) for chunk in received} == {len(CHUNK)}
    assert audio.startswith(whole)
    assert set(audio[len(whole) :]) == {0}
    assert TAIL_MS <= (len(audio) - len(whole)) / 32 < TAIL_MS + 80


async def test_a_rate_that_flux_does_not_take_is_doubled() -> None:
    received: list[bytes] = []

    async def script(peer: Peer) -> None:
        received.extend(await until_forced(peer))
        await peer.send(ended("Hello."))

    samples = (100, 300, -300, 32_767)
    pcm = b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples)
    async with playing(script) as server:
        stream = await opened(server.url, audio_format="pcm_22050")
        await stream.send(pcm[:3])
        await stream.send(pcm[3:])
        await stream.finish()
        assert [piece async for piece in stream.pieces()]
        await stream.close()
        (peer,) = server.peers
    assert parse_qs(urlsplit(peer.path).query)["sample_rate"] == ["44100"]
    audio = b"".join(received)[:16]
    doubled = [int.from_bytes(audio[at : at + 2], "little", signed=True) for at in range(0, 16, 2)]
    assert doubled == [50, 100, 200, 300, 0, -300, 16_233, 32_767]


async def test_transcripts_come_as_they_change() -> None:
    pieces = await heard(
        turn("Update", ""),
        turn("StartOfTurn", "What"),
        turn("Update", "What"),
        turn("Update", "What time"),
        ended("What time?"),
    )
    assert pieces == [
        TranscriptPiece("What", False),
        TranscriptPiece("What time", False),
        TranscriptPiece("What time?", True),
    ]


async def test_turns_that_end_by_themselves_are_kept_until_ours_ends() -> None:
    pieces = await heard(
        turn("Update", "and its", 1),
        ended("and its end.", 1),
        before=(
            turn("StartOfTurn", "A long story"),
            ended("A long story", trigger="timeout"),
            turn("StartOfTurn", "and", 1),
        ),
    )
    assert pieces == [
        TranscriptPiece("A long story", False),
        TranscriptPiece("A long story and", False),
        TranscriptPiece("A long story and its", False),
        TranscriptPiece("A long story and its end.", True),
    ]


@pytest.mark.parametrize("trigger", ["model", "timeout"])
async def test_a_turn_that_ended_before_ours_arrived_is_all_that_was_said(trigger: str) -> None:
    pieces = await heard(turn("Update", "All"), ended("All of it.", trigger=trigger), NO_TURN)
    assert pieces[-1] == TranscriptPiece("All of it.", True)
    assert [piece.final for piece in pieces].count(True) == 1


async def test_words_behind_a_turn_that_ended_by_itself_are_awaited() -> None:
    pieces = await heard(ended("One.", trigger="timeout"), ended("Two.", 1))
    assert pieces[-1] == TranscriptPiece("One. Two.", True)


async def test_the_end_of_a_turn_for_a_reason_of_the_future_is_the_answer() -> None:
    assert (await heard(ended("Yes.", trigger="gesture")))[-1] == TranscriptPiece("Yes.", True)


async def test_nobody_said_anything() -> None:
    assert await heard(turn("Update", ""), NO_TURN) == [TranscriptPiece("", True)]


async def test_other_warnings_change_nothing_and_likely_ends_are_told() -> None:
    pieces = await heard(
        turn("EagerEndOfTurn", "Well"),
        turn("TurnResumed", "Well"),
        ended("Well then."),
        before=({"type": "Warning", "code": "SOMETHING_NEW"}, {"no": "type"}),
    )
    assert pieces == [
        TranscriptPiece("Well", False, "", "likely_end"),
        TranscriptPiece("Well", False, "", "unlikely_end"),
        TranscriptPiece("Well then.", True),
    ]


@pytest.mark.parametrize("answer", [ended("Well."), NO_TURN])
async def test_a_flush_is_answered_in_its_turn(answer: dict[str, Any]) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(CONNECTED)
        await until_forced(peer)
        await peer.send(turn("Update", "Well."), answer)
        await until_forced(peer)
        await peer.send(ended("Then go.", 1))

    async with playing(script) as server:
        stream = await opened(server.url)
        await stream.send(SECOND)
        assert await stream.flush()
        pieces = aiter(stream.pieces())
        first = [await anext(pieces), await anext(pieces)]
        await stream.send(SECOND)
        await stream.finish()
        rest = [piece async for piece in pieces]
        await stream.close()
    assert first == [
        TranscriptPiece("Well.", False),
        TranscriptPiece("Well.", False, "", "confirmed"),
    ]
    assert rest == [TranscriptPiece("Well. Then go.", True)]


async def test_before_a_flush_all_that_was_said_is_sent_with_a_tail_of_silence() -> None:
    received: list[bytes] = []

    async def script(peer: Peer) -> None:
        received.append(b"".join(await until_forced(peer)))
        received.append(b"".join(await until_forced(peer)))
        await peer.send(ended("Well."), ended("Then go.", 1))

    said, more = b"\1\1" * 1_001, b"\2\2" * 1_001
    async with playing(script) as server:
        stream = await opened(server.url)
        await stream.send(said)
        assert await stream.flush()
        await stream.send(more)
        await stream.finish()
        assert [piece async for piece in stream.pieces()]
        await stream.close()
    for audio, expected in zip(received, (said, more), strict=True):
        assert audio.startswith(expected)
        tail = audio[len(expected) :]
        assert set(tail) == {0}
        assert TAIL_MS <= len(tail) / 32 < TAIL_MS + 80


async def test_the_answer_to_a_flush_does_not_end_the_utterance() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(CONNECTED)
        await until_forced(peer)
        await until_forced(peer)
        await peer.send(ended("Well."), ended("Then go.", 1))

    async with playing(script) as server:
        stream = await opened(server.url)
        await stream.send(SECOND)
        await stream.flush()
        await stream.send(SECOND)
        await stream.finish()
        pieces = [piece async for piece in stream.pieces()]
        await stream.close()
    assert pieces[-1] == TranscriptPiece("Well. Then go.", True)


async def test_where_the_model_ends_turns_nothing_is_flushed() -> None:
    async with playing(silence) as server:
        stream = await opened(server.url, "server_vad", PREEMPTIVE_REPLIES="off")
        assert not await stream.flush()
        await stream.close()
        (peer,) = server.peers
    assert "eager_eot_threshold" not in peer.path


async def test_with_server_vad_the_end_of_a_turn_ends_the_utterance() -> None:
    async def script(peer: Peer) -> None:
        await peer.receive_raw()
        await peer.send(
            CONNECTED,
            ended("", trigger="model"),
            turn("StartOfTurn", "Go"),
            ended("Go on.", trigger="model"),
        )

    async with playing(script) as server:
        stream = await opened(server.url, "server_vad")
        await stream.send(SECOND)
        pieces = [piece async for piece in stream.pieces()]
        await stream.close()
    assert pieces == [TranscriptPiece("Go", False), TranscriptPiece("Go on.", True)]


async def test_the_language_that_was_heard_most_goes_along() -> None:
    pieces = await heard(
        turn("StartOfTurn", "Guten", languages=[]),
        turn("Update", "Guten Tag", languages=["de", "en"]),
        ended("Guten Tag, Sir.", languages=["de-CH", "en"]),
        language="",
    )
    assert [piece.language for piece in pieces] == ["", "de", "de"]
    assert registry.TRANSCRIBERS["deepgram"].detects_language


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("INTERNAL_SERVER_ERROR", "unavailable"),
        ("UNPARSABLE_CLIENT_MESSAGE", "refused"),
        ("TOO_MANY_REQUESTS", "rate_limited"),
        ("SOMETHING_NEW", "unavailable"),
        (None, "unavailable"),
    ],
)
async def test_error_frames(code: str | None, kind: str) -> None:
    found = await failed({"type": "Error", "code": code, "description": "details of it"})
    assert found.kind == kind
    assert "details" not in found.message


@pytest.mark.parametrize(
    "frame", ["not json", "[1]", b"\xff\xfe", {"type": "TurnInfo", "event": "Update"}]
)
async def test_garbage_makes_no_sense(frame: object) -> None:
    assert (await failed(frame)).kind == "invalid"


@pytest.mark.parametrize("how", ["cut", "closed", "closed with an error"])
async def test_a_socket_that_ends_early_is_worth_another_try(how: str) -> None:
    async def script(peer: Peer) -> None:
        await until_forced(peer)
        await peer.send(turn("Update", "Half of"))
        if how == "cut":
            peer.cut()
        else:
            await peer.close(1000 if how == "closed" else 1011)

    async with playing(script) as server:
        stream = await opened(server.url)
        await stream.finish()
        with pytest.raises(ProviderError) as raised:
            assert [p async for p in stream.pieces() if p.final] == []
        assert raised.value.kind == "unavailable"
        with pytest.raises(ProviderError):
            await stream.send(SECOND)
        await stream.close()


async def test_a_service_out_of_reach_is_found_out_while_the_user_talks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transcriber, "PING_INTERVAL_S", 0.05)
    monkeypatch.setattr(transcriber, "PING_TIMEOUT_S", 0.1)

    async def script(peer: Peer) -> None:
        peer.stall()

    async with playing(script) as server:
        stream = await opened(server.url, "server_vad")
        async with asyncio.timeout(5):
            with pytest.raises(ProviderError) as raised:
                assert [piece async for piece in stream.pieces()] == []
        await stream.close()
        server.peers[0].cut()
    assert raised.value.kind == "unavailable"


@pytest.mark.parametrize(
    ("status", "code", "kind", "named"),
    [
        (400, "Bad Request", "refused", "TranscriptionModel"),
        (401, "INVALID_AUTH", "unauthorized", "DeepgramApiKey"),
        (402, "ASR_PAYMENT_REQUIRED", "refused", "quota"),
        (403, "INSUFFICIENT_PERMISSIONS", "unauthorized", "TranscriptionModel"),
        (429, "TOO_MANY_REQUESTS", "rate_limited", "limit"),
        (503, "STATUS_503", "unavailable", "down"),
    ],
)
async def test_a_handshake_that_is_refused(status: int, code: str, kind: str, named: str) -> None:
    async with playing() as server:
        server.refusal = (status, {"dg-request-id": "3b241101-e2bb", "dg-error": "the-key said"})
        server.refusal_body = json.dumps({"err_code": code, "err_msg": "the-key said"}).encode()
        with pytest.raises(ProviderError) as raised:
            await opened(server.url)
    cause = raised.value.cause
    assert (raised.value.kind, cause.status, cause.request_id) == (kind, status, "3b241101-e2bb")
    assert cause.provider_code == (code if " " not in code else None)  # a sentence is no name
    assert named in cause.advice
    assert "the-key" not in f"{raised.value} {cause}"


@pytest.mark.parametrize("wait", [None, "1.5"])
async def test_a_busy_service_may_say_when_to_come_again(wait: str | None) -> None:
    async with playing() as server:
        server.refusal = (429, {"Retry-After": wait} if wait else {})
        with pytest.raises(ProviderError) as raised:
            await opened(server.url)
    assert raised.value.kind == "rate_limited"
    assert raised.value.retry_after_ms == (1500 if wait else None)


async def test_a_connect_that_stalls_is_worth_another_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "CONNECT_TIMEOUT_S", 0.05)
    async with stalled_port() as port:
        with pytest.raises(ProviderError) as raised:
            await opened(f"http://127.0.0.1:{port}")
    assert raised.value.kind == "unavailable"


async def test_nobody_is_there() -> None:
    with pytest.raises(ProviderError) as raised:
        await opened(f"http://127.0.0.1:{closed_port()}")
    assert raised.value.kind == "unavailable"


def deployed(language: str = "en", *, fallback: bool = False, **variables: str) -> ProviderContext:
    context = build_context(variables=variables)
    return ProviderContext(
        context.variables,
        context.read_key,
        context.http_client,
        Settings(language=language),
        context.timeout_s,
        context.log,
        is_fallback=fallback,
    )


@pytest.mark.parametrize(
    ("context", "sentence"),
    [
        (deployed(TRANSCRIPTION_MODEL="nova-3"), "^TranscriptionModel: .*leave it empty"),
        (
            deployed("de", TRANSCRIPTION_MODEL="flux-general-en"),
            "^TranscriptionModel: .*English only",
        ),
        (
            deployed(TRANSCRIPTION_MODEL="flux-general-en", LANGUAGE_DETECTION="on"),
            "^TranscriptionModel: .*LanguageDetection",
        ),
        (deployed("pl"), "^Language: .*'pl'"),
        (
            deployed(FALLBACK_TRANSCRIPTION_MODEL="nova-3", fallback=True),
            "^FallbackTranscriptionModel: ",
        ),
    ],
)
def test_what_flux_cannot_hear_is_refused_at_the_start(
    context: ProviderContext, sentence: str
) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        build_transcriber(context)


@pytest.mark.parametrize(
    "context",
    [
        deployed("de"),
        deployed("pl", LANGUAGE_DETECTION="on"),
        deployed("en", TRANSCRIPTION_MODEL="flux-general-multi", LANGUAGE_DETECTION="on"),
        deployed("en", TRANSCRIPTION_MODEL="flux-general-en"),
    ],
)
def test_what_flux_can_hear_is_accepted(context: ProviderContext) -> None:
    assert build_transcriber(context).rules.repeatable
