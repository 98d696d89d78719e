"""The socket of realtime transcription, with a plain WebSocket client."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from parley_standins.recognizer import MAX_WORKERS
from standins_tests.conftest import KEY, Socket, Standin, socket_to

PATH = "/v1/speech-to-text/realtime"
Speech = Callable[..., bytes]


def is_kind(kind: str) -> Callable[[dict[str, Any]], bool]:
    return lambda frame: frame["message_type"] == kind


async def started(socket: Socket) -> dict[str, Any]:
    frame = await socket.receive()
    assert frame["message_type"] == "session_started"
    return frame


async def test_speech_is_transcribed_while_it_arrives(elevenlabs: Standin, speech: Speech) -> None:
    pcm = speech("How many days are in a week?")
    async with socket_to(elevenlabs, PATH, model_id="scribe_v2_realtime") as socket:
        config = (await started(socket))["config"]
        assert (config["sample_rate"], config["audio_format"]) == (16_000, "pcm_16000")
        await socket.hear(pcm, pause_s=0.02)
        frames = await socket.until(is_kind("partial_transcript"))
        await socket.commit()
        frames += await socket.until(is_kind("committed_transcript"))
    assert frames[0]["text"]
    assert frames[-1]["text"] == "How many days are in a week?"
    record = elevenlabs.ended_record()
    assert elevenlabs.audio(record["id"], "in") == pcm


@pytest.mark.parametrize("audio_format", ["pcm_8000", "pcm_24000", "pcm_48000"])
async def test_other_rates_are_heard(
    elevenlabs: Standin, speech: Speech, audio_format: str
) -> None:
    rate = int(audio_format.split("_")[1])
    pcm = speech("Count to ten.", rate=rate)
    async with socket_to(elevenlabs, PATH, audio_format=audio_format) as socket:
        await started(socket)
        await socket.hear(pcm, rate=rate)
        await socket.commit()
        text = await socket.committed()
    assert text.lower().split()[:2] == ["count", "to"] or rate == 8000, text
    assert text


async def test_the_last_chunk_may_carry_the_commit(elevenlabs: Standin, speech: Speech) -> None:
    pcm = speech("What time is it?")
    async with socket_to(elevenlabs, PATH) as socket:
        await started(socket)
        await socket.send(
            message_type="input_audio_chunk",
            audio_base_64=base64.b64encode(pcm).decode(),
            commit=True,
            sample_rate=16_000,
        )
        assert await socket.committed() == "What time is it?"


async def test_utterances_follow_each_other(elevenlabs: Standin, speech: Speech) -> None:
    first, second = speech("What time is it?"), speech("What is my name?")
    async with socket_to(elevenlabs, PATH, include_timestamps="true") as socket:
        await started(socket)
        await socket.hear(first)
        await socket.commit()
        await socket.hear(second)
        await socket.commit()
        done = is_kind("committed_transcript_with_timestamps")
        frames = [*await socket.until(done), *await socket.until(done)]
    texts = [f["text"] for f in frames if f["message_type"] == "committed_transcript"]
    assert texts == ["What time is it?", "What is my name?"]
    timed = [f for f in frames if done(f)]
    assert [t["text"] for t in timed] == texts
    words = timed[1]["words"]
    assert "".join(word["text"] for word in words) == texts[1]
    assert words[0]["start"] >= len(first) / 32_000


async def test_a_commit_with_too_little_audio_is_ignored(elevenlabs: Standin) -> None:
    async with socket_to(elevenlabs, PATH) as socket:
        await started(socket)
        await socket.hear(bytes(3200))
        await socket.commit()
        assert (await socket.receive())["message_type"] == "commit_throttled"
        await socket.hear(bytes(32_000))
        await socket.commit()
        assert await socket.committed() == ""


async def test_silence_commits_by_voice_activity(elevenlabs: Standin, speech: Speech) -> None:
    pcm = speech("What time is it?") + bytes(32_000)
    async with socket_to(
        elevenlabs, PATH, commit_strategy="vad", vad_silence_threshold_secs=0.6
    ) as socket:
        await started(socket)
        await socket.hear(pcm)
        assert await socket.committed() == "What time is it?"


async def test_long_audio_is_committed_by_the_server(elevenlabs: Standin, speech: Speech) -> None:
    elevenlabs.put(oddities={"stt_auto_commit_s": 1})
    pcm = speech("What time is it?") + bytes(6400)
    async with socket_to(elevenlabs, PATH) as socket:
        await started(socket)
        await socket.hear(pcm)
        assert "time" in await socket.committed()


async def test_silence_of_the_client_closes_normally(elevenlabs: Standin) -> None:
    elevenlabs.put(oddities={"stt_idle_s": 0.3})
    async with socket_to(elevenlabs, PATH) as socket:
        await started(socket)
        assert await socket.close_code() == 1000


async def test_a_wrong_key_opens_the_socket_and_then_is_refused(elevenlabs: Standin) -> None:
    async with socket_to(elevenlabs, PATH, key="wrong") as socket:
        assert (await socket.receive())["message_type"] == "auth_error"
        assert await socket.close_code() == 1000


async def test_a_token_opens_a_session_once(elevenlabs: Standin) -> None:
    made = elevenlabs.http.post("/v1/single-use-token/realtime_scribe", headers={"xi-api-key": KEY})
    for kind in ("session_started", "auth_error"):
        async with socket_to(elevenlabs, PATH, key=None, token=made.json()["token"]) as socket:
            assert (await socket.receive())["message_type"] == kind


@pytest.mark.parametrize(
    "query",
    [
        {"model_id": "scribe_v1"},
        {"audio_format": "mp3_44100"},
        {"commit_strategy": "never"},
        {"vad_threshold": "2"},
        {"vad_silence_threshold_secs": "much"},
    ],
)
async def test_bad_parameters_are_refused_by_name(
    elevenlabs: Standin, query: dict[str, str]
) -> None:
    async with socket_to(elevenlabs, PATH, **query) as socket:
        frame = await socket.receive()
        assert frame["message_type"] == "invalid_request"
        assert next(iter(query)) in frame["error"]
        assert await socket.close_code() == 1008


@pytest.mark.parametrize(
    "frame",
    [
        {"message_type": "commit"},
        {"message_type": "input_audio_chunk", "audio_base_64": "?"},
        {"message_type": "input_audio_chunk", "audio_base_64": "", "sample_rate": 8000},
    ],
)
async def test_bad_input_is_an_error_frame(elevenlabs: Standin, frame: dict[str, Any]) -> None:
    async with socket_to(elevenlabs, PATH) as socket:
        await started(socket)
        await socket.send(**frame)
        assert (await socket.receive())["message_type"] == "input_error"


async def test_finals_may_repeat_and_partials_come_late(
    elevenlabs: Standin, speech: Speech
) -> None:
    elevenlabs.put(oddities={"stt_duplicate_finals": True, "stt_stale_partials": True})
    async with socket_to(elevenlabs, PATH) as socket:
        await started(socket)
        await socket.hear(speech("What time is it?"))
        await socket.commit()
        assert await socket.committed() == await socket.committed() == "What time is it?"
        assert (await socket.receive())["message_type"] == "partial_transcript"


async def test_the_final_comes_when_it_is_set_to(elevenlabs: Standin, speech: Speech) -> None:
    elevenlabs.put(delays={"stt_final_ms": 300, "stt_partial_ms": 5000})
    async with socket_to(elevenlabs, PATH) as socket:
        await started(socket)
        await socket.hear(speech("What time is it?"), pause_s=0.05)
        began = time.monotonic()
        await socket.commit()
        assert await socket.committed() == "What time is it?"
        took_s = time.monotonic() - began
    assert 0.299 <= took_s < 5, "a partial would take longer"


async def test_more_sessions_than_workers_hear_their_own_words(
    elevenlabs: Standin, speech: Speech
) -> None:
    sentences = ("What time is it?", "What is my name?")
    spoken = [speech(sentence) for sentence in sentences]

    async def session(number: int) -> tuple[str, str]:
        async with socket_to(elevenlabs, PATH) as socket:
            await started(socket)
            await socket.hear(spoken[number % 2], pause_s=0.05)
            await socket.commit()
            return sentences[number % 2], await socket.committed()

    for said, heard in await asyncio.gather(
        *(session(number) for number in range(MAX_WORKERS + 2))
    ):
        assert heard == said


async def transcribed(standin: Standin, pcm: bytes) -> str:
    async with socket_to(standin, PATH) as socket:
        await started(socket)
        await socket.hear(pcm, pause_s=0.02)
        await socket.commit()
        return await socket.committed()


async def test_cut_in_mid_utterance(elevenlabs: Standin, speech: Speech) -> None:
    elevenlabs.put(faults={"stt": {"cut": 2}})
    pcm = speech("What time is it?")
    with pytest.raises(ConnectionClosed):
        await transcribed(elevenlabs, pcm)
    assert elevenlabs.audio(elevenlabs.ended_record()["id"], "in") == pcm[: 2 * 3200]
    assert await transcribed(elevenlabs, pcm) == "What time is it?"


async def test_stalled_after_the_start(elevenlabs: Standin, speech: Speech) -> None:
    elevenlabs.put(faults={"stt": {"stall": "after"}})
    async with socket_to(elevenlabs, PATH) as socket:
        await started(socket)
        await socket.hear(speech("What time is it?"))
        await socket.commit()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.connection.recv(), 0.4)


async def test_garbage_in_place_of_the_first_transcript(
    elevenlabs: Standin, speech: Speech
) -> None:
    elevenlabs.put(faults={"stt": {"garbage": True}})
    async with socket_to(elevenlabs, PATH) as socket:
        await started(socket)
        await socket.hear(speech("What time is it?"))
        with pytest.raises(ValueError, match="Unterminated"):
            await socket.receive()


async def test_an_error_frame_on_demand(elevenlabs: Standin, speech: Speech) -> None:
    elevenlabs.put(faults={"stt": {"error_frame": "rate_limited"}})
    async with socket_to(elevenlabs, PATH) as socket:
        await started(socket)
        await socket.hear(speech("What time is it?"))
        await socket.until(is_kind("rate_limited"))


async def test_a_status_at_the_handshake(elevenlabs: Standin) -> None:
    elevenlabs.put(faults={"stt": {"status": 503}})
    with pytest.raises(InvalidStatus) as refused:
        async with socket_to(elevenlabs, PATH):
            pass
    assert refused.value.response.status_code == 503
