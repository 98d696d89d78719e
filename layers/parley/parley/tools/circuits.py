"""One circuit for each tool: one that is down is not asked for a while, and nobody waits for it."""

from __future__ import annotations

import time
from collections import defaultdict

from parley.providers.circuit_breaker import CircuitBreaker
from parley.providers.errors import make_failure
from parley.tools.tool import ToolFailed


class ToolCircuits:
    """The circuits of a deployment's tools, by name."""

    def __init__(self) -> None:
        self._circuits: defaultdict[str, CircuitBreaker] = defaultdict(CircuitBreaker)

    def admit(self, name: str) -> bool:
        """Return whether a tool is to be called."""
        return name not in self._circuits or self._circuits[name].admit_call(time.monotonic()) <= 0

    def record_success(self, name: str) -> None:
        """Note that a tool has answered."""
        self._circuits.pop(name, None)

    def record_failure(self, name: str, error: ToolFailed) -> None:
        """Note that a tool has failed. A refusal says nothing about the next call."""
        if error.reason == "timeout" or error.reason == "unavailable":
            failure = make_failure("reply_failed", error.reason)
            self._circuits[name].record_failure(failure, time.monotonic())
