"""A turn whose function is killed in the middle is ended by another, and the session goes on."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator

import pytest

from tests.e2e.raw import opened
from tests.e2e.stack import Stack
from tests.e2e.until import until

LONG = "Tell me a story about the sea."


def follow(stack: Stack, plan: object) -> None:
    """Have things go wrong on the local stack."""
    request = urllib.request.Request(
        f"{stack.info['static_url']}_local/faults", method="PUT", data=json.dumps(plan).encode()
    )
    urllib.request.urlopen(request, timeout=10).close()


@pytest.fixture
def faulty(stack: Stack) -> Iterator[Stack]:
    yield stack
    follow(stack, {"faults": []})


@pytest.mark.parametrize("after_ms", [0, 300])
async def test_a_killed_turn_is_ended_and_the_next_one_works(
    faulty: Stack, after_ms: float
) -> None:
    kill = {"kind": "kill_function", "function": "TurnFunction", "times": 1, "after_ms": after_ms}
    async with opened(faulty.url) as client:
        await client.say("Good morning.")  # the functions are warm from here on
        faulty.llm.put(delays={"llm_first_token_ms": 2000})  # so that it is in the middle then
        follow(faulty, {"faults": [kill]})
        killed = await client.say("What time is it?")
        assert killed.end["reason"] == "failed"
        assert [error["code"] for error in killed.errors] == ["internal"]
        faulty.llm.reset()
        assert (await client.say("Good evening.")).end["reason"] == "completed"


async def test_a_client_that_names_the_next_attempt_waits_for_no_earlier_one(
    faulty: Stack,
) -> None:
    async with opened(faulty.url) as client:
        await client.say("Good morning.")
        before = faulty.log.stat().st_size
        # It goes on for longer than the test, and is never silent for longer than it may be.
        faulty.llm.put(delays={"llm_token_ms": 500})
        question = {"type": "user_message", "turn_id": "again", "text": LONG}
        await client.send(**question)
        await client.has("again", "reply_text")
        faulty.llm.reset()
        await client.send(**question, attempt=2)
        # The first has stopped.
        await until(lambda: '"turn_already_claimed"' in faulty.logged_since(before))
        reply = await client.ended("again", timeout_s=20)
        attempts = [event.get("attempt", 1) for event in reply.events]
        assert (attempts[0], attempts[-1]) == (1, 2)
        assert attempts == sorted(attempts)
        assert (reply.end["reason"], reply.end["attempt"]) == ("completed", 2)
