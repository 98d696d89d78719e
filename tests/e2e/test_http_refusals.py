"""Turns over HTTP that go wrong, bad input, and what a page and a monitor ask, end to end."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from tests.e2e.http_api import ALWAYS, HttpSession, asked, problem, url_of, wav
from tests.e2e.stack import Stack

Speech = Callable[[str], bytes]
pytestmark = pytest.mark.timeout(120)

# --- what goes wrong ------------------------------------------------------------------------


async def test_a_responder_that_fails_is_an_answer_that_says_so(stack: Stack) -> None:
    stack.llm.put(faults={"llm": {"status": 429, "retry_after": 30, "times": ALWAYS}})
    async with HttpSession(stack) as session:
        failed = await session.say("Count to five.")
        stack.llm.put(faults={"llm": None})
        healthy = await session.say("Count to five.")
    assert (failed["reason"], failed["error"]["code"]) == ("failed", "reply_failed")
    assert failed["error"]["retryable"] is True
    assert failed["error"]["retry_after_ms"] == 30_000
    assert healthy["reason"] == "completed"


async def test_speech_that_fails_leaves_the_reply_in_text(stack: Stack) -> None:
    stack.elevenlabs.put(faults={"tts": {"status": 401, "times": ALWAYS}})
    async with HttpSession(stack) as session:
        answer = await session.say("Count to five.")
    assert (answer["reason"], answer["error"]["code"]) == ("completed", "speech_failed")
    assert "five" in answer["text"]
    assert "audio" not in answer


async def test_a_transcriber_that_fails_is_an_answer_that_says_so(
    stack: Stack, speech: Speech
) -> None:
    pcm = speech("What time is it?")
    stack.elevenlabs.put(faults={"stt": {"status": 401, "times": ALWAYS}})
    async with HttpSession(stack) as session:
        failed = await session.speak(wav(pcm), "audio/wav")
    assert (failed["reason"], failed["error"]["code"]) == ("failed", "transcription_failed")


async def test_silence_is_no_speech(stack: Stack) -> None:
    async with HttpSession(stack) as session:
        answer = await session.speak(wav(bytes(32_000)), "audio/wav")
    assert (answer["reason"], answer["error"]["code"]) == ("failed", "no_speech")


JSON = "application/json"


@pytest.mark.parametrize(
    ("content_type", "body", "status", "code", "field", "said"),
    [
        (JSON, b"", 400, "bad_request", None, "not valid JSON"),
        (JSON, b"{", 400, "bad_request", None, "not valid JSON"),
        (JSON, b"[]", 400, "bad_request", "body", "expected object"),
        (JSON, b'{"x":' * 9 + b"1" + b"}" * 9, 400, "bad_request", None, "more than 8 levels deep"),
        (JSON, b'{"x":' * 5000 + b"1" + b"}" * 5000, 400, "bad_request", None, "levels deep"),
        (JSON, b"[" * 100_000, 400, "bad_request", None, "The body is"),
        (JSON, b'{"text": "a", "text": "b"}', 400, "bad_request", None, "'text' twice"),
        (JSON, b"{}", 400, "bad_request", "text", "either text or audio"),
        (JSON, b'{"text": "a", "audio": "AAA="}', 400, "bad_request", "text", "not both"),
        (JSON, b'{"text": " "}', 400, "bad_request", "text", "white space"),
        (JSON, b'{"text": 5}', 400, "bad_request", "text", "expected str"),
        (JSON, b'{"text": "a", "turn_id": "a b"}', 400, "bad_request", "turn_id", "matching"),
        (JSON, b'{"text": "a", "attempt": 0}', 400, "bad_request", "attempt", ">= 1"),
        (
            *(JSON, b'{"text": "a", "settings": {"speed": 9}}'),
            *(400, "bad_request", "settings.speed", "<= 1.2"),
        ),
        (JSON, b'{"audio": "?"}', 400, "bad_request", "audio", "base64"),
        (JSON, b'{"audio": "AAAA"}', 400, "bad_request", "audio", "even number"),
        (JSON, b'{"audio": ""}', 400, "bad_request", "audio", "even number"),
        (
            JSON,
            b'{"audio": "AAA=", "format": "mp3"}',
            400,
            "bad_request",
            "format",
            "pcm_8000, wav",
        ),
        (JSON, b'{"audio": "AAA=", "format": "wav"}', 400, "bad_request", "audio", "no WAV"),
        ("text/plain", b"Hello", 415, "bad_request", "Content-Type", "audio/wav"),
        ("audio/mpeg", b"ID3", 415, "bad_request", "Content-Type", "audio/wav"),
        ("audio/pcm", b"ab", 400, "bad_request", "Content-Type", "sample rate"),
        ("audio/pcm;rate=x", b"ab", 400, "bad_request", "Content-Type", "sample rate"),
        ("audio/pcm;rate=11025", b"ab", 400, "bad_request", "Content-Type", "got 11025"),
        ("audio/pcm;rate=16000", b"abc", 400, "bad_request", "audio", "got 3"),
        ("audio/pcm;rate=8000", bytes(960_002), 413, "too_large", "audio", "60.0 s are too"),
        ("audio/wav", b"RIFF", 400, "bad_request", "audio", "no WAV file"),
        ("audio/wav", wav(b"ab" * 9, 11_025), 400, "bad_request", "audio", "got 11025"),
        ("audio/wav", wav(b"ab" * 8, channels=2), 400, "bad_request", "audio", "one channel"),
        ("audio/wav", wav(b"ab" * 8, width=1), 400, "bad_request", "audio", "got 8-bit"),
        ("audio/wav", wav(b"ab" * 99)[:-9], 400, "bad_request", "audio", "189 came"),
        (JSON, b" " * 4_200_000, 413, "too_large", None, "at most 4,194,304"),
    ],
)
async def test_bad_input_is_a_sentence_that_names_the_field(
    stack: Stack,
    content_type: str,
    body: bytes,
    status: int,
    code: str,
    field: str | None,
    said: str,
) -> None:
    async with HttpSession(stack) as session:
        answer = await session.client.post(
            "/turns", content=body, headers={"content-type": content_type}
        )
    assert said in problem(answer, status, code, field)
    assert asked(stack) == 0


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("resume_token=abc", "resume_token"),
        ("events=perhaps", "events"),
        ("speed=x", "speed"),
        ("speed=9", "speed"),
        ("turn_id=a%20b", "turn_id"),
    ],
)
async def test_bad_queries_are_named_too(stack: Stack, query: str, field: str) -> None:
    async with HttpSession(stack) as session:
        answer = await session.client.post(
            f"/turns?{query}", content=wav(b"ab"), headers={"content-type": "audio/wav"}
        )
    problem(answer, 400, "bad_request", field)


# --- pages ----------------------------------------------------------------------------------


async def test_a_page_may_ask_from_another_origin(stack: Stack) -> None:
    page = {"Origin": "https://page.example"}
    wanted = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-resume-token",
    }
    async with HttpSession(stack) as session:
        preflight = await session.client.options("/turns", headers={**page, **wanted})
        answer = await session.client.post("/turns", json={}, headers=page)
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "POST" in preflight.headers["access-control-allow-methods"]
    allowed = preflight.headers["access-control-allow-headers"].split(",")
    assert {"authorization", "content-type", "x-resume-token"} <= set(allowed)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "retry-after" in answer.headers["access-control-expose-headers"]


async def test_health(stack: Stack) -> None:
    answer = httpx.get(f"{url_of(stack)}/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")


async def test_deep_health_asks_everything_that_a_turn_needs(stack: Stack) -> None:
    stack.renew("HealthFunction")
    before = asked(stack)
    answers = [httpx.get(f"{url_of(stack)}/health?deep=1", timeout=20) for _ in range(2)]
    for answer in answers:
        assert (answer.status_code, answer.json()["status"]) == (200, "ok"), answer.text
    assert set(answers[0].json()["checks"]) == {
        "table",
        "secret",
        "transcriber",
        "responder",
        "synthesizer",
    }
    assert asked(stack) == before + 1, "the second answer is the first one's"
