"""The dialogue sockets, with a plain WebSocket client and the types of the official SDK.

The SDK has no client for them: what is sent and received is read by its types.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, get_args

import pytest
from elevenlabs.types.text_to_dialogue_websocket_client_message_multi import (
    TextToDialogueWebsocketClientMessageMulti,
)
from elevenlabs.v_1_speech_to_text_realtime.types import (
    TextToDialogueCommitStrategy,
    TextToDialogueModelId,
)
from elevenlabs.v_1_text_to_dialogue_multi_stream_input.types import (
    ReceiveTextToDialogueWebsocketMessageMulti,
)
from websockets.exceptions import InvalidStatus

from standins_tests.conftest import VOICE, Socket, Standin, socket_to

MULTI = "/v1/text-to-dialogue/multi-stream-input"
SINGLE = "/v1/text-to-dialogue/stream-input"
QUERY = {
    "model_id": "eleven_v4_turbo",
    "output_format": "pcm_16000",
    "sync_alignment": "true",
}
RECEIVED: tuple[Any, ...] = get_args(ReceiveTextToDialogueWebsocketMessageMulti)
OTHER = "pNInz6obpgDQGcFmaJgB"
REALTIME = "/v1/speech-to-text/realtime"


async def send(socket: Socket, **fields: Any) -> None:
    """Send what the SDK's type of a client's message makes of it."""
    message = TextToDialogueWebsocketClientMessageMulti(**fields)
    assert not message.model_extra
    await socket.send(**message.model_dump(exclude_none=True))


def line(text: str, voice: str = VOICE, **fields: Any) -> dict[str, Any]:
    return {"text": text, "voice_id": voice, **fields}


def is_final(frame: dict[str, Any]) -> bool:
    return bool(frame.get("is_final"))


def audio_of(frames: list[dict[str, Any]]) -> bytes:
    return b"".join(base64.b64decode(frame["audio"]) for frame in frames if frame.get("audio"))


def text_of(frames: list[dict[str, Any]]) -> str:
    found = [frame["alignment"]["chars"] for frame in frames if frame.get("alignment")]
    return "".join("".join(chars) for chars in found)


def kinds(frames: list[dict[str, Any]]) -> list[str]:
    """What each frame is by the SDK's types, each kind once if several come in a row."""
    found: list[str] = []
    for frame in frames:
        assert any(set(frame) <= set(kind.model_fields) for kind in RECEIVED)
        name = "audio" if frame.get("audio") else next(k for k in frame if k != "context_id")
        if found[-1:] != [name]:
            found.append(name)
    return found


async def spoken(socket: Socket, context: str, *texts: str) -> list[dict[str, Any]]:
    """All frames of a context in which each text is flushed."""
    await send(socket, context_id=context, voices=[VOICE])
    for text in texts:
        await send(socket, context_id=context, inputs=[line(text)])
        await send(socket, context_id=context, flush=True)
    await send(socket, context_id=context, close_context=True)
    return await socket.until(lambda f: is_final(f) and f["context_id"] == context)


async def test_each_flush_is_spoken_aligned_and_answered(elevenlabs: Standin) -> None:
    texts = ("Sure, here it is. ", "It is a fine day. ")
    async with socket_to(elevenlabs, MULTI, **QUERY) as socket:
        frames = await spoken(socket, "t1", *texts)
    assert {frame["context_id"] for frame in frames} == {"t1"}
    turn = "is_final_audio_for_turn"
    assert kinds(frames) == ["audio", turn, "audio", turn, "is_final"]
    assert text_of(frames) == "".join(texts)
    record = elevenlabs.ended_record()
    assert elevenlabs.audio(record["id"], "out") == audio_of(frames)


async def test_times_start_anew_in_every_frame_and_only_if_asked_for(elevenlabs: Standin) -> None:
    async with socket_to(elevenlabs, MULTI, **QUERY) as socket:
        frames = await spoken(socket, "a", "Count with me, one, two, three, four, five. ")
    timed = [frame for frame in frames if frame.get("alignment")]
    assert len(timed) > 2
    assert all(frame["alignment"]["char_start_times_ms"][0] < 200 for frame in timed)
    untimed = {**QUERY, "sync_alignment": "false"}
    async with socket_to(elevenlabs, MULTI, **untimed) as socket:
        frames = await spoken(socket, "b", "Count with me. ")
    assert not any(frame.get("alignment") for frame in frames)


async def test_a_socket_without_contexts_is_closed_by_its_client(elevenlabs: Standin) -> None:
    async with socket_to(elevenlabs, SINGLE, **QUERY) as socket:
        await send(socket, voices=[VOICE], inputs=[line("Good morning. ")])
        await send(socket, close_socket=True)
        frames = await socket.until(is_final)
        assert await socket.close_code() == 1000
    assert text_of(frames) == "Good morning. "
    assert not any("context_id" in frame for frame in frames)


async def test_a_few_words_wait_and_many_do_not(elevenlabs: Standin) -> None:
    async with socket_to(elevenlabs, MULTI, **QUERY) as socket:
        await send(socket, context_id="a", voices=[VOICE], inputs=[line("One two. ")])
        await send(socket, context_id="a", inputs=[line("Three four five six seven eight nine. ")])
        first = await socket.receive()
        assert first["audio"]
        await send(socket, context_id="a", flush=True)
        await socket.until(lambda f: bool(f.get("is_final_audio_for_turn")))


