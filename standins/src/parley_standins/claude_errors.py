"""Refusals in Anthropic's form."""

from __future__ import annotations

import uuid

STATUS_OF = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
NAME_OF = {status: name for name, status in STATUS_OF.items()}


class Refused(Exception):
    """A request that is answered with Anthropic's error body.

    Args:
        reason: under which it is counted.
    """

    def __init__(
        self, name: str, message: str, status: int | None = None, reason: str = "request"
    ) -> None:
        super().__init__(message)
        self.status = status or STATUS_OF.get(name, 400)
        self.reason = reason
        self.body = {
            "type": "error",
            "error": {"type": name, "message": message},
            "request_id": request_id(),
        }


def request_id() -> str:
    """Return a new one, in Anthropic's form."""
    return f"req_{uuid.uuid4().hex[:24]}"


def refuse(reason: str, message: str) -> Refused:
    """Return the refusal of a request that is wrong.

    Args:
        reason: under which it is counted.
    """
    return Refused("invalid_request_error", message, reason=reason)
