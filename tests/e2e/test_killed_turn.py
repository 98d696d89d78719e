"""Turns whose function is killed, throttled or slow: what API Gateway says, and what follows."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from parley.storage.turns import LEASE_S
from tests.e2e.http_api import asked
from tests.e2e.raw import ASKED_AT, opened
from tests.e2e.stack import ROOT, Stack, Standins, running_stack
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


TOLD_WITHIN_S = 1.0
"""How soon the client knows that its turn's function died."""


def kill(after_ms: int) -> dict[str, Any]:
    """Return the fault that kills the turn function once."""
    return {"kind": "kill_function", "function": "TurnFunction", "times": 1, "after_ms": after_ms}


async def test_a_killed_turn_is_ended_at_once_and_the_next_one_works(faulty: Stack) -> None:
    async with opened(faulty.url) as client:
        await client.say("Good morning.")  # the functions are warm from here on
        faulty.llm.put(delays={"llm_first_token_ms": 3000})  # so that it is in the middle then
        follow(faulty, {"faults": [kill(400)]})
        killed = await client.say("What time is it?")
        assert [fault["message"] for fault in client.faults] == ["Internal server error"]
        assert killed.end["reason"] == "failed"
        assert [error["code"] for error in killed.errors] == ["internal"]
        assert killed.times[-1] - client.fault_times[0] < TOLD_WITHIN_S
        faulty.llm.reset()
        assert (await client.say("Good evening.")).end["reason"] == "completed"


@pytest.mark.parametrize(
    "fault",
    [kill(0), {"kind": "throttle_function", "function": "TurnFunction", "times": 1}],
    ids=["killed", "throttled"],
)
async def test_a_turn_that_never_began_is_said_again_and_runs_once(
    faulty: Stack, fault: dict[str, Any]
) -> None:
    async with opened(faulty.url) as client:
        await client.say("Good morning.")
        before = asked(faulty)
        follow(faulty, {"faults": [fault]})
        reply = await client.say("What time is it?")
        assert [fault["message"] for fault in client.faults] == ["Internal server error"]
        assert (reply.end["reason"], reply.errors) == ("completed", [])
        assert reply.end.get("attempt", 1) == 1
        assert asked(faulty) == before + 1


async def test_a_message_that_fails_ends_no_turn_that_runs(faulty: Stack) -> None:
    async with opened(faulty.url) as client:
        await client.say("Good morning.")
        faulty.llm.put(delays={"llm_first_token_ms": 1500})
        await client.send(type="user_message", turn_id="on", text="What time is it?")
        throttle = {"kind": "throttle_function", "function": "MessageFunction", "times": 1}
        follow(faulty, {"faults": [throttle]})
        await client.send(type="context", text="The user looks at a clock.")
        reply = await client.ended("on")
        assert [fault["message"] for fault in client.faults] == ["Internal server error"]
        assert (reply.end["reason"], reply.errors) == ("completed", [])
        assert reply.end.get("attempt", 1) == 1


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory, standins: Standins) -> Iterator[Stack]:
    """A stack whose API Gateway waits for no turn's function for as long as a turn takes."""
    folder = tmp_path_factory.mktemp("impatient")
    template = (ROOT / "template.yaml").read_text()
    assert WAITS in template
    (folder / "template.yaml").write_text(template.replace(WAITS, "TimeoutInMillis: 500"))
    for name in ("functions", "layers", "tools", "events"):
        (folder / name).symlink_to(ROOT / name)
    template_path = folder / "template.yaml"
    with running_stack(folder, template=template_path, standins=standins) as stack:
        yield stack


WAITS = "TimeoutInMillis: 29000"


async def test_a_turn_goes_on_when_api_gateway_waits_no_longer(impatient: Stack) -> None:
    before = asked(impatient)
    impatient.llm.put(delays={"llm_token_ms": 200})  # not so long that a second model is asked
    async with opened(impatient.url) as client:
        reply = await client.say("What time is it?")
        assert [fault["message"] for fault in client.faults] == ["Endpoint request timed out"]
        assert (reply.end["reason"], reply.errors) == ("completed", [])
        reply.check_gapless()
    assert asked(impatient) == before + 1


async def test_a_function_that_dies_when_nobody_waits_for_it_is_found_by_its_lease(
    impatient: Stack,
) -> None:
    impatient.llm.put(delays={"llm_token_ms": 700})
    async with opened(impatient.url) as client:
        await client.send(type="user_message", turn_id="t", text=LONG)
        await client.until("t", lambda reply: bool(reply.events and client.faults))
        assert impatient.kill("TurnFunction") >= 1  # and what was woken beside it
        killed_at = time.monotonic()
        while not client.has_ended("t"):
            await client.send(type="ping", sent_at=ASKED_AT, turn_id="t")
            await asyncio.sleep(0.5)
        reply = await client.ended("t")
        assert (reply.end["reason"], reply.end["seq"]) == ("failed", 0)
        assert reply.times[-1] - killed_at < LEASE_S + 5
        assert [fault["message"] for fault in client.faults] == ["Endpoint request timed out"]


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
