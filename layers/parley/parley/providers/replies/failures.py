"""How an answer is none."""

from __future__ import annotations

from typing import Any


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
