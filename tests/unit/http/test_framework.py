"""HTTP requests as API Gateway hands them over, and the answers that it is given."""

from __future__ import annotations

import base64
import json
from http import HTTPStatus
from typing import Any, get_args

import pytest

from parley.auth.identity import Identity
from parley.errors import ErrorCode, ParleyError
from parley.http.framework import (
    MAX_BODY_BYTES,
    STATUS_OF,
    HttpAnswer,
    HttpError,
    HttpRequest,
    read_request,
)
from parley.http.route import Route
from tests.unit.http.dispatching import OPEN_TO_ALL, RecordingLogger, dispatch


def event(**changes: Any) -> dict[str, Any]:
    """A request of the HTTP API, payload format 2.0."""
    return {
        "version": "2.0",
        "routeKey": "POST /turns",
        "rawPath": "/turns",
        "rawQueryString": "",
        "headers": {"content-type": "application/json"},
        "requestContext": {
            "http": {"method": "POST", "path": "/turns", "sourceIp": "203.0.113.7"},
            "timeEpoch": 1701245043512,
        },
        "isBase64Encoded": False,
        **changes,
    }


def answered(error: Exception) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What a route that raises is answered with, and what is logged as an error."""
    logger = RecordingLogger()

    def fail(_self: None, _request: HttpRequest, _identity: Identity) -> HttpAnswer:
        raise error

    route = Route("POST /turns", fail, "Fail.", {})
    return dispatch(route, None, event(), OPEN_TO_ALL, logger), logger.errors


@pytest.mark.parametrize("encoded", [False, True])
def test_a_body_is_bytes_however_it_comes(encoded: bool) -> None:
    text = base64.b64encode(b'{"a": 1}').decode() if encoded else '{"a": 1}'
    assert read_request(event(body=text, isBase64Encoded=encoded)).body == b'{"a": 1}'


def test_what_api_gateway_leaves_out_is_empty() -> None:
    request = read_request(event(headers={}))
    assert (request.body, request.parameters, request.query) == (b"", {}, {})
    assert (request.origin, request.content_type, request.bearer_token) == ("", "", "")


def test_a_body_that_is_too_large_is_refused() -> None:
    with pytest.raises(ParleyError, match="at most 4,194,304") as caught:
        read_request(event(body="x" * (MAX_BODY_BYTES + 1)))
    assert caught.value.code == "too_large"


def test_the_largest_body_fits_into_an_event_of_lambda() -> None:
    body = base64.b64encode(bytes(MAX_BODY_BYTES)).decode()
    assert len(json.dumps(event(body=body))) < 6 * 1024 * 1024


@pytest.mark.parametrize(
    ("header", "token"),
    [("Bearer abc", "abc"), ("bearer  abc ", "abc"), ("Basic abc", ""), ("abc", ""), ("", "")],
)
def test_a_bearer_token(header: str, token: str) -> None:
    assert read_request(event(headers={"authorization": header})).bearer_token == token


def test_a_content_type_is_without_its_parameters() -> None:
    request = read_request(event(headers={"content-type": "Audio/PCM; rate=16000"}))
    assert request.content_type == "audio/pcm"


def test_every_error_code_has_a_status() -> None:
    assert set(STATUS_OF) == set(get_args(ErrorCode))
    assert all(status >= 400 for status in STATUS_OF.values())


def test_an_error_is_a_problem_document() -> None:
    error = ParleyError(
        "rate_limited", "Slower.", retryable=True, field="text", turn_id="t", retry_after_ms=1200
    )
    answer, failed = answered(error)
    assert answer["statusCode"] == 429
    assert answer["headers"]["content-type"] == "application/problem+json"
    assert answer["headers"]["retry-after"] == "2"
    assert json.loads(answer["body"]) == {
        "title": "Too Many Requests",
        "status": 429,
        "code": "rate_limited",
        "detail": "Slower.",
        "retryable": True,
        "field": "text",
        "turn_id": "t",
        "retry_after_ms": 1200,
    }
    assert not failed


def test_an_error_may_choose_its_status() -> None:
    answer, _ = answered(HttpError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "bad_request", "No."))
    assert answer["statusCode"] == 415


def test_what_is_unauthorized_is_told_how_to_ask() -> None:
    answer, _ = answered(ParleyError("unauthorized", "Who are you?"))
    assert (answer["statusCode"], answer["headers"]["www-authenticate"]) == (401, "Bearer")


def test_a_fault_is_told_to_the_log_and_not_to_the_client() -> None:
    fault = RuntimeError("what nobody may see")
    answer, failed = answered(fault)
    assert answer["statusCode"] == 500
    assert json.loads(answer["body"])["code"] == "internal"
    assert "nobody" not in answer["body"]
    (logged,) = failed
    assert (logged["message"], logged["error"]) == ("request_failed", "RuntimeError")
    assert "nobody" not in repr(logged)


def test_no_answer_may_be_kept_on_the_way() -> None:
    assert HttpAnswer.from_content({}).to_payload()["headers"]["cache-control"] == "no-store"
    assert answered(ParleyError("bad_request", "No."))[0]["headers"]["cache-control"] == "no-store"
