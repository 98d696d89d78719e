"""The sockets of speech synthesis, with a plain WebSocket client."""

from __future__ import annotations

import asyncio
import base64
import time
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from standins_tests.conftest import KEY, VOICE, Socket, Standin, socket_to
from standins_tests.quickest import quickest

MULTI = f"/v1/text-to-speech/{VOICE}/multi-stream-input"
SINGLE = f"/v1/text-to-speech/{VOICE}/stream-input"
PCM = {"output_format": "pcm_16000", "model_id": "eleven_flash_v2_5"}


def is_final(frame: dict[str, Any]) -> bool:
    return bool(frame.get("isFinal"))


def audio_of(frames: list[dict[str, Any]]) -> bytes:
    return b"".join(base64.b64decode(frame["audio"]) for frame in frames if frame.get("audio"))


async def spoken(socket: Socket, context: str, *texts: str, **opening: Any) -> list[dict[str, Any]]:
    """All frames of a context in which each text is flushed."""
    await socket.send(text=" ", context_id=context, **opening)
    for text in texts:
        await socket.send(text=text, context_id=context, flush=True)
    await socket.send(context_id=context, close_context=True)
    return await socket.until(lambda f: is_final(f) and f["contextId"] == context)


async def test_a_flushed_context_is_spoken_aligned_and_ended(elevenlabs: Standin) -> None:
    texts = ("Sure, here it is. ", "It is a fine day. ")
    async with socket_to(elevenlabs, MULTI, **PCM) as socket:
        frames = await spoken(socket, "t1", *texts)
    assert {frame["contextId"] for frame in frames} == {"t1"}
    assert frames[-1] == {"isFinal": True, "contextId": "t1"}
    assert frames[0]["isFinal"] is None
    pieces = [frame for frame in frames if frame.get("audio")]
    aligned = [frame["alignment"] for frame in pieces if frame["alignment"]]
    assert "".join("".join(a["chars"]) for a in aligned) == "".join(texts)
    for alignment in aligned:
        assert alignment["charStartTimesMs"] == sorted(alignment["charStartTimesMs"])
        assert min(alignment["charDurationsMs"]) >= 0
    record = elevenlabs.ended_record()
    assert elevenlabs.audio(record["id"], "out") == audio_of(frames)


async def test_a_characters_time_lies_within_its_context(elevenlabs: Standin) -> None:
    async with socket_to(elevenlabs, MULTI, **PCM) as socket:
        frames = await spoken(socket, "t1", "Count with me, one, two, three. ")
    position_ms = 0.0
    last_end = 0.0
    for frame in frames[:-1]:
        alignment = frame["alignment"] or {"charStartTimesMs": [], "charDurationsMs": []}
        for start, duration in zip(
            alignment["charStartTimesMs"], alignment["charDurationsMs"], strict=True
        ):
            assert position_ms + start + 1 >= last_end - 1
            last_end = position_ms + start + duration
        position_ms += len(base64.b64decode(frame["audio"])) / 32
    assert last_end <= position_ms + 1


async def test_the_same_words_are_the_same_bytes(elevenlabs: Standin) -> None:
    async with socket_to(elevenlabs, MULTI, **PCM) as socket:
        first = audio_of(await spoken(socket, "a", "What a lovely day. "))
        await spoken(socket, "b", "Something else entirely! ")
        again = audio_of(await spoken(socket, "c", "What a lovely day. "))
    assert first == again


async def test_speed_and_voice_are_audible(elevenlabs: Standin) -> None:
    text = "What a lovely day this is. "
    async with socket_to(elevenlabs, MULTI, **PCM) as socket:
        slow = audio_of(await spoken(socket, "a", text, voice_settings={"speed": 0.8}))
        fast = audio_of(await spoken(socket, "b", text, voice_settings={"speed": 1.2}))
    assert len(fast) < 0.85 * len(slow)
    other = MULTI.replace(VOICE, "pNInz6obpgDQGcFmaJgB")
    async with socket_to(elevenlabs, other, **PCM) as socket:
        adam = audio_of(await spoken(socket, "a", text, voice_settings={"speed": 0.8}))
    assert adam != slow


async def test_white_space_is_not_spoken(elevenlabs: Standin) -> None:
    async with socket_to(elevenlabs, MULTI, **PCM) as socket:
        frames = await spoken(socket, "t1", "   ", "")
    assert frames == [{"isFinal": True, "contextId": "t1"}]


async def test_text_waits_for_the_schedule(elevenlabs: Standin) -> None:
    async with socket_to(elevenlabs, MULTI, **PCM) as socket:
        await socket.send(
            text=" ", context_id="a", generation_config={"chunk_length_schedule": [50]}
        )
        await socket.send(text="Not enough to speak. ", context_id="a")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.connection.recv(), 0.3)
        await socket.send(text="Now there is more than enough of it. ", context_id="a")
        assert (await socket.receive())["audio"]


