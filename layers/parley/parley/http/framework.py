"""HTTP requests and answers: API Gateway's payload format 2.0 in, and JSON or a problem out.

What is wrong with a request is a `ParleyError` like everywhere else. Here it becomes a problem
document (RFC 9457) with one of Parley's closed error codes.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import msgspec
from msgspec import Struct

from parley.errors import ErrorCode, ParleyError
from parley.limit import Limit

MAX_BODY_BYTES = 4 * 1024 * 1024
"""Lambda takes events of 6 MB ("Lambda quotas"). In them a binary body is base64."""

STATUS_OF: Mapping[ErrorCode, HTTPStatus] = {
    "bad_request": HTTPStatus.BAD_REQUEST,
    "unknown_type": HTTPStatus.BAD_REQUEST,
    "not_initialised": HTTPStatus.BAD_REQUEST,
    "unsupported_protocol": HTTPStatus.BAD_REQUEST,
    "audio_gap": HTTPStatus.BAD_REQUEST,
    "unauthorized": HTTPStatus.UNAUTHORIZED,
    "resume_denied": HTTPStatus.FORBIDDEN,
    "session_not_found": HTTPStatus.NOT_FOUND,
    "turn_running": HTTPStatus.CONFLICT,
    "turn_over": HTTPStatus.GONE,
    "too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "no_speech": HTTPStatus.UNPROCESSABLE_ENTITY,
    "rate_limited": HTTPStatus.TOO_MANY_REQUESTS,
    "quota_exceeded": HTTPStatus.TOO_MANY_REQUESTS,
    "internal": HTTPStatus.INTERNAL_SERVER_ERROR,
    "transcription_failed": HTTPStatus.SERVICE_UNAVAILABLE,
    "reply_failed": HTTPStatus.SERVICE_UNAVAILABLE,
    "speech_failed": HTTPStatus.SERVICE_UNAVAILABLE,
    "turn_timeout": HTTPStatus.SERVICE_UNAVAILABLE,
}
"""The status of each code, unless an `HttpError` says another."""


class HttpError(ParleyError):
    """An error whose status does not follow from its code.

    Attributes:
        status: the status of the answer.
    """

    def __init__(
        self,
        status: HTTPStatus,
        code: ErrorCode,
        message: str,
        *,
        retryable: bool = False,
        field: str | None = None,
        turn_id: str | None = None,
        retry_after_ms: int | None = None,
    ) -> None:
        super().__init__(
            code,
            message,
            retryable=retryable,
            field=field,
            turn_id=turn_id,
            retry_after_ms=retry_after_ms,
        )
        self.status = status


class Problem(Struct, omit_defaults=True):
    """What went wrong, as `application/problem+json` (RFC 9457). `code` is from the closed
    list; `detail` is a sentence for a person."""

    title: str
    """The status in words."""
    status: int
    code: ErrorCode
    detail: str
    retryable: bool
    """Whether the same request, sent again, may work."""
    field: str | None = None
    """Path of the field that is wrong."""
    turn_id: str | None = None
    retry_after_ms: int | None = None
    """How long to wait before another try; also in `Retry-After`, in whole seconds."""
    limit: Limit | None = None
    """The limit that was met, if there was one."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request.

    Attributes:
        route: the route's key, e.g. `POST /turns`.
        parameters: the values of the variables in the route's path.
        query: decoded; the values of a repeated name are joined by commas.
        headers: their names are in lower case.
        body: at most `MAX_BODY_BYTES`.
        received_at_ms: when API Gateway received it, in ms since the epoch.
    """

    method: str
    route: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    received_at_ms: int = 0

    @property
    def origin(self) -> str:
        """Return the origin of the page that asks; empty if there is none."""
        return self.headers.get("origin", "")

    @property
    def content_type(self) -> str:
        """Return the media type of the body, without its parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def bearer_token(self) -> str:
        """Return the token of the header `Authorization` (RFC 6750); empty if there is none."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer. `body` is JSON."""

    status: HTTPStatus = HTTPStatus.OK
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_content(cls, content: object, status: HTTPStatus = HTTPStatus.OK) -> HttpAnswer:
        """Make an answer from a struct, or from anything else that msgspec encodes."""
        return cls(status, msgspec.json.encode(content))

    @classmethod
    def from_error(cls, error: ParleyError) -> HttpAnswer:
        """Make the answer that says what went wrong."""
        status = error.status if isinstance(error, HttpError) else STATUS_OF[error.code]
        problem = Problem(
            title=status.phrase,
            status=int(status),
            code=error.code,
            detail=error.message,
            retryable=error.retryable,
            field=error.field,
            turn_id=error.turn_id,
            retry_after_ms=error.retry_after_ms,
            limit=error.limit,
        )
        headers = {}
        if error.retry_after_ms is not None:
            headers["retry-after"] = str(-(-error.retry_after_ms // 1000))
        if status is HTTPStatus.UNAUTHORIZED:
            headers["www-authenticate"] = "Bearer"
        body = msgspec.json.encode(problem)
        return cls(status, body, "application/problem+json", headers)

    def to_payload(self) -> dict[str, Any]:
        """Return what the function returns to API Gateway."""
        return {
            "statusCode": int(self.status),
            "headers": {
                "content-type": self.content_type,
                # It has a session's token, or what was said.
                "cache-control": "no-store",
                **self.headers,
            },
            "body": self.body.decode(),
        }


def read_request(event: Mapping[str, Any]) -> HttpRequest:
    """Read the request from an event, payload format 2.0.

    Raises:
        ParleyError: `too_large`, or `bad_request` for a body that is not base64.
    """
    context = event["requestContext"]
    return HttpRequest(
        method=context["http"]["method"],
        route=event["routeKey"],
        parameters=event.get("pathParameters") or {},
        query=event.get("queryStringParameters") or {},
        headers=event.get("headers") or {},
        body=_read_body(event),
        received_at_ms=context["timeEpoch"],
    )


def _read_body(event: Mapping[str, Any]) -> bytes:
    text = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        body = text.encode()
    else:
        try:
            body = base64.b64decode(text, validate=True)
        except binascii.Error:
            raise ParleyError("bad_request", "The body cannot be read.") from None
    if len(body) > MAX_BODY_BYTES:
        raise ParleyError(
            "too_large",
            f"The body has {len(body):,} bytes; it may have at most {MAX_BODY_BYTES:,}. "
            "Audio has fewer at a lower sample rate.",
        )
    return body
