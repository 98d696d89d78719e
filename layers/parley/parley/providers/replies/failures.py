"""How an answer is none."""

from __future__ import annotations

import json
from typing import Any

_BAD_CALL = (
    *(b"tool_use_failed", b"not in request.tools"),
    *(b"error parsing tool call", b"failed to parse tool call"),
)
"""Groq's words, Ollama's, and llama.cpp's, in lower case."""


class Nonsense(ValueError):
    """It is not what an endpoint of this protocol sends."""


class ErrorInAnswer(Exception):
    """The endpoint says within its answer that it failed.

    Attributes:
        error: what it says; its text is not for a log.
    """

    def __init__(self, error: Any) -> None:
        super().__init__()
        self.error = error


class BrokenOff(Exception):
    """The answer ended before the reply did."""


class BadCall(Exception):
    """The model wrote a call that its own endpoint does not take. Nothing of it has run."""


class LeakedCall(Exception):
    """The model wrote a call as text. Nothing of it has run."""


def is_bad_call(body: bytes) -> bool:
    """Return whether an error says that the model wrote a call that cannot be read."""
    body = body.lower()
    return any(mark in body for mark in _BAD_CALL)


def failure_of(error: Any, *, has_tools: bool) -> Exception:
    """Return what an error within an answer is.

    Args:
        has_tools: whether tools were offered.
    """
    if has_tools and is_bad_call(json.dumps(error, default=str).encode()):
        return BadCall()
    return ErrorInAnswer(error)
