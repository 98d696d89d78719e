"""Why a provider fails that answers with a status: told to whoever runs the deployment, through
real servers, and never a secret or what was said."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.failing_calls import CALLS, KEY, WORDS, refused, told_by
from tests.unit.speech_server import playing

STATUSES: list[tuple[int, str, str, bool]] = [
    (301, "redirect", "refused", False),
    (400, "request", "refused", False),
    (401, "key", "unauthorized", False),
    (402, "quota", "refused", False),
    (403, "permission", "unauthorized", False),
    (404, "not_found", "refused", False),
    (405, "not_found", "refused", False),
    (408, "down", "unavailable", True),
    (413, "request", "refused", False),
    (422, "request", "refused", False),
    (429, "busy", "rate_limited", True),
    (500, "down", "unavailable", True),
    (502, "down", "unavailable", True),
    (503, "down", "unavailable", True),
    (504, "down", "unavailable", True),
]
BODIES = ["", "{}", "<html>Bad Gateway</html>", '{"error": "x y"}', '"x"', "[]", "[" * 9000, "null"]


@pytest.mark.parametrize(
    ("provider", "status", "reason", "kind", "retryable"),
    [
        (provider, *case)
        for case in STATUSES
        for provider in CALLS
        if case[0] != 301 or provider == "llm"  # the WebSocket client follows it itself
    ],
)
async def test_a_status_says_why(
    provider: str, status: int, reason: str, kind: str, retryable: bool
) -> None:
    error = await refused(provider, status, BODIES[status % len(BODIES)])
    assert (error.kind, error.retryable) == (kind, retryable)
    assert (error.cause.reason, error.cause.status) == (reason, status)
    assert str(status) in error.cause.advice
    assert error.cause.host is not None
    assert error.cause.host.startswith("127.0.0.1:")


NAMED: list[tuple[str, int, Any, str, str, str | None, str | None]] = [
    ("OpenAI's wrong key", 401,
     {"error": {"message": f"Incorrect API key provided: {KEY}.", "type": "invalid_request_error",
                "param": None, "code": "invalid_api_key"}},
     "key", "unauthorized", "invalid_api_key", "invalid_request_error"),
    ("OpenAI's used-up quota", 429,
     {"error": {"message": "You exceeded your current quota", "type": "insufficient_quota",
                "param": None, "code": "insufficient_quota"}},
     "quota", "refused", "insufficient_quota", None),
    ("OpenAI's rate limit", 429,
     {"error": {"message": "Rate limit reached", "type": "tokens", "code": "rate_limit_exceeded"}},
     "busy", "rate_limited", "rate_limit_exceeded", "tokens"),
    ("OpenAI's missing model", 404,
     {"error": {"message": "The model `x` does not exist", "type": "invalid_request_error",
                "code": "model_not_found"}},
     "model", "refused", "model_not_found", "invalid_request_error"),
    ("Azure's filter", 400,
     {"error": {"message": WORDS, "code": "content_filter", "status": 400}},
     "filter", "filtered", "content_filter", None),
    ("too long a conversation", 400,
     {"error": {"message": WORDS, "type": "invalid_request_error",
                "code": "context_length_exceeded"}},
     "context", "refused", "context_length_exceeded", "invalid_request_error"),
    ("Gemini's list", 400,
     [{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}],
     "request", "refused", "INVALID_ARGUMENT", None),
    ("Gemini's limit", 429,
     [{"error": {"code": 429, "message": "Quota", "status": "RESOURCE_EXHAUSTED"}}],
     "busy", "rate_limited", "RESOURCE_EXHAUSTED", None),
    ("Anthropic's overload", 529,
     {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"},
      "request_id": "req_011CSHoEeqs5C35K2UUqR7Fy"},
     "down", "unavailable", "overloaded_error", None),
    ("vLLM's missing model", 404,
     {"object": "error", "message": f"The model {WORDS} does not exist.", "type": "NotFoundError",
      "param": None, "code": 404},
     "not_found", "refused", "NotFoundError", None),
    ("FastAPI's 404", 404, {"detail": "Not Found"}, "not_found", "refused", None, None),
    ("Ollama's", 404, {"error": f"model '{WORDS}' not found"}, "not_found", "refused", None, None),
    ("ElevenLabs' wrong key", 401,
     {"detail": {"status": "invalid_api_key", "message": f"Invalid API key {KEY}"}},
     "key", "unauthorized", "invalid_api_key", None),
    ("ElevenLabs' used-up quota", 401,
     {"detail": {"status": "quota_exceeded", "message": "This request exceeds your quota."}},
     "quota", "refused", "quota_exceeded", None),
    ("ElevenLabs' current shape", 403,
     {"detail": {"type": "permission_error", "code": "insufficient_permissions", "message": "x",
                 "status": "insufficient_permissions", "request_id": "6c1d5e0f9a3b"}},
     "permission", "unauthorized", "insufficient_permissions", "permission_error"),
    ("ElevenLabs' missing voice", 404,
     {"detail": {"status": "voice_not_found", "message": f"A voice {WORDS} was not found."}},
     "voice", "refused", "voice_not_found", None),
    ("ElevenLabs' busy", 429,
     {"detail": {"status": "too_many_concurrent_requests", "message": "x"}},
     "busy", "rate_limited", "too_many_concurrent_requests", None),
    ("FastAPI's list", 422,
     {"detail": [{"loc": ["query", "model_id"], "msg": WORDS, "type": "value_error"}]},
     "request", "refused", "value_error", None),
]  # fmt: skip


@pytest.mark.parametrize("provider", CALLS)
@pytest.mark.parametrize(
    ("status", "body", "reason", "kind", "code", "type_"),
    [case[1:] for case in NAMED],
    ids=[case[0] for case in NAMED],
)
async def test_a_providers_own_name_for_it_is_kept_and_its_text_is_not(
    provider: str, status: int, body: Any, reason: str, kind: str, code: str, type_: str
) -> None:
    if provider != "llm" and status == 529:
        status = 503
    error = await refused(provider, status, body)
    cause = error.cause
    assert (cause.reason, error.kind, cause.status) == (reason, kind, status)
    assert (cause.provider_code, cause.provider_type) == (code, type_)


@pytest.mark.parametrize("provider", CALLS)
@pytest.mark.parametrize(
    ("headers", "body", "found"),
    [
        ({"x-request-id": "req_8f1"}, {}, "req_8f1"),
        ({"Request-Id": "6c1d5e0f"}, {}, "6c1d5e0f"),
        ({"cf-ray": "8f1aa2b3c4d5e6f7-FRA"}, {}, "8f1aa2b3c4d5e6f7-FRA"),
        ({"cf-ray": "8f1aa2b3", "x-request-id": "req_8f1"}, {}, "req_8f1"),
        ({"x-request-id": "req_8f1"}, {"detail": {"request_id": "in-the-body"}}, "in-the-body"),
        ({}, {"error": {}, "request_id": "req_011CS"}, "req_011CS"),
        ({}, {}, None),
        ({"x-request-id": KEY}, {"request_id": KEY[4:]}, None),
        ({"x-request-id": "has a space"}, {"request_id": 7}, None),
        ({"x-request-id": "x" * 200}, {"request_id": {"a": 1}}, None),
    ],
)
async def test_the_requests_id_is_kept(
    provider: str, headers: dict[str, str], body: Any, found: str | None
) -> None:
    error = await refused(provider, 500, body, headers)
    assert error.cause.request_id == found


async def test_an_id_that_the_user_said_is_not_kept() -> None:
    """In an answer of a chat endpoint: nothing has been said when a handshake is answered."""
    error = await refused("llm", 500, {}, {"x-request-id": "periwinkle"})
    assert error.cause.request_id is None


PRIVATE: list[Any] = [
    {"error": {"code": KEY, "type": KEY[3:]}},
    {"error": {"code": KEY.replace("-", "_"), "message": KEY}},
    {"error": {"code": f"bad_key_{KEY[-8:]}", "type": f"{KEY[:9]}..."}},
    {"error": KEY},
    {"detail": {"status": KEY, "code": KEY[8:]}},
    {"detail": KEY},
    {"error": {"code": "x" * 65, "type": "two words"}},
    {"error": {"code": ["a"], "type": {"b": 1}, "status": True}},
]


@pytest.mark.parametrize("provider", CALLS)
@pytest.mark.parametrize("body", PRIVATE, ids=range(len(PRIVATE)))
async def test_a_key_that_is_sent_back_goes_no_further(provider: str, body: Any) -> None:
    error = await refused(provider, 401, body)
    assert (error.cause.provider_code, error.cause.provider_type) == (None, None)
    assert error.cause.reason == "key"


async def test_nor_does_a_word_of_the_user() -> None:
    error = await refused("llm", 400, {"error": {"code": "Periwinkle", "type": "ultramarine"}})
    assert (error.cause.provider_code, error.cause.provider_type) == (None, None)


@pytest.mark.parametrize("provider", CALLS)
async def test_what_to_look_at_is_named(provider: str) -> None:
    called = CALLS[provider]
    asked = {
        401: called.key_parameter,
        402: called.key_parameter,
        404: called.url_parameter,
        405: called.model_parameter,
        422: called.model_parameter,
    }
    for status, parameter in asked.items():
        assert parameter in (await refused(provider, status, {})).cause.advice
    missing = await refused(provider, 404, {"error": {"code": "model_not_found"}})
    assert missing.cause.advice.startswith("No model 'the-model' at 127.0.0.1:")
    assert called.model_parameter in missing.cause.advice


# --- headers that come more than once ---------------------------------------------------------


@pytest.mark.parametrize("provider", CALLS)
@pytest.mark.parametrize("name", ["x-request-id", "X-Request-Id", "cf-ray"])
async def test_of_an_id_that_comes_twice_the_first_is_kept(provider: str, name: str) -> None:
    twice = [(name, "req_8f1aa2"), (name, "req_of_the_proxy"), ("Retry-After", "2")]
    error = await refused(provider, 503, {}, [*twice, ("retry-after", "9")])
    assert (error.cause.request_id, error.cause.status) == ("req_8f1aa2", 503)
    assert error.retry_after_ms == 2000


@pytest.mark.parametrize("provider", ["tts", "stt"])
async def test_headers_that_come_twice_break_no_handshake(provider: str) -> None:
    async with playing() as server:
        server.headers = [("request-id", "6c1d5e0f"), ("request-id", "9a3b9a3b"), ("Via", "1.1 a"),
                          ("Via", "1.1 b"), ("Retry-After", "1"), ("Retry-After", "2")]  # fmt: skip
        error = await told_by(provider, "rate_limited", server)
    assert (error.kind, error.cause.request_id) == ("rate_limited", "6c1d5e0f")


@pytest.mark.parametrize("provider", ["tts", "stt"])
@pytest.mark.parametrize(
    "headers",
    [
        [("Location", "/a"), ("Location", "/b")],
        [("Location", "http://[")],
        [("Location", "ftp://h/x")],
        [("Location", "wss://a..b/")],
        [("Content-Length", "2"), ("Content-Length", "3")],
    ],
    ids=str,
)
async def test_a_handshake_that_contradicts_itself_is_a_failure_of_the_provider(
    provider: str, headers: list[tuple[str, str]]
) -> None:
    assert (await refused(provider, 307, {}, headers)).kind in ("unavailable", "refused")