async def test_another_voice_or_turn_ends_what_was_begun(elevenlabs: Standin) -> None:
    query = {**QUERY, "model_id": "eleven_v3"}
    async with socket_to(elevenlabs, MULTI, **query) as socket:
        await send(socket, context_id="a", voices=[VOICE, OTHER])
        lines = [line("Hello. "), line("Hi. ", OTHER), line("Bye. ", OTHER, new_turn=True)]
        await send(socket, context_id="a", inputs=lines)
        await send(socket, context_id="a", close_context=True)
        frames = await socket.until(is_final)
    assert text_of(frames) == "Hello. Hi. Bye. "
    assert kinds(frames).count("is_final_audio_for_turn") == 3


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        ([{"voices": [VOICE]}], "missing_context_id"),
        ([{"context_id": "a", "inputs": [line("Hi. ")]}], "voices_required"),
        ([{"context_id": "a", "keep_alive": True}], "voices_required"),
        ([{"context_id": "a", "voices": [VOICE, OTHER]}], "too_many_voices"),
        ([{"context_id": "a", "voices": ["nobody"]}], "voice_not_found"),
        ([{"context_id": "a", "voices": [VOICE]}] * 2, "invalid_message"),
        (
            [{"context_id": "a", "voices": [VOICE], "inputs": [line("Hi. ", OTHER)]}],
            "unregistered_voice",
        ),
        ([{"context_id": f"c{n}", "voices": [VOICE]} for n in range(6)], "too_many_contexts"),
        (
            [
                {"context_id": "a", "voices": [VOICE], "inputs": [line("Hello there. " * 9)]},
                {"context_id": "a", "close_context": True},
                {"context_id": "a", "keep_alive": True},
            ],
            "context_closing",
        ),
    ],
)
async def test_what_breaks_the_rules_closes_the_whole_socket(
    elevenlabs: Standin, messages: list[dict[str, Any]], error: str
) -> None:
    async with socket_to(elevenlabs, MULTI, **QUERY) as socket:
        for message in messages:
            await send(socket, **message)
        frames = await socket.until(lambda f: "error" in f)
        assert (frames[-1]["error"], frames[-1]["code"]) == (error, 1008)
        assert await socket.close_code() == 1008


async def test_a_context_that_is_told_nothing_is_closed_alone(elevenlabs: Standin) -> None:
    elevenlabs.put(oddities={"dialogue_idle_s": 0.3})
    async with socket_to(elevenlabs, MULTI, **QUERY) as socket:
        await send(socket, context_id="idle", voices=[VOICE], inputs=[line("Hi. ")])
        frames = await socket.until(is_final)
        assert text_of(frames) == "Hi. "
        assert await spoken(socket, "next", "Hello. ")


async def test_a_context_is_kept_alive(elevenlabs: Standin) -> None:
    elevenlabs.put(oddities={"dialogue_idle_s": 1.0})
    async with socket_to(elevenlabs, MULTI, **QUERY) as socket:
        await send(socket, context_id="kept", voices=[VOICE])
        await send(socket, context_id="idle", voices=[VOICE])
        # As often as it takes until the other one has been closed for its silence.
        while True:
            await send(socket, context_id="kept", keep_alive=True)
            try:
                frame = await socket.receive_within(0.2)
            except TimeoutError:
                continue
            break
        assert frame == {"is_final": True, "context_id": "idle"}
        await send(socket, context_id="kept", inputs=[line("Hi. ")], flush=True)
        assert audio_of(await socket.until(lambda f: bool(f.get("is_final_audio_for_turn"))))


async def test_a_close_may_drop_what_has_not_begun(elevenlabs: Standin) -> None:
    elevenlabs.put(oddities={"dialogue_close_drops": True})
    async with socket_to(elevenlabs, MULTI, **QUERY) as socket:
        frames = await spoken(socket, "a", "One. ", "Two. ", "Three. ")
    assert "Three" not in text_of(frames)


async def test_a_turn_may_be_answered_once(elevenlabs: Standin) -> None:
    elevenlabs.put(oddities={"dialogue_answers_flushes": False})
    async with socket_to(elevenlabs, MULTI, **QUERY) as socket:
        frames = await spoken(socket, "a", "One. ", "Two. ")
    assert kinds(frames) == ["audio", "is_final_audio_for_turn", "is_final"]


@pytest.mark.parametrize("model", ["eleven_flash_v2_5", "eleven_v9"])
async def test_other_models_speak_no_dialogues(elevenlabs: Standin, model: str) -> None:
    async with socket_to(elevenlabs, MULTI, **{**QUERY, "model_id": model}) as socket:
        assert (await socket.receive())["error"] in ("unsupported_model", "model_not_found")


async def test_a_wrong_key_is_refused(elevenlabs: Standin) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with socket_to(elevenlabs, MULTI, key="wrong", **QUERY):
            raise AssertionError("the socket opened")
    assert refused.value.response.status_code == 401


async def test_the_model_that_predicts_turns_ends_an_utterance_sooner(
    elevenlabs: Standin, speech: Callable[..., bytes]
) -> None:
    strategy: TextToDialogueCommitStrategy = "turn_prediction"
    model: TextToDialogueModelId = "scribe_v3_live"
    query = {"model_id": model, "commit_strategy": strategy}
    async with socket_to(elevenlabs, REALTIME, **query) as socket:
        started = await socket.receive()
        assert started["config"]["commit_strategy"] == strategy
        await socket.hear(speech("What time is it?") + bytes(20_000))
        assert await socket.committed() == "What time is it?"


async def test_no_other_model_predicts_turns(elevenlabs: Standin) -> None:
    query = {"model_id": "scribe_v2_realtime", "commit_strategy": "turn_prediction"}
    async with socket_to(elevenlabs, REALTIME, **query) as socket:
        assert (await socket.receive())["message_type"] == "invalid_request"
