"""What the functions log of a turn: enough to understand it.

That it is nothing of what was said, `test_log_redaction` looks at, with more switched on.
"""

from __future__ import annotations

import json

import pytest

from tests.e2e.raw import opened
from tests.e2e.stack import Stack
from tests.e2e.until import until

pytestmark = pytest.mark.timeout(60)


def ends(logged: str, session: str) -> list[str]:
    """The lines that tell how a session's turns ended."""
    lines = logged.splitlines()
    return [line for line in lines if '"turn_ended"' in line and session in line]


async def log_with_ends(stack: Stack, start: int, session: str, times: int) -> str:
    """The log from `start` on, once so many turns of a session have ended: their lines are
    written when all has been acknowledged."""
    await until(lambda: len(ends(stack.logs()[start:], session)) >= times)
    return stack.logs()[start:]


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
