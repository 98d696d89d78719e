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


def ends(logged: str, session: str) -> list[str]:
    """The lines that tell how a session's turns ended."""
    lines = logged.splitlines()
    return [line for line in lines if '"turn_ended"' in line and session in line]


async def log_with_ends(stack: Stack, start: int, session: str, times: int) -> str:
    """The log from `start` on, once so many turns of a session have ended: their lines are
    written when all has been acknowledged."""
    async with asyncio.timeout(10):
        while len(ends(logged := stack.logs()[start:], session)) < times:
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
        token, session = client.ready["resume_token"], client.ready["session_id"]
    logged = await log_with_ends(stack, before, session, 3)
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
    lines = ends(await log_with_ends(stack, before, session, 1), session)
    (entry,) = [json.loads(line.split(" | ", 1)[1]) for line in lines]
    assert (entry["session_id"], entry["turn_id"]) == (session, reply.turn_id)
    assert entry["reason"] == "completed"
    expected = dict(reply.end["metrics"])
    assert entry["timings"] == expected, "the same numbers that turn_end carries"
