"""Every kind of bad input gets one error that names field and rule; all else goes on."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.e2e.raw import opened
from tests.e2e.stack import Stack

pytestmark = pytest.mark.timeout(120)

CASES: list[tuple[str, str, str, str | None]] = [
    ("not JSON", "hello", "bad_request", None),
    ("empty", "", "bad_request", None),
    ("an array", "[1, 2]", "bad_request", None),
    ("a number", "7", "bad_request", None),
    ("no type", '{"turn_id": "a"}', "bad_request", "type"),
    ("a type that is no text", '{"type": 7}', "unknown_type", "type"),
    ("an unknown type", '{"type": "sing"}', "unknown_type", "type"),
    (
        "a wrong type",
        '{"type": "user_message", "turn_id": "a", "text": 7}',
        "bad_request",
        "user_message.text",
    ),
    (
        "an empty text",
        '{"type": "user_message", "turn_id": "a", "text": "  "}',
        "bad_request",
        "user_message.text",
    ),
    (
        "a missing field",
        '{"type": "user_message", "turn_id": "a"}',
        "bad_request",
        "user_message.text",
    ),
    (
        "a bad turn id",
        '{"type": "user_message", "turn_id": "a/b", "text": "x"}',
        "bad_request",
        "user_message.turn_id",
    ),
    (
        "bad base64",
        '{"type": "audio_chunk", "turn_id": "a", "seq": 1, "audio": "*"}',
        "bad_request",
        "audio_chunk.audio",
    ),
    (
        "half a sample",
        '{"type": "audio_chunk", "turn_id": "a", "seq": 1, "audio": "AAAA"}',
        "bad_request",
        "audio_chunk.audio",
    ),
    (
        "chunk 0",
        '{"type": "audio_chunk", "turn_id": "a", "seq": 0, "audio": "AAA="}',
        "bad_request",
        "audio_chunk.seq",
    ),
    (
        "an unknown audio format",
        '{"type": "audio_start", "turn_id": "a", "format": "mp3"}',
        "bad_request",
        "audio_start.format",
    ),
    (
        "an interrupt of less than nothing",
        '{"type": "interrupt", "turn_id": "never", "played_ms": -1}',
        "bad_request",
        "interrupt.played_ms",
    ),
    (
        "a setting out of range",
        '{"type": "config", "settings": {"speed": 3}}',
        "bad_request",
        "config.settings.speed",
    ),
    ("a second init", '{"type": "init", "protocol": 1}', "bad_request", "init"),
    (
        "another protocol",
        '{"type": "init", "protocol": 9}',
        "unsupported_protocol",
        "init.protocol",
    ),
    ("too large", json.dumps({"type": "ping", "pad": "x" * 40_000}), "too_large", None),
    ("10,000 arrays deep", "[" * 10_000 + "]" * 10_000, "bad_request", None),
    (
        "10,000 arrays deep inside a message",
        '{"type": "ping", "sent_at": 1, "x": ' + "[" * 10_000 + "]" * 10_000 + "}",
        "bad_request",
        None,
    ),
]


async def test_bad_input_gets_one_error_and_the_running_turn_lives_on(stack: Stack) -> None:
    stack.llm.put(delays={"llm_token_ms": 60})
    wrong: dict[str, object] = {}
    async with opened(stack.url) as client:
        turns: list[str] = []
        for name, frame, code, field in CASES:
            if not turns or client.has_ended(turns[-1]):
                turns.append(client.new_turn_id())
                await client.send(type="user_message", turn_id=turns[-1], text="Count to twenty.")
            error = await client.refused(frame)
            expected = {"type": "error", "code": code, "field": field, "retryable": False}
            if {key: error.get(key) for key in expected} != expected:
                wrong[name] = error
            if field and not error["message"].startswith(field):
                wrong[name] = error
        ends = [(await client.ended(turn)).end["reason"] for turn in turns]
        assert client.no_others(), "one error each, not more"
    assert wrong == {}
    assert set(ends) == {"completed"}


async def test_a_message_before_init_is_refused_and_init_still_works(stack: Stack) -> None:
    async with opened(stack.url, init=False) as client:
        await client.send(type="user_message", turn_id="a", text="Hello?")
        assert (await client.other())["code"] == "not_initialised"
        await client.init()
        assert (await client.say("Hello?")).end["reason"] == "completed"


async def test_more_chunks_than_announced_get_one_error(stack: Stack) -> None:
    async with opened(stack.url) as client:
        await client.send(type="audio_start", turn_id="a", format="pcm_16000")
        for seq in range(1, 8):
            await client.chunk("a", seq, bytes(3200))
        await client.send(type="audio_end", turn_id="a", chunks=5)
        reply = await client.ended("a")
        surplus = [e for e in reply.errors if e["code"] == "bad_request"]
        assert [e["field"] for e in surplus] == ["audio_chunk.seq"]
        assert (await client.say("Good morning.")).end["reason"] == "completed"


async def test_a_flood_of_nonsense_does_not_disturb_another_session(stack: Stack) -> None:
    async with opened(stack.url) as noisy, opened(stack.url) as quiet:
        flood = asyncio.gather(*(noisy.socket.send("nonsense") for _ in range(40)))
        reply = await quiet.say("Count to five.")
        await flood
        assert reply.end["reason"] == "completed"
        for _ in range(40):
            assert (await noisy.other())["code"] == "bad_request"
        assert quiet.no_others()
