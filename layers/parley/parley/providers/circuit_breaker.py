"""Stops calls to a provider that is down, for a while: a user hears of it at once.

`CircuitBreaker` is a plain object over times that it is given; there is one for each provider in
each environment.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

from parley.errors import Cause, ProviderError
from parley.providers.errors import ProviderErrorCode, make_failure

OPENS_AFTER = 5
"""How many calls in a row must fail, for reasons that the next would share."""
WITHIN_S = 120.0
"""Within how many seconds they must fail. An environment runs one turn at a time, and each may take
its whole time-out to fail. An earlier failure says little about now."""
OPEN_S = 10.0
"""How long nothing is called. Then one call tries whether the provider is back."""


class CircuitBreaker:
    """The circuit of one provider. Times are seconds of one monotonic clock.

    Attributes:
        last_cause: why the last call failed that says something about the provider.
    """

    def __init__(self) -> None:
        self.last_cause: Cause | None = None
        self._failed_at_s: deque[float] = deque(maxlen=OPENS_AFTER)
        self._closed_from_s = 0.0
        self._open = False

    @property
    def is_open(self) -> bool:
        """Whether no calls are made but trials."""
        return self._open

    def admit_call(self, now_s: float) -> float:
        """Admit a call: return 0, or the seconds for which the provider is not to be called.

        The caller that is admitted while the circuit is open makes the trial. Until its outcome is
        known, others wait.
        """
        if not self._open:
            return 0.0
        left_s = self._closed_from_s - now_s
        if left_s <= 0:
            # This call is the trial. Others wait as if the circuit had opened just now.
            self._closed_from_s = now_s + OPEN_S
            return 0.0
        return left_s

    def refuse_call(self, code: ProviderErrorCode, now_s: float) -> ProviderError | None:
        """Admit a call: return None, or the error of a call that is not made."""
        wait_s = self.admit_call(now_s)
        if wait_s <= 0:
            return None
        cause = _not_called(self.last_cause)
        return make_failure(code, "unavailable", cause=cause, retry_after_ms=round(wait_s * 1000))

    def withdraw_trial(self) -> None:
        """Let the next call be the trial: the one that was has told nothing."""
        if self._open:
            self._closed_from_s = 0.0

    def record_success(self) -> None:
        """Record that a call was answered. Close the circuit."""
        self._failed_at_s.clear()
        self._open = False

    def record_failure(self, error: ProviderError, now_s: float) -> None:
        """Record that a call failed. Bad keys and bad requests say nothing about the provider."""
        if error.kind not in ("unavailable", "timeout"):
            return
        self.last_cause = error.cause
        self._failed_at_s.append(now_s)
        # One failure opens the circuit again after a trial; otherwise the last few must be recent.
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


def _not_called(last: Cause | None) -> Cause | None:
    if last is None:
        return None
    advice = f"It was not called, after {OPENS_AFTER} failures in a row. The last: {last.advice}"
    return replace(last, reason="not_called", advice=advice)
