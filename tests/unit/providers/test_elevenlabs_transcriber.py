"""Realtime transcription against a scripted socket: frames, commits, and how it fails."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from parley.errors import ProviderError
from parley.protocol.messages import Endpointing
from parley.providers import socket
from parley.providers.elevenlabs import transcriber
from parley.providers.elevenlabs.transcriber import (
    AUTO_COMMIT_FROM_MS,
    MIN_AUDIO_MS,
)
from parley.providers.stt import TranscriptPiece
from tests.unit.providers.scribe import (
    SECOND,
    STARTED,
    committed,
    described,
    error,
    opened,
    partial,
    until_commit,
)
from tests.unit.speech_server import Peer, closed_port, playing, silence, stalled_port


async def heard(
    *frames: object, endpointing: Endpointing = "manual", language: str = "en"
) -> list[TranscriptPiece]:
    """What comes of frames that the service sends after our commit."""

    async def script(peer: Peer) -> None:
        await peer.send(STARTED)
        await until_commit(peer)
        await peer.send(*frames)

    async with playing(script) as server:
        stream = await opened(server.url, endpointing, language)
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


async def test_the_key_and_what_is_wanted_go_with_the_handshake() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(STARTED)

    async with playing(script) as server:
        await (await opened(server.url, "server_vad", "de")).close()
        (peer,) = server.peers
    url = urlsplit(peer.path)
    assert url.path == "/v1/speech-to-text/realtime"
    assert parse_qs(url.query) == {
        "model_id": ["scribe_v2_realtime"],
        "audio_format": ["pcm_16000"],
        "commit_strategy": ["vad"],
        "language_code": ["de"],
    }
    assert peer.headers["xi-api-key"] == "the-key"


@pytest.mark.parametrize(
    ("model", "endpointing", "strategy"),
    [
        ("", "manual", "manual"),
        ("", "server_vad", "vad"),
        ("scribe_v3_live", "manual", "manual"),
        ("scribe_v3_live", "server_vad", "turn_prediction"),
    ],
)
async def test_who_commits_depends_on_the_model(
    model: str, endpointing: Endpointing, strategy: str
) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(STARTED)

    async with playing(script) as server:
        await (await opened(server.url, endpointing, model=model)).close()
        (peer,) = server.peers
    query = parse_qs(urlsplit(peer.path).query)
    assert query["commit_strategy"] == [strategy]
    assert query["model_id"] == [model or "scribe_v2_realtime"]


async def test_all_audio_arrives_and_then_the_commit() -> None:
    received: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.send(STARTED)
        received.append(await until_commit(peer))
        await peer.send(committed("Hello."))

    chunks = [bytes([n, n]) * 4_000 for n in range(5)]
    async with playing(script) as server:
        stream = await opened(server.url)
        for chunk in chunks:
            await stream.send(chunk)
        await stream.finish()
        assert [piece async for piece in stream.pieces()] == [TranscriptPiece("Hello.", True)]
        await stream.close()
    assert received == [b"".join(chunks)]


@pytest.mark.parametrize("sent_ms", [0, 100, MIN_AUDIO_MS - 1, MIN_AUDIO_MS, 2_000])
async def test_a_short_utterance_is_made_long_enough_with_silence(sent_ms: int) -> None:
    received: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.send(STARTED)
        received.append(await until_commit(peer))
        await peer.send(committed("Yes."))

    pcm = b"\1\1" * (16 * sent_ms)
    async with playing(script) as server:
        stream = await opened(server.url)
        if pcm:
            await stream.send(pcm)
        await stream.finish()
        assert [piece async for piece in stream.pieces()]
        await stream.close()
    expected = max(sent_ms, MIN_AUDIO_MS) * 32
    assert received == [pcm + bytes(expected - len(pcm))]


async def test_partial_transcripts_come_as_they_change() -> None:
    pieces = await heard(
        partial("What"), partial("What"), partial(""), partial("What time"), committed("What time?")
    )
    assert pieces == [
        TranscriptPiece("What", False),
        TranscriptPiece("What time", False),
        TranscriptPiece("What time?", True),
    ]


async def test_what_the_service_commits_by_itself_is_kept_before_the_tail() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(STARTED)
        await peer.receive()
        await peer.send(committed("A long story"), partial("and"))
        await until_commit(peer)
        await peer.send(committed("and its end."))

    async with playing(script) as server:
        stream = await opened(server.url)
        await stream.send(SECOND)
        pieces = stream.pieces()
        first = await anext(pieces)
        second = await anext(pieces)
        await stream.finish()
        last = await anext(pieces)
        await stream.close()
    assert first == TranscriptPiece("A long story", False)
    assert second == TranscriptPiece("A long story and", False)
    assert last == TranscriptPiece("A long story and its end.", True)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([committed("A long story"), committed("and its end.")], "A long story and its end."),
        ([committed("All of it."), error("commit_throttled")], "All of it."),
        ([committed("All of it.")], "All of it."),
        ([committed("你好，我想"), committed("订一张票。")], "你好，我想订一张票。"),
        ([committed("สวัสดี"), committed("ครับ")], "สวัสดีครับ"),
    ],
    ids=[
        "the service's own came first",
        "it left nothing for ours",
        "ours alone",
        "Han has no spaces",
        "nor has Thai",
    ],
)
async def test_a_long_utterance_keeps_its_tail_when_the_service_commits_at_the_same_time(
    answers: list[dict[str, Any]], expected: str
) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(STARTED)
        await until_commit(peer)
        await peer.send(*answers)
        await peer.receive()  # the client decides when it is over

    async with playing(script) as server:
        stream = await opened(server.url)
        for _ in range(AUTO_COMMIT_FROM_MS // 1000):
            await stream.send(SECOND)
        await stream.finish()
        pieces = [piece async for piece in stream.pieces()]
        await stream.close()
    assert pieces[-1] == TranscriptPiece(expected, final=True)


async def test_a_stale_partial_after_its_commit_is_not_repeated() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(STARTED)
        await peer.receive()
        await peer.send(committed("Once upon a time"), partial("Once upon a time"))
        await until_commit(peer)
        await peer.send(committed(""))

    async with playing(script) as server:
        stream = await opened(server.url)
        await stream.send(SECOND)
        pieces = stream.pieces()
        await anext(pieces)
        await stream.finish()
        rest = [piece async for piece in pieces]
        await stream.close()
    assert rest == [TranscriptPiece("Once upon a time", True)]


@pytest.mark.parametrize("name", ["commit_throttled", "insufficient_audio_activity"])
async def test_too_little_audio_is_an_empty_transcript_and_no_failure(name: str) -> None:
    assert await heard(error(name)) == [TranscriptPiece("", True)]


async def test_a_throttled_commit_keeps_what_was_committed_before() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(STARTED)
        await peer.receive()
        await peer.send(committed("All of it."))
        await until_commit(peer)
        await peer.send(error("commit_throttled"))

    async with playing(script) as server:
        stream = await opened(server.url)
        await stream.send(SECOND)
        pieces = stream.pieces()
        await anext(pieces)
        await stream.finish()
        assert [p async for p in pieces] == [TranscriptPiece("All of it.", True)]
        await stream.close()


async def test_with_server_vad_the_first_words_that_are_committed_end_the_utterance() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(STARTED)
        await peer.receive()
        await peer.send(committed(""), partial("Go"), committed("Go on."))

    async with playing(script) as server:
        stream = await opened(server.url, "server_vad")
        await stream.send(SECOND)
        pieces = [piece async for piece in stream.pieces()]
        await stream.close()
    assert pieces[-1] == TranscriptPiece("Go on.", True)
    assert [piece.final for piece in pieces].count(True) == 1


async def test_repeated_finals_and_frames_of_the_future_change_nothing() -> None:
    pieces = await heard(
        {"message_type": "final_transcript", "text": "Hm"},
        {"message_type": "committed_transcript_with_timestamps", "text": "Hm", "words": []},
        {"message_type": "mood_detected", "mood": "good"},
        {"no": "type"},
        committed("Hm."),
    )
    assert pieces == [TranscriptPiece("Hm.", True)]


@pytest.mark.parametrize(
    ("name", "kind", "retryable"),
    [
        ("auth_error", "unauthorized", False),
        ("quota_exceeded", "refused", False),
        ("unaccepted_terms", "refused", False),
        ("invalid_request", "refused", False),
        ("rate_limited", "rate_limited", True),
        ("resource_exhausted", "rate_limited", True),
        ("queue_overflow", "rate_limited", True),
        ("transcriber_error", "unavailable", True),
        ("session_time_limit_exceeded", "unavailable", True),
        ("error", "unavailable", True),
    ],
)
async def test_error_frames(name: str, kind: str, retryable: bool) -> None:
    found = await failed(error(name))
    assert (found.kind, found.retryable) == (kind, retryable)
    assert "details of" not in found.message


@pytest.mark.parametrize(
    "frame", ["not json", "[" * 5_000, "[1]", '"x"', b"\xff\xfe", '{"a": "\\ud800"}']
)
async def test_garbage_makes_no_sense(frame: object) -> None:
    assert (await failed(frame)).kind == "invalid"


@pytest.mark.parametrize("how", ["cut", "closed", "closed with an error"])
async def test_a_socket_that_ends_early_is_worth_another_try(how: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(STARTED)
        await until_commit(peer)
        if how == "cut":
            peer.cut()
        else:
            await peer.close(1000 if how == "closed" else 1011)

    async with playing(script) as server:
        stream = await opened(server.url)
        await stream.finish()
        with pytest.raises(ProviderError) as raised:
            assert [piece async for piece in stream.pieces()] == []
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
        await peer.send(STARTED)
        peer.stall()

    async with playing(script) as server:
        stream = await opened(server.url, "server_vad")
        await stream.send(SECOND)
        async with asyncio.timeout(5):
            with pytest.raises(ProviderError) as raised:
                assert [piece async for piece in stream.pieces()] == []
        await stream.close()
        server.peers[0].cut()
    assert raised.value.kind == "unavailable"


async def test_a_bad_key_opens_the_socket_and_is_found_out_then() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(error("auth_error"))
        await peer.close()

    async with playing(script) as server:
        with pytest.raises(ProviderError) as raised:
            await opened(server.url)
    assert (raised.value.kind, raised.value.retryable) == ("unauthorized", False)
    assert "the-key" not in raised.value.message


async def test_a_service_that_does_not_start_is_worth_another_try() -> None:
    async with playing(silence) as server:
        with pytest.raises(ProviderError) as raised:
            await opened(server.url)
    assert raised.value.kind == "unavailable"


async def test_a_connect_that_stalls_is_worth_another_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "CONNECT_TIMEOUT_S", 0.05)
    async with stalled_port() as port:
        with pytest.raises(ProviderError) as raised:
            await opened(f"http://127.0.0.1:{port}")
    assert raised.value.kind == "unavailable"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, "unauthorized"), (403, "unauthorized"), (404, "refused"), (500, "unavailable")],
)
async def test_a_handshake_that_is_refused(status: int, kind: str) -> None:
    async with playing() as server:
        server.refusal = (status, {})
        with pytest.raises(ProviderError) as raised:
            await opened(server.url)
    assert (raised.value.kind, raised.value.cause.status) == (kind, status)


async def test_a_busy_service_says_when_to_come_again() -> None:
    async with playing() as server:
        server.refusal = (429, {"Retry-After": "1.5"})
        with pytest.raises(ProviderError) as raised:
            await opened(server.url)
    assert (raised.value.kind, raised.value.retry_after_ms) == ("rate_limited", 1500)


async def test_nobody_is_there() -> None:
    with pytest.raises(ProviderError) as raised:
        await opened(f"http://127.0.0.1:{closed_port()}")
    assert raised.value.kind == "unavailable"


async def test_who_knows_no_language_asks_for_it() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(STARTED)

    async with playing(script) as server:
        await (await opened(server.url, language="")).close()
        (peer,) = server.peers
    query = parse_qs(urlsplit(peer.path).query)
    assert query["include_language_detection"] == ["true"]
    assert "language_code" not in query


@pytest.mark.parametrize(
    "frames",
    [
        [committed("Hallo."), described("Hallo.")],
        [described("Hallo."), committed("Hallo.")],
        [committed("Hallo."), partial("Ha"), {"message_type": "later"}, described("Hallo.")],
    ],
    ids=["after", "before", "between others"],
)
async def test_the_language_comes_with_the_final_transcript(
    frames: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcriber, "LANGUAGE_GRACE_S", 30.0)
    assert await heard(*frames, language="") == [TranscriptPiece("Hallo.", True, "deu")]


async def test_of_several_commits_the_language_of_the_last_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transcriber, "LANGUAGE_GRACE_S", 30.0)

    async def script(peer: Peer) -> None:
        await peer.send(STARTED)
        await peer.send(committed("Hello."))  # by itself
        await until_commit(peer)
        await peer.send(committed("Hallo."), described("Hello.", "en"), described("Hallo.", "de"))

    async with playing(script) as server:
        stream = await opened(server.url, language="")
        pieces = stream.pieces()
        assert not (await anext(pieces)).final
        await stream.send(SECOND)
        await stream.finish()
        assert await anext(pieces) == TranscriptPiece("Hello. Hallo.", True, "de")
        await stream.close()


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [described("Hallo.", None)],
        [described("", "de")],
        [error("transcriber_error")],
        ["no JSON"],
        [[]],
    ],
    ids=["nothing", "no language", "of nothing", "an error", "garbage", "no object"],
)
async def test_a_language_that_does_not_come_costs_no_transcript(
    frames: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcriber, "LANGUAGE_GRACE_S", 0.05)
    assert await heard(committed("Hallo."), *frames, language="") == [
        TranscriptPiece("Hallo.", True)
    ]


async def test_silence_has_no_language_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcriber, "LANGUAGE_GRACE_S", 30.0)
    assert await heard(committed(""), language="") == [TranscriptPiece("", True)]


async def test_who_knows_the_language_waits_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcriber, "LANGUAGE_GRACE_S", 30.0)
    assert await heard(committed("Hallo."), language="de") == [TranscriptPiece("Hallo.", True)]


# --- a flush --------------------------------------------------------------------------------
