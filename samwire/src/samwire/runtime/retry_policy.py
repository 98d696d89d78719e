"""What becomes of an asynchronous invocation: done, tried again, or given up.

See "How Lambda handles errors and retries with asynchronous invocation". No clock and no
I/O: the queue asks, and does it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from samwire.template.model import EventInvoke

FIRST_THROTTLE_DELAY_S = 1.0
MAX_THROTTLE_DELAY_S = 300.0


class Condition(StrEnum):
    """Why an event left the queue, as a destination's record says it."""

    SUCCESS = "Success"
    RETRIES_EXHAUSTED = "RetriesExhausted"
    EVENT_AGE_EXCEEDED = "EventAgeExceeded"
    ZERO_RESERVED_CONCURRENCY = "ZeroReservedConcurrency"


@dataclass(frozen=True, slots=True)
class Retry:
    """It is tried again after so long."""

    delay_s: float


class RetryPolicy:
    """Decides for one event.

    Args:
        retry_delay_s: before the first retry of an invocation that failed; the second waits
            twice as long. One minute on AWS.
    """

    def __init__(self, settings: EventInvoke, retry_delay_s: float) -> None:
        self._settings = settings
        self._retry_delay_s = retry_delay_s
        self._failures = 0
        self._throttles = 0

    def failed(self, age_s: float) -> Retry | Condition:
        """Return the function ran and failed."""
        self._failures += 1
        if self._failures > self._settings.retries:
            return Condition.RETRIES_EXHAUSTED
        return self._unless_too_old(self._retry_delay_s * self._failures, age_s)

    def throttled(self, age_s: float) -> Retry | Condition:
        """Return the next step after a lack of concurrency, which costs none of the retries."""
        delay_s = min(FIRST_THROTTLE_DELAY_S * 2**self._throttles, MAX_THROTTLE_DELAY_S)
        self._throttles += 1
        return self._unless_too_old(delay_s, age_s)

    def _unless_too_old(self, delay_s: float, age_s: float) -> Retry | Condition:
        if age_s + delay_s > self._settings.max_age_s:
            return Condition.EVENT_AGE_EXCEEDED
        return Retry(delay_s)
