"""Each provider's failures: retried, degraded to text, or a readable error; never a hang."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.raw import Reply, opened
from tests.e2e.stack import PROVIDER_TIMEOUT_S, Control, Stack

pytestmark = pytest.mark.timeout(120)

LIMIT_S = PROVIDER_TIMEOUT_S * 2 + 6
"""Handshake, two retries and one silence, with room for this machine."""

ALWAYS = 1000

PERMANENT: list[tuple[str, dict[str, Any], bool]] = [
    ("401", {"status": 401, "times": ALWAYS}, False),
    ("429-retry-after", {"status": 429, "retry_after": 30, "times": ALWAYS}, True),
    ("500", {"status": 500, "times": ALWAYS}, True),
    ("refused", {"refuse": True, "times": ALWAYS}, True),
    ("stall", {"stall": "before", "times": ALWAYS}, True),
]
PASSING: list[tuple[str, dict[str, Any]]] = [
    ("429-retry-after", {"status": 429, "retry_after": 1, "times": 1}),
    ("refused", {"refuse": True, "times": 1}),
    ("cut", {"cut": 0, "times": 1}),
]


def control_of(stack: Stack, surface: str) -> Control:
    return stack.llm if surface == "llm" else stack.elevenlabs


async def hold_turn(
    stack: Stack, surface: str, fault: dict[str, Any], speech: Callable[[str], bytes]
) -> Reply:
    """One turn under a fault, within its time limit; after a failure the next one succeeds."""
    pcm = speech("What time is it?")
    control = control_of(stack, surface)
    async with opened(stack.url) as client:
        control.put(faults={surface: fault})
        began = time.monotonic()
        if surface == "stt":
            reply = await client.speak(pcm, chunk_ms=200, speed=4)
        else:
            reply = await client.say("Count to five.")
        took_s = time.monotonic() - began
        control.put(faults={surface: None})
        if reply.errors:
            healthy = await client.say("Good morning.")
            assert healthy.end["reason"] == "completed"
            assert healthy.audio
    assert took_s < LIMIT_S
    reply.check_gapless()
    return reply


@pytest.mark.parametrize(
    ("fault", "retryable"), [p[1:] for p in PERMANENT], ids=[p[0] for p in PERMANENT]
)
async def test_responder_that_fails_is_a_readable_error(
    stack: Stack, speech: Callable[[str], bytes], fault: dict[str, Any], retryable: bool
) -> None:
    reply = await hold_turn(stack, "llm", fault, speech)
    (error,) = reply.errors
    assert (error["code"], error["retryable"]) == ("reply_failed", retryable)
    assert error["message"].startswith("The assistant ")
    assert reply.end["reason"] == "failed"
    if fault.get("retry_after"):
        assert error["retry_after_ms"] == fault["retry_after"] * 1000


@pytest.mark.parametrize(
    ("fault", "retryable"), [p[1:] for p in PERMANENT], ids=[p[0] for p in PERMANENT]
)
async def test_synthesizer_that_fails_leaves_a_reply_in_text(
    stack: Stack, speech: Callable[[str], bytes], fault: dict[str, Any], retryable: bool
) -> None:
    reply = await hold_turn(stack, "tts", fault, speech)
    (error,) = reply.errors
    assert (error["code"], error["retryable"]) == ("speech_failed", retryable)
    assert reply.end["reason"] == "completed"
    assert "five" in reply.text.lower()
    assert reply.audio == b""


@pytest.mark.parametrize(
    ("fault", "retryable"), [p[1:] for p in PERMANENT], ids=[p[0] for p in PERMANENT]
)
async def test_transcriber_that_fails_is_a_readable_error(
    stack: Stack, speech: Callable[[str], bytes], fault: dict[str, Any], retryable: bool
) -> None:
    reply = await hold_turn(stack, "stt", fault, speech)
    (error,) = reply.errors
    assert (error["code"], error["retryable"]) == ("transcription_failed", retryable)
    assert reply.end["reason"] == "failed"


@pytest.mark.parametrize("surface", ["llm", "tts", "stt"])
@pytest.mark.parametrize("fault", [p[1] for p in PASSING], ids=[p[0] for p in PASSING])
async def test_a_failure_that_passes_is_retried_with_all_of_its_input(
    stack: Stack, speech: Callable[[str], bytes], surface: str, fault: dict[str, Any]
) -> None:
    reply = await hold_turn(stack, surface, fault, speech)
    assert reply.errors == []
    assert reply.end["reason"] == "completed"
    assert reply.end["metrics"]["retries"] >= 1
    spoken = [w[0] for e in reply.events if e["type"] == "audio" for w in e.get("words", [])]
    assert spoken == reply.text.split()
    if surface == "stt":
        assert "time" in reply.transcript.lower()


async def test_responder_cut_in_mid_reply_keeps_what_was_said(
    stack: Stack, speech: Callable[[str], bytes]
) -> None:
    reply = await hold_turn(stack, "llm", {"cut": 6, "times": 1}, speech)
    assert [error["code"] for error in reply.errors] == ["reply_failed"]
    assert reply.end["reason"] == "failed"
    assert reply.text
    assert reply.end["text"] == reply.text
    assert reply.end["metrics"]["retries"] == 0, "never again after the first token"


async def test_synthesizer_cut_in_mid_reply_goes_on_as_text(
    stack: Stack, speech: Callable[[str], bytes]
) -> None:
    reply = await hold_turn(stack, "tts", {"cut": 1, "times": 1}, speech)
    assert [error["code"] for error in reply.errors] == ["speech_failed"]
    assert reply.end["reason"] == "completed"
    assert "five" in reply.text.lower()
    assert reply.end["metrics"]["retries"] == 0, "never again after the first sound"


async def test_transcriber_cut_in_mid_utterance_is_given_the_audio_again(
    stack: Stack, speech: Callable[[str], bytes]
) -> None:
    reply = await hold_turn(stack, "stt", {"cut": 2, "times": 1}, speech)
    assert reply.errors == []
    assert reply.end["reason"] == "completed"
    records = [r for r in stack.elevenlabs.requests() if "speech-to-text" in r["path"]]
    assert len(records) == 2
    assert stack.elevenlabs.audio(records[-1]["id"], "in") == speech("What time is it?")


@pytest.mark.parametrize("surface", ["tts", "stt"])
async def test_garbage_from_a_provider_ends_the_turn_in_good_order(
    stack: Stack, speech: Callable[[str], bytes], surface: str
) -> None:
    reply = await hold_turn(stack, surface, {"garbage": True, "times": ALWAYS}, speech)
    expected = {"tts": "speech_failed", "stt": "transcription_failed"}
    assert [error["code"] for error in reply.errors] == [expected[surface]]


async def test_garbage_between_the_words_of_a_responder_is_passed_over(
    stack: Stack, speech: Callable[[str], bytes]
) -> None:
    reply = await hold_turn(stack, "llm", {"garbage": True, "times": ALWAYS}, speech)
    assert reply.errors == []
    assert reply.end["reason"] == "completed"
    assert reply.end["metrics"]["retries"] == 0
    assert reply.text == reply.end["text"] == "Sure, one, two, three, four, five."
    assert reply.audio


@pytest.mark.parametrize("surface", ["llm", "tts"])
async def test_a_provider_that_stalls_in_mid_reply_is_given_up(
    stack: Stack, speech: Callable[[str], bytes], surface: str
) -> None:
    reply = await hold_turn(stack, surface, {"stall": "after", "times": 1}, speech)
    expected = {"llm": "reply_failed", "tts": "speech_failed"}
    assert [error["code"] for error in reply.errors] == [expected[surface]]
    assert reply.text
