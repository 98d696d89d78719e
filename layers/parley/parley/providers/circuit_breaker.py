"""Stops calling a provider that is down, for a while: a user hears of it at once.

`CircuitBreaker` is a plain object over times that it is given; there is one for each provider in
each environment.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from parley.errors import Cause, ProviderError
from parley.providers.errors import ProviderErrorCode, make_failure

T = TypeVar("T")

OPENS_AFTER = 5
"""So many calls in a row must fail, for reasons that the next would share."""
WITHIN_S = 120.0
"""And within so long: an environment runs one turn at a time, and each may take its whole time-out
to fail. What failed before says little about now."""
OPEN_S = 10.0
"""How long nothing is called; then one call tries whether the provider is back."""


class CircuitBreaker:
    """Whether a provider may be called. Times are seconds of one monotonic clock.

    Attributes:
        last_cause: why the last call failed that says something about the provider.
    """

    def __init__(self) -> None:
        self.last_cause: Cause | None = None
        self._failed_at_s: deque[float] = deque(maxlen=OPENS_AFTER)
        self._closed_from_s = 0.0
        self._open = False

    def admit_call(self, now_s: float) -> float:
        """How long the provider is not to be called; 0 when it may be.

        The caller that is let through after a while is the trial: until it is known how it
        went, others wait.
        """
        if not self._open:
            return 0.0
        left_s = self._closed_from_s - now_s
        if left_s <= 0:
            self._closed_from_s = now_s + OPEN_S
            return 0.0
        return left_s

    def record_success(self) -> None:
        """A call was answered."""
        self._failed_at_s.clear()
        self._open = False

    def record_failure(self, error: ProviderError, now_s: float) -> None:
        """A call failed. Bad keys and bad requests say nothing about the provider."""
        if error.kind not in ("unavailable", "timeout"):
            return
        self.last_cause = error.cause
        self._failed_at_s.append(now_s)
        full = len(self._failed_at_s) == OPENS_AFTER
        if self._open or (full and now_s - self._failed_at_s[0] <= WITHIN_S):
            self._open = True
            self._closed_from_s = now_s + OPEN_S


@dataclass(slots=True)
class CircuitBreakers:
    """One circuit for each provider."""

    transcriber: CircuitBreaker = field(default_factory=CircuitBreaker)
    responder: CircuitBreaker = field(default_factory=CircuitBreaker)
    synthesizer: CircuitBreaker = field(default_factory=CircuitBreaker)


async def guard_call(
    breaker: CircuitBreaker,
    code: ProviderErrorCode,
    call: Callable[[], Awaitable[T]],
    begun: Callable[[], bool],
) -> T:
    """What a call to a provider returns.

    Args:
        begun: whether the answer has begun: a call that is cancelled afterwards, because the user
            interrupts, was answered.

    Raises:
        ProviderError: the call failed, or was not made because the provider is down.
    """
    wait_s = breaker.admit_call(time.monotonic())
    if wait_s > 0:
        cause = _not_called(breaker.last_cause)
        raise make_failure(code, "unavailable", cause=cause, retry_after_ms=round(wait_s * 1000))
    try:
        answer = await call()
    except ProviderError as error:
        breaker.record_failure(error, time.monotonic())
        raise
    except asyncio.CancelledError:
        if begun():
            breaker.record_success()
        raise
    breaker.record_success()
    return answer


def _not_called(last: Cause | None) -> Cause | None:
    if last is None:
        return None
    advice = f"It was not called, after {OPENS_AFTER} failures in a row. The last: {last.advice}"
    return replace(last, reason="not_called", advice=advice)