async def test_auto_mode_speaks_each_text_at_once(elevenlabs: Standin) -> None:
    async with socket_to(elevenlabs, MULTI, auto_mode="true", **PCM) as socket:
        await socket.send(text="Hello. ", context_id="a")
        assert (await socket.receive())["audio"]


async def test_what_was_not_flushed_is_dropped_with_its_context(elevenlabs: Standin) -> None:
    async with socket_to(elevenlabs, MULTI, **PCM) as socket:
        await socket.send(text=" ", context_id="a")
        await socket.send(text="Spoken. ", context_id="a", flush=True)
        await socket.send(text="Dropped. ", context_id="a")
        await socket.send(context_id="a", close_context=True)
        frames = await socket.until(is_final)
    chars = "".join("".join(f["alignment"]["chars"]) for f in frames[:-1] if f["alignment"])
    assert chars == "Spoken. "


async def test_the_sixth_context_ends_the_socket(elevenlabs: Standin) -> None:
    async with socket_to(elevenlabs, MULTI, **PCM) as socket:
        for number in range(6):
            await socket.send(text=" ", context_id=f"c{number}")
        error = await socket.receive()
        assert (error["error"], error["code"]) == ("max_active_conversations", 1008)
        assert await socket.close_code() == 1008


async def test_a_closed_context_makes_room(elevenlabs: Standin) -> None:
    async with socket_to(elevenlabs, MULTI, **PCM) as socket:
        for number in range(8):
            await spoken(socket, f"c{number}", "Hi. ")


async def test_closing_the_socket_drains_what_was_flushed(elevenlabs: Standin) -> None:
    async with socket_to(elevenlabs, MULTI, **PCM) as socket:
        await socket.send(text="Good night to all of you. ", context_id="a", flush=True)
        await socket.send(close_socket=True)
        frames = await socket.until(is_final)
        assert await socket.close_code() == 1000
    assert len(audio_of(frames)) > 16_000


async def test_stream_input_ends_with_an_empty_text(elevenlabs: Standin) -> None:
    async with socket_to(elevenlabs, SINGLE, **PCM) as socket:
        await socket.send(text=" ", voice_settings=None)
        await socket.send(text="Hello there. ")
        await socket.send(text="")
        frames = await socket.until(is_final)
        assert await socket.close_code() == 1000
    assert frames[-1]["audio"] is None
    assert len(audio_of(frames)) > 16_000
    assert "contextId" not in frames[0]


async def test_silence_of_the_client_ends_the_socket(elevenlabs: Standin) -> None:
    async with socket_to(elevenlabs, MULTI, inactivity_timeout=1, **PCM) as socket:
        await socket.send(text=" ", context_id="a")
        error = await socket.receive()
        assert error["error"] == "input_timeout_exceeded"
        assert await socket.close_code() == 1008


@pytest.mark.parametrize("model", ["eleven_v3", "eleven_v4_turbo"])
async def test_newer_models_are_refused_on_the_socket(elevenlabs: Standin, model: str) -> None:
    async with socket_to(elevenlabs, MULTI, model_id=model) as socket:
        assert model in (await socket.receive())["message"]
        assert await socket.close_code() == 1008


async def test_a_wrong_key_is_refused_at_the_handshake(elevenlabs: Standin) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with socket_to(elevenlabs, MULTI, key="wrong", **PCM):
            pass
    assert refused.value.response.status_code == 401
    assert b"invalid_api_key" in (refused.value.response.body or b"")


async def test_the_key_may_come_with_the_first_message(elevenlabs: Standin) -> None:
    async with socket_to(elevenlabs, MULTI, key=None, **PCM) as socket:
        await socket.send(text="Hello. ", context_id="a", flush=True, xi_api_key=KEY)
        assert (await socket.receive())["audio"]
    assert KEY not in str(elevenlabs.records())


async def test_no_key_at_all_is_an_error_frame(elevenlabs: Standin) -> None:
    async with socket_to(elevenlabs, MULTI, key=None, **PCM) as socket:
        await socket.send(text="Hello. ", context_id="a", flush=True)
        assert (await socket.receive())["error"] == "invalid_api_key"
        assert await socket.close_code() == 1008


async def test_a_single_use_token_opens_one_socket(elevenlabs: Standin) -> None:
    made = elevenlabs.http.post("/v1/single-use-token/tts_websocket", headers={"xi-api-key": KEY})
    token = made.json()["token"]
    for opened in (True, False):
        async with socket_to(elevenlabs, MULTI, key=None, single_use_token=token, **PCM) as socket:
            await socket.send(text="Hello. ", context_id="a", flush=True)
            assert bool((await socket.receive()).get("audio")) is opened


@pytest.mark.parametrize("frame", ["{", "[]", '{"text": 1}'])
async def test_nonsense_is_an_error_frame(elevenlabs: Standin, frame: str) -> None:
    async with socket_to(elevenlabs, MULTI, **PCM) as socket:
        await socket.connection.send(frame)
        assert (await socket.receive())["error"] == "invalid_message"
        assert await socket.close_code() == 1008


