"""How many invocations may run at a time: the account's limit and what functions reserve.

See "Understanding Lambda function scaling". A plain count: nothing here waits.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping


class Throttled(Exception):
    """All the concurrency there is, is in use (HTTP 429 on AWS).

    Attributes:
        reason: as the Invoke API gives it in `Reason`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__("Rate Exceeded.")
        self.reason = reason


class OverReserved(Exception):
    """The functions reserve more than the account has; a sentence that says so."""


class Concurrency:
    """Counts the invocations that run.

    What a function reserves is taken from the account's limit: it is the function's alone,
    and the most that it gets.

    Args:
        limit: of the account.
        reserved: by name of the function.

    Raises:
        OverReserved: more is reserved than the account has.
    """

    def __init__(self, limit: int, reserved: Mapping[str, int]) -> None:
        self._reserved = dict(reserved)
        self._unreserved = limit - sum(reserved.values())
        if self._unreserved < 0:
            raise OverReserved(
                f"The functions reserve {sum(reserved.values())} concurrent executions "
                f"(ReservedConcurrentExecutions); the account has {limit}. Raise --concurrency."
            )
        self._running: Counter[str] = Counter()

    @contextlib.contextmanager
    def one(self, function: str) -> Iterator[None]:
        """Hold the place of one invocation.

        Raises:
            Throttled: there is none.
        """
        own = self._reserved.get(function)
        if own is not None and self._running[function] >= own:
            raise Throttled("ReservedFunctionConcurrentInvocationLimitExceeded")
        if own is None and self._shared() >= self._unreserved:
            raise Throttled("ConcurrentInvocationLimitExceeded")
        self._running[function] += 1
        try:
            yield
        finally:
            self._running[function] -= 1

    def reserves_none(self, function: str) -> bool:
        """Return whether a function may never run: it reserves zero."""
        return self._reserved.get(function) == 0

    def _shared(self) -> int:
        return sum(count for name, count in self._running.items() if name not in self._reserved)
