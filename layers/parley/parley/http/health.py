"""Whether this deployment works: `GET /health`, and with `deep=1` what it depends on too.

A deep answer is kept for some seconds, so that nobody can have the providers hammered; that the
language model answered, which costs some tokens to find out, for some minutes. What fails is named
in the same sentences that a turn's failure leaves in the log.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Literal

from msgspec import Struct

from parley.providers.checks import CHECK_LIMIT_S, Check, ProviderChecks, Unhealthy
from parley.storage.table import Table

VERSION = "0.1.0"
"""Of Parley."""
KEEP_S = 10.0
"""How long an environment gives the same deep answer."""


class HealthCheck(Struct, omit_defaults=True):
    """One thing that the deployment depends on."""

    ok: bool
    ms: float
    """How long it took to say so."""
    detail: str | None = None
    """What is wrong, and what to look at."""


class Health(Struct, omit_defaults=True):
    """Answers `GET /health`. `checks` are there with `deep=1`: `table`, `secret`, `elevenlabs`
    and `llm`."""

    status: Literal["ok", "failing"]
    version: str
    checks: dict[str, HealthCheck] | None = None


class DeepHealth:
    """Looks at what a deployment depends on.

    Args:
        checks: by name.
    """

    def __init__(
        self,
        checks: Mapping[str, Check],
        *,
        limit_s: float = CHECK_LIMIT_S,
        keep_s: float = KEEP_S,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._checks = checks
        self._limit_s = limit_s
        self._keep_s = keep_s
        self._now_s = now_s
        self._kept: tuple[float, Health] | None = None

    async def look(self) -> Health:
        """How everything is, or was a moment ago."""
        if self._kept is not None and self._now_s() < self._kept[0] + self._keep_s:
            return self._kept[1]
        found = await asyncio.gather(*map(self._checked, self._checks.values()))
        checks = dict(zip(self._checks, found, strict=True))
        well = all(check.ok for check in found)
        health = Health("ok" if well else "failing", VERSION, checks)
        self._kept = (self._now_s(), health)
        return health

    async def _checked(self, check: Check) -> HealthCheck:
        began, detail = time.monotonic(), None
        try:
            async with asyncio.timeout(self._limit_s):
                await check()
        except TimeoutError:
            detail = f"It did not answer within {self._limit_s:g} s."
        except Unhealthy as problem:
            detail = str(problem)
        except Exception as error:  # what went wrong with what is deployed, but no secret
            detail = f"It cannot be reached or read ({type(error).__name__})."
        ms = round((time.monotonic() - began) * 1000, 1)
        return HealthCheck(detail is None, ms, detail)


def build_checks(
    table: Table, read_key: Callable[[str], Awaitable[str]], providers: Iterable[ProviderChecks]
) -> dict[str, Check]:
    """Build the checks of what a deployment depends on, by name: `table`, `secret`, and those of
    its providers."""
    parts = list(providers)
    keys = [key for part in parts for key in part.keys]

    async def read_table() -> None:
        nothing = {"pk": {"S": "HEALTH"}, "sk": {"S": "META"}}
        await asyncio.to_thread(table.get, nothing)

    async def read_secret() -> None:
        for key in keys:
            if not await read_key(key):
                raise Unhealthy(f"The secret has no {key}.")

    found: dict[str, Check] = {"table": read_table, "secret": read_secret}
    for part in parts:
        found |= part.checks
    return found
