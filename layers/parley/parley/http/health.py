"""Whether this deployment works: `GET /health`, and with `deep=1` what it depends on too.

A deep answer is kept for some seconds, so that nobody can have the providers hammered; that the
language model answered, which costs some tokens to find out, for some minutes. What fails is named
in the same sentences that a turn's failure leaves in the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Literal

import httpx
from msgspec import Meta, Struct

from parley.auth.identity import Identity
from parley.aws.api_keys import ApiKeys
from parley.config import Deployment
from parley.errors import ProviderError
from parley.http.bodies import read_query
from parley.http.framework import HttpAnswer, HttpRequest
from parley.http.route import Route, Success
from parley.providers.diagnosis import Diagnosis
from parley.providers.elevenlabs.endpoint import elevenlabs_endpoint
from parley.providers.llm import Prompt
from parley.providers.openai_chat.responder import OpenAIChat, chat_endpoint
from parley.storage.table import Table

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger

VERSION = "0.1.0"
"""Of Parley."""
LIMIT_S = 3.0
"""What has not answered by then has failed."""
KEEP_S = 10.0
"""How long an environment gives the same deep answer."""
ASK_AGAIN_S = 300.0
"""How long after an answer of the language model it is only looked whether it is there."""


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


class HealthQuery(Struct):
    """How deep to look."""

    deep: Annotated[
        Literal["0", "1"],
        Meta(description="1 also looks at the table, the secret and the providers."),
    ] = "0"


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
        deployment: says which endpoints, models and voice.
    """

    def __init__(
        self,
        table: Table,
        keys: ApiKeys,
        client: httpx.AsyncClient,
        deployment: Deployment,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._table = table
        self._keys = keys
        self._client = client
        self._voice = str(deployment.defaults.voice)
        self._speech_model = deployment.speech_model
        self._elevenlabs = elevenlabs_endpoint(
            "speech_failed", deployment.elevenlabs_base_url, deployment.speech_model, "SpeechModel"
        )
        self._chat = chat_endpoint(deployment.llm_base_url, deployment.llm_model)
        self._responder = OpenAIChat(
            client, deployment.llm_base_url, deployment.llm_model, keys.llm, LIMIT_S
        )
        self._now_s = now_s
        self._replied_at_s: float | None = None

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
        key = await self._keys.elevenlabs()
        diagnosis, headers = Diagnosis(self._elevenlabs, key), {"xi-api-key": key}
        base_url = self._elevenlabs.base_url.rstrip("/")
        answer = await self._get(f"{base_url}/v1/models", headers, diagnosis)
        # A key that may only speak and listen is refused the list, but known.
        if answer.status_code not in (401, 403) or b"missing_permissions" not in answer.content:
            _check(answer, diagnosis)
            if _lacks(answer, self._speech_model):
                raise _not_well(diagnosis.because("model", "refused"))
        answer = await self._get(f"{base_url}/v1/voices/{self._voice}", headers, diagnosis)
        if answer.status_code in (400, 404):
            error = diagnosis.refused(answer.status_code, answer.headers, answer.content)
            if error.cause.reason == "voice":
                raise _not_well(error)

    async def _ask_llm(self) -> None:
        now_s = self._now_s()
        if self._replied_at_s is not None and now_s < self._replied_at_s + ASK_AGAIN_S:
            await self._look_for_llm()
            return
        prompt = Prompt("Answer with one word.", [], "Hello?")
        try:
            async with contextlib.aclosing(self._responder.reply(prompt, lambda: None)) as bits:
                await anext(bits)
        except ProviderError as error:
            raise _not_well(error) from None
        self._replied_at_s = now_s

    async def _look_for_llm(self) -> None:
        """Whether the endpoint that answered a while ago is there, and still takes the key."""
        key = await self._keys.llm()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        diagnosis = Diagnosis(self._chat, key)
        url = f"{self._chat.base_url.rstrip('/')}/models"
        answer = await self._get(url, headers, diagnosis)
        if answer.status_code != 404:  # an endpoint without a list of its models is reached
            _check(answer, diagnosis)

    async def _get(self, url: str, headers: dict[str, str], diagnosis: Diagnosis) -> httpx.Response:
        try:
            return await self._client.get(url, headers=headers)
        except httpx.TimeoutException:
            raise _not_well(diagnosis.because("timeout", "timeout")) from None
        except httpx.ConnectError as error:
            raise _not_well(diagnosis.broken(error)) from None
        except (httpx.UnsupportedProtocol, httpx.InvalidURL):
            raise _not_well(diagnosis.because("invalid_url", "refused")) from None
        except httpx.HTTPError:
            raise _not_well(diagnosis.because("connection_lost", "unavailable")) from None


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
            return HttpAnswer.of(Health("ok", VERSION))
        found = self._loop.run_until_complete(self._deep_health.look())
        if found.status == "ok":
            return HttpAnswer.of(found)
        checks = found.checks or {}
        failing = {name: check.detail for name, check in checks.items() if not check.ok}
        self._logger.warning("unhealthy", failing=failing)
        return HttpAnswer.of(found, HTTPStatus.SERVICE_UNAVAILABLE)


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


def _check(answer: httpx.Response, diagnosis: Diagnosis) -> None:
    if answer.status_code >= 300:
        raise _not_well(diagnosis.refused(answer.status_code, answer.headers, answer.content))


def _not_well(error: ProviderError) -> NotWell:
    return NotWell(error.cause.advice)


def _lacks(answer: httpx.Response, model: str) -> bool:
    """Whether a list of ElevenLabs' models names some, and not this one."""
    try:
        listed: Any = answer.json()
    except ValueError:
        return False
    models = listed if isinstance(listed, list) else []
    known = [item.get("model_id") for item in models if isinstance(item, dict)]
    return bool(known) and model not in known
