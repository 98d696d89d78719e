"""Why a provider fails, as the plain object says it: what it keeps of an answer, and what never."""

from __future__ import annotations

import json
from typing import Any

import pytest

from parley.providers.diagnosis import Diagnosis, Endpoint
from tests.unit.failing_calls import KEY

CHAT = Endpoint("reply_failed", "the chat endpoint", "https://h/v1", "m", "K", "U", "M")
PLAIN_KEY = "sk-AbCdEfGhIjKlMnOpQrStUvWx"


@pytest.mark.parametrize(
    "sent_back",
    [
        PLAIN_KEY.lower(),
        PLAIN_KEY.upper(),
        PLAIN_KEY.swapcase(),
        f"invalid_{PLAIN_KEY.lower()}",
        f"{PLAIN_KEY.upper()}_is_wrong",
        PLAIN_KEY.lower().replace("-", "_"),
        PLAIN_KEY.replace("-", ""),
        "key." + "-".join(PLAIN_KEY[3:].lower()),
        PLAIN_KEY.lower()[-8:],
        f"no_{PLAIN_KEY[9:16].upper()}",
    ],
)
@pytest.mark.parametrize("place", ["code", "id in the body", "id in a header"])
def test_a_key_goes_no_further_however_it_is_written(sent_back: str, place: str) -> None:
    error: dict[str, Any] = {"code": sent_back} if place == "code" else {}
    body = {"error": error, "request_id": sent_back if place == "id in the body" else 7}
    headers = {"x-request-id": sent_back} if place == "id in a header" else {}
    failed = Diagnosis(CHAT, PLAIN_KEY).diagnose_status(401, headers, json.dumps(body).encode())
    written = json.dumps(failed.cause.log_fields()).lower()
    assert sent_back.lower() not in written
    assert (failed.cause.provider_code, failed.cause.request_id) == (None, None)


SAID = "Note this: my password is Hunter Two, and I live in Rue de l'Église 9."


@pytest.mark.parametrize(
    "sent_back",
    [
        *("my_password_is_hunter_two", "my-password.is.hunter-two", "MyPasswordIsHunterTwo"),
        *("invalid_my_password_is_hunter_two", "hunter_two", "is_hunter_two_and_what", "Password"),
        *("blocked:my-password-is".replace(":", "_"), "x_HUNTERTWOANDILIVE_y"),
    ],
)
def test_words_of_the_user_go_no_further_however_they_are_written(sent_back: str) -> None:
    body = {"error": {"code": sent_back, "type": "odd_error"}, "request_id": sent_back}
    headers = {"x-request-id": sent_back}
    failed = Diagnosis(CHAT, "", ["Be brief.", SAID]).diagnose_status(
        400, headers, json.dumps(body).encode()
    )
    cause = failed.cause
    assert (cause.provider_code, cause.provider_type) == ("odd_error", None)
    assert cause.request_id is None


def test_a_name_and_an_id_that_share_little_with_what_was_said_are_kept() -> None:
    body = {"error": {"code": "password_policy"}, "request_id": "req_hunter_8f1aa2b3"}
    cause = Diagnosis(CHAT, KEY, [SAID]).diagnose_status(400, {}, json.dumps(body).encode()).cause
    assert (cause.provider_code, cause.request_id) == ("password_policy", "req_hunter_8f1aa2b3")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://api.openai.com/v1", "api.openai.com"),
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
        (f"https://user:{KEY}@host.example/v1?key={KEY}", "host.example"),
        ("nonsense", "LlmBaseUrl"),
        ("http://[x", "LlmBaseUrl"),
        ("http://x:port", "LlmBaseUrl"),
        ("", "LlmBaseUrl"),
    ],
)
def test_of_a_url_the_host_alone_is_named(url: str, host: str) -> None:
    chat = Endpoint("reply_failed", "the chat endpoint", url, "m", "K", "LlmBaseUrl", "M")
    assert chat.host == host
    error = Diagnosis(chat).diagnose_status(404, {}, b"")
    assert KEY not in error.cause.advice


@pytest.mark.parametrize("filler", ["x", "-", "no", ""])
def test_a_filler_in_place_of_a_key_hides_nothing(filler: str) -> None:
    chat = Endpoint("reply_failed", "it", "https://h", "m", "K", "U", "M")
    error = Diagnosis(chat, filler).diagnose_status(
        400, {}, b'{"error": {"code": "no-extra_field"}}'
    )
    assert error.cause.provider_code == "no-extra_field"


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (409, "down", "unavailable"),
        (425, "down", "unavailable"),
        (498, "busy", "rate_limited"),
        (499, "request", "refused"),
        (410, "request", "refused"),
    ],
)
def test_a_status_that_passes_is_worth_another_try(status: int, reason: str, kind: str) -> None:
    error = Diagnosis(CHAT).diagnose_status(status, {}, b"")
    assert (error.cause.reason, error.kind) == (reason, kind)
    assert error.retryable == (kind != "refused")


DEEP = 5_000


def nested(value: Any, field: str, depth: int) -> Any:
    for _ in range(depth):
        value = {field: value}
    return value


@pytest.mark.parametrize("field", ["error", "detail"])
@pytest.mark.parametrize("depth", [1, 3, 8, 9, 100, DEEP])
def test_an_error_may_be_nested_as_deep_as_it_likes(field: str, depth: int) -> None:
    error = Diagnosis(CHAT).diagnose_error(nested({"code": "insufficient_quota"}, field, depth))
    assert error.cause.reason == ("quota" if depth <= 8 else "down")
    both = nested({"error": [nested({}, field, depth)], "code": "rate_limit_exceeded"}, "error", 2)
    assert Diagnosis(CHAT).diagnose_error(both).cause.reason == "busy"


def test_nor_does_a_body_of_such_an_error_matter() -> None:
    body = b'{"error":' * DEEP + b"{}" + b"}" * DEEP
    error = Diagnosis(CHAT).diagnose_status(503, {}, body)
    assert (error.cause.reason, error.cause.status) == ("down", 503)
