"""Errors of OpenAI's audio API, in its own shape and in FastAPI's."""

from __future__ import annotations

import uuid
from typing import Any

from aiohttp import web

from parley_standins.faults import Fault

_CODES = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}


class AudioProblem(Exception):
    """A request that is answered with an error."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self._status = status
        self._message = message
        self._code = code
        self._param = param
        self._retry_after = retry_after

    @classmethod
    def of_fault(cls, fault: Fault, key: str | None) -> AudioProblem:
        """Make the error of a fault. Its text repeats the key, as some services do."""
        assert fault.status is not None
        return cls(
            fault.status,
            f"Status {fault.status}, on demand: {key}.",
            fault.code or _CODES.get(fault.status),
            retry_after=fault.retry_after,
        )

    def answer(self, *, detail: bool) -> web.Response:
        """Return the HTTP answer.

        Args:
            detail: in FastAPI's shape.
        """
        kind = "rate_limit_error" if self._status == 429 else "invalid_request_error"
        error: dict[str, Any] = {
            "message": self._message,
            "type": kind if self._status < 500 else "server_error",
            "param": self._param,
            "code": self._code,
        }
        body = {"detail": self._message} if detail else {"error": error}
        response = web.json_response(body, status=self._status)
        response.headers["x-request-id"] = f"req_{uuid.uuid4().hex}"
        if self._retry_after is not None:
            response.headers["Retry-After"] = f"{self._retry_after:g}"
        return response
