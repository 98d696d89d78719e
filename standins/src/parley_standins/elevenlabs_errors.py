"""ElevenLabs' errors, as they look on the wire.

HTTP bodies have had two shapes: `{"detail": {"status", "message"}}` and, since 2026,
one with `type`, `code` and `request_id` beside. Validation fails with FastAPI's list.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any, Literal

from aiohttp import web

BodyShape = Literal["current", "legacy"]

_TYPES = {
    400: "invalid_request",
    401: "authentication_error",
    402: "payment_error",
    403: "permission_error",
    404: "not_found",
    422: "validation_error",
    429: "rate_limit_error",
}
_FAULT_CODES = {
    401: ("invalid_api_key", "Invalid API key"),
    429: ("concurrent_limit_exceeded", "Too many concurrent requests."),
    500: ("internal_error", "An internal error occurred."),
    503: ("service_unavailable", "The service is unavailable. Try again later."),
}


@dataclass(slots=True)
class ApiProblem(Exception):
    """A request that is answered with an error."""

    status: int
    code: str
    message: str
    param: str | None = None

    def response(self, shape: BodyShape) -> web.Response:
        """Return the HTTP answer."""
        detail: dict[str, Any] = {"status": self.code, "message": self.message}
        if shape == "current":
            detail["type"] = _TYPES.get(self.status, "internal_error")
            detail["code"] = self.code
            detail["request_id"] = uuid.uuid4().hex
            if self.param:
                detail["param"] = self.param
        return web.json_response({"detail": detail}, status=self.status)

    def frame(self) -> dict[str, Any]:
        """Return the frame that a speech socket sends before it closes with 1008."""
        return {"message": self.message, "error": self.code, "code": 1008}


@dataclass(slots=True)
class Unprocessable(Exception):
    """A body that is not what the endpoint takes: FastAPI's 422.

    Attributes:
        problems: (location, message, type) of each.
    """

    problems: tuple[tuple[tuple[str, ...], str, str], ...]

    def response(self, shape: BodyShape) -> web.Response:
        """Return the HTTP answer, the same in either shape."""
        del shape
        detail = [{"loc": list(loc), "msg": msg, "type": kind} for loc, msg, kind in self.problems]
        return web.json_response({"detail": detail}, status=422)


def invalid_key() -> ApiProblem:
    """Make the error of another key than the stand-in's."""
    return ApiProblem(401, "invalid_api_key", "Invalid API key")


def missing_key() -> ApiProblem:
    """Make the error of a request without a key."""
    return ApiProblem(401, "missing_api_key", "An API key is needed: send it as xi-api-key.")


def voice_not_found(voice_id: str) -> ApiProblem:
    """Make the error of a voice that does not exist."""
    return ApiProblem(
        404, "voice_not_found", f"A voice with the voice_id {voice_id} was not found.", "voice_id"
    )


def of_fault(status: int, code: str | None = None) -> ApiProblem:
    """Return the error that a status on demand is answered with.

    Args:
        code: in place of the usual one.
    """
    usual, message = _FAULT_CODES.get(status, (f"status_{status}", f"Status {status}, on demand."))
    return ApiProblem(status, code or usual, message)
