"""Whether this deployment works: `GET /health`, and with `deep=1` what it depends on too.

A deep answer is kept for some seconds, so that nobody can have the providers hammered.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal

import httpx
from msgspec import Struct

from parley.keys import Keys
from parley.table import Table

VERSION = "0.1.0"
"""Of Parley."""
LIMIT_S = 3.0
"""What has not answered by then has failed."""
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


class NotWell(Exception):
    """A check has failed; says what is wrong."""


Probe = Callable[[], Awaitable[None]]
"""Looks at one thing; raises if it does not work."""


class DeepHealth:
    """Looks at what a deployment depends on.

    Args:
        probes: by name.
    """

    def __init__(
        self,
        probes: Mapping[str, Probe],
        *,
        limit_s: float = LIMIT_S,
        keep_s: float = KEEP_S,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._probes = probes
        self._limit_s = limit_s
        self._keep_s = keep_s
        self._now_s = now_s
        self._kept: tuple[float, Health] | None = None

    async def look(self) -> Health:
        """How everything is, or was a moment ago."""
        if self._kept is not None and self._now_s() < self._kept[0] + self._keep_s:
            return self._kept[1]
        found = await asyncio.gather(*map(self._checked, self._probes.values()))
        checks = dict(zip(self._probes, found, strict=True))
        well = all(check.ok for check in found)
        health = Health("ok" if well else "failing", VERSION, checks)
        self._kept = (self._now_s(), health)
        return health

    async def _checked(self, probe: Probe) -> HealthCheck:
        began, detail = time.monotonic(), None
        try:
            async with asyncio.timeout(self._limit_s):
                await probe()
        except TimeoutError:
            detail = f"It did not answer within {self._limit_s:g} s."
        except NotWell as problem:
            detail = str(problem)
        except Exception as error:  # what went wrong with what is deployed, but no secret
            detail = f"It cannot be reached or read ({type(error).__name__})."
        ms = round((time.monotonic() - began) * 1000, 1)
        return HealthCheck(detail is None, ms, detail)


class Probes:
    """The four things that every deployment depends on.

    Args:
        client: for the providers; its time limits do not matter.
    """

    def __init__(
        self, table: Table, keys: Keys, client: httpx.AsyncClient, elevenlabs_url: str, llm_url: str
    ) -> None:
        self._table = table
        self._keys = keys
        self._client = client
        self._elevenlabs_url = elevenlabs_url
        self._llm_url = llm_url

    def all(self) -> dict[str, Probe]:
        """By name."""
        return {
            "table": self._read_table,
            "secret": self._read_secret,
            "elevenlabs": self._ask_elevenlabs,
            "llm": self._ask_llm,
        }

    async def _read_table(self) -> None:
        nothing = {"pk": {"S": "HEALTH"}, "sk": {"S": "META"}}
        await asyncio.to_thread(self._table.get, nothing)

    async def _read_secret(self) -> None:
        if not await self._keys.elevenlabs():
            raise NotWell("The secret has no elevenlabs_api_key.")

    async def _ask_elevenlabs(self) -> None:
        headers = {"xi-api-key": await self._keys.elevenlabs()}
        answer = await self._client.get(f"{self._elevenlabs_url}/v1/models", headers=headers)
        # A key that may only speak and listen is refused the list, but known.
        if answer.status_code not in (401, 403) or b"missing_permissions" not in answer.content:
            _check("ElevenLabs", answer)

    async def _ask_llm(self) -> None:
        key = await self._keys.llm()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        answer = await self._client.get(f"{self._llm_url.rstrip('/')}/models", headers=headers)
        if answer.status_code != 404:  # an endpoint without a list of its models is reached
            _check("The language model", answer)


def _check(who: str, answer: httpx.Response) -> None:
    if answer.status_code in (401, 403):
        raise NotWell(f"{who} refuses the API key (HTTP {answer.status_code}).")
    if answer.status_code >= 400:
        raise NotWell(f"{who} answers with HTTP {answer.status_code}.")
