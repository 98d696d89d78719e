"""Refusals in OpenAI's form."""

from __future__ import annotations


class BadRequest(Exception):
    """A request that is answered with OpenAI's error body.

    Args:
        reason: under which it is counted.
    """

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        param: str | None = None,
        reason: str = "request",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.body = {
            "error": {
                "message": message,
                "type": _error_type(status),
                "param": param,
                "code": code,
            }
        }


def _error_type(status: int) -> str:
    if status == 429:
        return "rate_limit_error"
    return "invalid_request_error" if status < 500 else "server_error"
