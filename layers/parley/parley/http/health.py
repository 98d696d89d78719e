"""Answers `GET /health`: whether the API works, and with `deep=1` what it depends on.

A deep answer is cached for some seconds, so that nobody can flood the providers. That the language
model answers costs tokens to find out, and is cached for some minutes. A failing check is described
in the sentences that a turn's failure leaves in the log.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct

from parley.auth.identity import Identity
from parley.http.bodies import read_query
from parley.http.framework import HttpAnswer, HttpRequest
from parley.http.route import Route, Success
from parley.providers.checks import CHECK_LIMIT_S, Check, ProviderCheck, Unhealthy
from parley.storage.table import Table
from parley.version import VERSION

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger

KEEP_S = 10.0
"""How long an environment caches a deep answer."""


class HealthCheck(Struct, omit_defaults=True):
    """The check of one dependency."""

    ok: bool
    ms: float
    """How long the check took."""
    detail: str | None = None
    """What is wrong, and what to check; or what is worth to know although it works."""


class Health(Struct, omit_defaults=True):
    """The health of the deployment. It has `checks` with `deep=1`: `table`, `secret`,
    `transcriber`, `responder`, `synthesizer`, e.g. `fallback_responder` where there is one, and
    `tools` where some are declared."""

    status: Literal["ok", "failing"]
    version: str
    checks: dict[str, HealthCheck] | None = None


class HealthQuery(Struct):
    """What to check."""

    deep: Annotated[
        Literal["0", "1"],
        Meta(description="1 also checks the table, the secret and the providers."),
    ] = "0"


class DeepHealth:
    """Checks what a deployment depends on.

    Args:
        checks: the checks, by name.
        timeout_s: how long a check may take.
        keep_s: how long an answer is cached.
        now_s: returns the time of a monotonic clock, in s.
    """

    def __init__(
        self,
        checks: Mapping[str, Check],
        *,
        timeout_s: float = CHECK_LIMIT_S,
        keep_s: float = KEEP_S,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._checks = checks
        self._timeout_s = timeout_s
        self._keep_s = keep_s
        self._now_s = now_s
        self._kept: tuple[float, Health] | None = None

    async def check(self) -> Health:
        """Run the checks, or return what they found a moment ago."""
        if self._kept is not None and self._now_s() < self._kept[0] + self._keep_s:
            return self._kept[1]
        found = await asyncio.gather(*map(self._run_check, self._checks.values()))
        checks = dict(zip(self._checks, found, strict=True))
        well = all(check.ok for check in found)
        health = Health("ok" if well else "failing", VERSION, checks)
        self._kept = (self._now_s(), health)
        return health

    async def _run_check(self, check: Check) -> HealthCheck:
        began, ok = time.monotonic(), False
        try:
            async with asyncio.timeout(self._timeout_s):
                detail = await check() or None
            ok = True
        except TimeoutError:
            detail = f"It did not answer within {self._timeout_s:g} s."
        except Unhealthy as problem:
            detail = str(problem)
        except Exception as error:  # its text may hold a secret
            detail = f"It cannot be reached or read ({type(error).__name__})."
        ms = round((time.monotonic() - began) * 1000, 1)
        return HealthCheck(ok, ms, detail)


def build_checks(
    table: Table,
    read_key: Callable[[str], Awaitable[str]],
    providers: Mapping[str, ProviderCheck],
    tools: Check | None = None,
) -> dict[str, Check]:
    """Build the checks of what a deployment depends on, by name: `table`, `secret`, those of its
    providers, and `tools` where there are any."""
    keys = list(dict.fromkeys(key for provider in providers.values() for key in provider.keys))

    async def check_table() -> None:
        nothing = {"pk": {"S": "HEALTH"}, "sk": {"S": "META"}}
        await asyncio.to_thread(table.get, nothing)

    async def check_secret() -> None:
        for key in keys:
            if not await read_key(key):
                raise Unhealthy(f"The secret has no {key}.")

    found: dict[str, Check] = {"table": check_table, "secret": check_secret}
    found |= {name: provider.check for name, provider in providers.items()}
    return found | ({"tools": tools} if tools else {})


class HealthHandlers:
    """Answers `GET /health`.

    Args:
        loop: runs the checks. It is kept: what did not answer in time is not waited for.
        logger: gets what fails.
    """

    def __init__(
        self, deep_health: DeepHealth, loop: asyncio.AbstractEventLoop, logger: Logger
    ) -> None:
        self._deep_health = deep_health
        self._loop = loop
        self._logger = logger

    def check_health(self, request: HttpRequest, _identity: Identity) -> HttpAnswer:
        """Say that the API answers, which this answer shows; with `deep=1` check the rest too."""
        query = read_query(request, HealthQuery, {"deep": "expected 0 or 1"})
        if query.deep == "0":
            return HttpAnswer.from_content(Health("ok", VERSION))
        found = self._loop.run_until_complete(self._deep_health.check())
        if found.status == "ok":
            return HttpAnswer.from_content(found)
        checks = found.checks or {}
        failing = {name: check.detail for name, check in checks.items() if not check.ok}
        self._logger.warning("unhealthy", failing=failing)
        return HttpAnswer.from_content(found, HTTPStatus.SERVICE_UNAVAILABLE)


def _asks_for_liveness(request: HttpRequest) -> bool:
    # A load balancer that asks for no more has no token. One with a wrong value may be told so.
    return request.query.get("deep") != "1"


ROUTES = (
    Route(
        "GET /health",
        HealthHandlers.check_health,
        "Whether the deployment works.",
        {
            HTTPStatus.OK: Success("It works.", (Health,)),
            HTTPStatus.SERVICE_UNAVAILABLE: Success(
                "Something that it depends on does not work.", (Health,)
            ),
        },
        query=(HealthQuery,),
        is_open=_asks_for_liveness,
    ),
)
