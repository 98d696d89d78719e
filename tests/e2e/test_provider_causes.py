"""Why a provider failed: in the log for whoever runs the deployment, never with a word of the user
or a key; and a sentence for users in the conversation."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.raw import Reply, opened
from tests.e2e.stack import STANDIN_KEY, Stack
from tests.e2e.until import until

pytestmark = pytest.mark.timeout(120)

WORDS = "ultramarine"


def failures(log: str) -> list[dict[str, Any]]:
    """What was logged of providers that failed."""
    lines = [line.split(" | ", 1)[-1] for line in log.splitlines() if '"provider_failed"' in line]
    return [json.loads(line) for line in lines]


async def one_turn(
    stack: Stack, surface: str, speech: Callable[[str], bytes]
) -> tuple[Reply, dict[str, Any]]:
    """A turn that fails at one provider, and what was logged of it."""
    before = stack.log.stat().st_size
    async with opened(stack.url) as client:
        if surface == "stt":
            reply = await client.speak(speech("What time is it?"), speed=4)
        else:
            reply = await client.say(f"Say {WORDS}.")
    # A log's line may come after the turn's last event.
    found = await until(lambda: failures(stack.logged_since(before)))
    log = stack.logged_since(before)
    assert STANDIN_KEY not in log
    assert WORDS not in log
    (logged,) = found
    assert logged["level"] == "WARNING"
    assert logged["provider"] == surface
    assert {"turn_id", "session_id", "retries", "host", "advice"} <= set(logged)
    return reply, logged


CAUSES: list[tuple[dict[str, Any], int, str, str, bool]] = [
    ({"status": 401}, 401, "key", "invalid_api_key", False),
    ({"status": 403, "code": "insufficient_permissions"}, 403, "permission",
     "insufficient_permissions", False),
    ({"status": 404, "code": "model_not_found"}, 404, "model", "model_not_found", False),
    ({"status": 429, "code": "insufficient_quota"}, 429, "quota", "insufficient_quota", False),
    ({"status": 429, "code": "rate_limit_exceeded", "retry_after": 30}, 429, "busy",
     "rate_limit_exceeded", True),
    ({"status": 503, "code": "overloaded_error"}, 503, "down", "overloaded_error", True),
]  # fmt: skip
KEYS = {"llm": "LlmApiKey", "tts": "ElevenLabsApiKey", "stt": "ElevenLabsApiKey"}


SURFACES = ("llm", "tts", "stt")
# How each surface reads each of them, tests/unit/test_diagnosis_statuses.py looks at: here each
# cause takes the way into the log from one surface, and the first, which names a parameter, from
# all.
TAKEN = [("tts", *CAUSES[0]), ("stt", *CAUSES[0])] + [
    (SURFACES[n % 3], *cause) for n, cause in enumerate(CAUSES)
]


@pytest.mark.parametrize(
    ("surface", "fault", "status", "reason", "code", "retryable"),
    TAKEN,
    ids=[f"{case[4]}-{case[0]}" for case in TAKEN],
)
async def test_a_refusal_leaves_its_cause_in_the_log(
    stack: Stack,
    speech: Callable[[str], bytes],
    surface: str,
    fault: dict[str, Any],
    status: int,
    reason: str,
    code: str,
    retryable: bool,
) -> None:
    control = stack.llm if surface == "llm" else stack.elevenlabs
    control.put(faults={surface: {**fault, "times": "always"}})
    try:
        reply, logged = await one_turn(stack, surface, speech)
    finally:
        control.put(faults={surface: None})
    assert (logged["status"], logged["reason"]) == (status, reason)
    assert logged["provider_code"] == code
    assert logged["request_id"]
    (error,) = reply.errors
    assert error["retryable"] is retryable
    assert not any(name in error["message"] for name in ("Llm", "ElevenLabs", "key", str(status)))
    if reason == "key":
        assert (
            f"refused the API key (401, invalid_api_key): check {KEYS[surface]}"
            in (logged["advice"])
        )


@pytest.mark.parametrize(
    ("oddity", "reason"), [({"calls_tool": True}, "tool_call")], ids=["tool_call"]
)
async def test_a_model_that_says_nothing_leaves_its_cause(
    stack: Stack, speech: Callable[[str], bytes], oddity: dict[str, bool], reason: str
) -> None:
    stack.llm.put(oddities=oddity)
    try:
        reply, logged = await one_turn(stack, "llm", speech)
    finally:
        stack.llm.put(oddities=dict.fromkeys(oddity, False))
    assert logged["reason"] == reason
    assert [error["code"] for error in reply.errors] == ["reply_failed"]
