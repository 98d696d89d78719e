"""What the functions log: enough to understand a turn, and nothing of what was said."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable

import pytest

from tests.e2e.raw import opened, pcm_chunks
from tests.e2e.stack import STANDIN_KEY, Stack

pytestmark = pytest.mark.timeout(60)


async def log_with(stack: Stack, start: int, text: str, times: int) -> str:
    """The log from `start` on, once it holds a text so often: it is written after the post."""
    async with asyncio.timeout(10):
        while (logged := stack.logs()[start:]).count(text) < times:
            await asyncio.sleep(0.02)
    return logged


async def test_what_is_said_and_what_is_secret_never_reaches_a_log(
    stack: Stack, speech: Callable[[str], bytes]
) -> None:
    before = len(stack.logs())
    pcm = speech("What time is it?")
    async with opened(stack.url) as client:
        typed = await client.say("My favourite colour is ultramarine.")
        spoken = await client.speak(pcm, speed=2)
        await client.socket.send(
            '{"type": "user_message", "turn_id": "x", "text": ["ultramarine"]}'
        )
        await client.other()
        stack.llm.put(faults={"llm": {"status": 500, "times": "always"}})
        await client.say("Ultramarine, I said.")
        token = client.ready["resume_token"]
    logged = await log_with(stack, before, "turn_ended", 3)
    chunk = base64.b64encode(pcm_chunks(pcm)[3]).decode()
    reply = base64.b64encode(typed.audio[:300]).decode()
    for secret in (STANDIN_KEY, token, chunk[:60], reply[:60], "ltramarine", spoken.transcript):
        assert secret not in logged
    for text in (typed.text, spoken.text):
        assert text.strip() not in logged


async def test_a_turn_can_be_understood_from_its_log_line(stack: Stack) -> None:
    before = len(stack.logs())
    async with opened(stack.url) as client:
        reply = await client.say("Good morning.")
        session = client.ready["session_id"]
    logged = await log_with(stack, before, "turn_ended", 1)
    lines = [line for line in logged.splitlines() if '"turn_ended"' in line]
    (entry,) = [json.loads(line.split(" | ", 1)[1]) for line in lines]
    assert (entry["session_id"], entry["turn_id"]) == (session, reply.turn_id)
    assert entry["reason"] == "completed"
    expected = dict(reply.end["metrics"])
    assert entry["timings"] == expected, "the same numbers that turn_end carries"
