"""Token buckets, as API Gateway throttles: `rate` tokens a second, `burst` at most."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable

from samwire.gateway.options import Limits
from samwire.template.api_model import Rate


class TokenBucket:
    """One bucket, full at first.

    Args:
        now_s: of a clock that never goes back.
    """

    def __init__(self, rate: Rate, now_s: float) -> None:
        self._rate = rate
        self._tokens = rate.burst
        self._filled_s = now_s

    def take(self, now_s: float) -> bool:
        """Take a token; False if there is none."""
        gained = (now_s - self._filled_s) * self._rate.per_s
        self._tokens = min(self._rate.burst, self._tokens + gained)
        self._filled_s = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Throttle:
    """What an account and its stages let through.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        per_s = limits.connections_per_s
        self._connections = TokenBucket(Rate(per_s, per_s), clock())
        self._requests = TokenBucket(Rate(limits.requests_per_s, limits.burst), clock())
        self._routes: dict[Hashable, TokenBucket] = {}

    def connection(self) -> bool:
        """Return whether the account may have one more new connection."""
        return self._connections.take(self._clock())

    def request(self) -> bool:
        """Return whether the account may have one more request, message or post."""
        return self._requests.take(self._clock())

    def route(self, route: Hashable, rate: Rate | None) -> bool:
        """Return whether a route of a stage may have one more request, and the account too."""
        now_s = self._clock()
        if rate is not None:
            bucket = self._routes.setdefault(route, TokenBucket(rate, now_s))
            if not bucket.take(now_s):
                return False
        return self._requests.take(now_s)