async def test_the_first_byte_comes_when_it_is_set_to(elevenlabs: Standin) -> None:
    elevenlabs.put(delays={"tts_first_byte_ms": 150})

    async def first_byte_ms() -> float:
        async with socket_to(elevenlabs, MULTI, **PCM) as socket:
            await socket.send(text=" ", context_id="a")
            began = time.monotonic()
            await socket.send(text="Hello there, my friend. ", context_id="a", flush=True)
            await socket.receive()
            took_ms = (time.monotonic() - began) * 1000
        assert took_ms >= 149
        return took_ms

    assert await quickest(first_byte_ms, 190) < 190


async def test_audio_can_be_paced(elevenlabs: Standin) -> None:
    elevenlabs.put(delays={"tts_realtime_factor": 4})

    async def beyond_s() -> float:
        async with socket_to(elevenlabs, MULTI, **PCM) as socket:
            began = time.monotonic()
            frames = await spoken(socket, "a", "One, two, three, four, five, six. ")
            took_s = time.monotonic() - began
        paced_s = len(audio_of(frames)) / 32_000 / 4
        assert took_s > paced_s * 0.7
        return took_s - paced_s

    assert await quickest(beyond_s, 1, tries=6) < 1


async def test_times_may_all_come_with_the_first_frame(elevenlabs: Standin) -> None:
    elevenlabs.put(oddities={"tts_alignment_on_first_frame": True, "tts_snake_case": True})
    async with socket_to(elevenlabs, MULTI, **PCM) as socket:
        await socket.send(text="Hello there, friend. ", context_id="a", flush=True)
        await socket.send(context_id="a", close_context=True)
        frames = await socket.until(lambda f: f.get("is_final"))
    assert "".join(frames[0]["alignment"]["chars"]) == "Hello there, friend. "
    assert {frame.get("alignment") is None for frame in frames[1:]} == {True}
    assert frames[0]["context_id"] == "a"


async def test_refused_at_the_handshake(elevenlabs: Standin) -> None:
    elevenlabs.put(faults={"tts": {"refuse": True}})
    with pytest.raises((OSError, InvalidMessage)):
        async with socket_to(elevenlabs, MULTI, **PCM):
            pass
    async with socket_to(elevenlabs, MULTI, **PCM) as socket:
        await spoken(socket, "a", "Hello. ")


async def test_a_status_at_the_handshake(elevenlabs: Standin) -> None:
    elevenlabs.put(faults={"tts": {"status": 429, "retry_after": 2}})
    with pytest.raises(InvalidStatus) as refused:
        async with socket_to(elevenlabs, MULTI, **PCM):
            pass
    assert refused.value.response.status_code == 429
    assert refused.value.response.headers["Retry-After"] == "2"


async def count_frames(standin: Standin, counted: list[dict[str, Any]]) -> None:
    async with socket_to(standin, MULTI, **PCM) as socket:
        await socket.send(text="A sentence that is long enough. ", context_id="a", flush=True)
        while True:
            counted.append(await socket.receive())


@pytest.mark.parametrize("frames", [0, 1, 3])
async def test_cut_after_so_many_frames(elevenlabs: Standin, frames: int) -> None:
    elevenlabs.put(faults={"tts": {"cut": frames}})
    received: list[dict[str, Any]] = []
    with pytest.raises(ConnectionClosed):
        await count_frames(elevenlabs, received)
    assert len(received) == frames


async def test_stalled_after_the_first_frame(elevenlabs: Standin) -> None:
    elevenlabs.put(faults={"tts": {"stall": "after"}})
    async with socket_to(elevenlabs, MULTI, **PCM) as socket:
        await socket.send(text="A sentence that is long enough. ", context_id="a", flush=True)
        await socket.receive()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.connection.recv(), 0.3)


async def test_stalled_before_the_handshake(elevenlabs: Standin) -> None:
    elevenlabs.put(faults={"tts": {"stall": "before"}})
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.4), socket_to(elevenlabs, MULTI, **PCM):
            pass


async def test_garbage_in_place_of_the_first_frame(elevenlabs: Standin) -> None:
    elevenlabs.put(faults={"tts": {"garbage": True}})
    async with socket_to(elevenlabs, MULTI, **PCM) as socket:
        await socket.send(text="Hello. ", context_id="a", flush=True)
        with pytest.raises(ValueError, match="Unterminated"):
            await socket.receive()


async def test_an_error_frame_on_demand(elevenlabs: Standin) -> None:
    elevenlabs.put(faults={"tts": {"error_frame": "quota_exceeded"}})
    async with socket_to(elevenlabs, MULTI, **PCM) as socket:
        await socket.send(text="Hello. ", context_id="a", flush=True)
        assert (await socket.receive())["error"] == "quota_exceeded"
        assert await socket.close_code() == 1008
