"""Answers `GET /health`: whether the API works, and with `deep=1` what it depends on.

A deep answer is cached for some seconds, so that nobody can flood the providers. That the language
model answers costs tokens to find out, and is cached for some minutes. A failing check is described
in the sentences that a turn's failure leaves in the log.
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
"""The version of Parley."""
TIMEOUT_S = 3.0
"""How long a check may take."""
KEEP_S = 10.0
"""How long an environment caches a deep answer."""
ASK_AGAIN_S = 300.0
"""How long after an answer of the language model only its endpoint is checked."""


class HealthCheck(Struct, omit_defaults=True):
    """The check of one dependency."""

    ok: bool
    ms: float
    """How long the check took."""
    detail: str | None = None
    """What is wrong, and what to check."""


class Health(Struct, omit_defaults=True):
    """The health of the deployment. With `deep=1` it has the checks `table`, `secret`, `elevenlabs`
    and `llm`."""

    status: Literal["ok", "failing"]
    version: str
    checks: dict[str, HealthCheck] | None = None


class HealthQuery(Struct):
    """What to check."""

    deep: Annotated[
        Literal["0", "1"],
        Meta(description="1 also checks the table, the secret and the providers."),
    ] = "0"


class CheckFailed(Exception):
    """A check has failed; the text says what is wrong."""


Probe = Callable[[], Awaitable[None]]
"""Checks one dependency; raises if it does not work."""


class DeepHealth:
    """Checks what a deployment depends on.

    Args:
        probes: the checks, by name.
        timeout_s: how long a check may take.
        keep_s: how long an answer is cached.
        now_s: returns the time of a monotonic clock, in s.
    """

    def __init__(
        self,
        probes: Mapping[str, Probe],
        *,
        timeout_s: float = TIMEOUT_S,
        keep_s: float = KEEP_S,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._probes = probes
        self._timeout_s = timeout_s
        self._keep_s = keep_s
        self._now_s = now_s
        self._kept: tuple[float, Health] | None = None

    async def check(self) -> Health:
        """Run the checks, or return what they found a moment ago."""
        if self._kept is not None and self._now_s() < self._kept[0] + self._keep_s:
            return self._kept[1]
        found = await asyncio.gather(*map(self._run_probe, self._probes.values()))
        checks = dict(zip(self._probes, found, strict=True))
        well = all(check.ok for check in found)
        health = Health("ok" if well else "failing", VERSION, checks)
        self._kept = (self._now_s(), health)
        return health

    async def _run_probe(self, probe: Probe) -> HealthCheck:
        began, detail = time.monotonic(), None
        try:
            async with asyncio.timeout(self._timeout_s):
                await probe()
        except TimeoutError:
            detail = f"It did not answer within {self._timeout_s:g} s."
        except CheckFailed as problem:
            detail = str(problem)
        except Exception as error:  # its text may hold a secret
            detail = f"It cannot be reached or read ({type(error).__name__})."
        ms = round((time.monotonic() - began) * 1000, 1)
        return HealthCheck(detail is None, ms, detail)


class Probes:
    """The four dependencies of every deployment.

    Args:
        client: calls the providers; its timeouts do not matter.
        deployment: has the endpoints, the models and the voice.
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
            client, deployment.llm_base_url, deployment.llm_model, keys.llm, TIMEOUT_S
        )
        self._now_s = now_s
        self._replied_at_s: float | None = None

    def by_name(self) -> dict[str, Probe]:
        """Return the probes by name."""
        return {
            "table": self._check_table,
            "secret": self._check_secret,
            "elevenlabs": self._check_elevenlabs,
            "llm": self._check_llm,
        }

    async def _check_table(self) -> None:
        nothing = {"pk": {"S": "HEALTH"}, "sk": {"S": "META"}}
        await asyncio.to_thread(self._table.get, nothing)

    async def _check_secret(self) -> None:
        if not await self._keys.elevenlabs():
            raise CheckFailed("The secret has no elevenlabs_api_key.")

    async def _check_elevenlabs(self) -> None:
        key = await self._keys.elevenlabs()
        diagnosis, headers = Diagnosis(self._elevenlabs, key), {"xi-api-key": key}
        base_url = self._elevenlabs.base_url.rstrip("/")
        answer = await self._get(f"{base_url}/v1/models", headers, diagnosis)
        # A key without the permission to list models is known all the same.
        if answer.status_code not in (401, 403) or b"missing_permissions" not in answer.content:
            _raise_for_status(answer, diagnosis)
            if _lacks_model(answer, self._speech_model):
                raise _make_failure(diagnosis.because("model", "refused"))
        answer = await self._get(f"{base_url}/v1/voices/{self._voice}", headers, diagnosis)
        if answer.status_code in (400, 404):
            error = diagnosis.refused(answer.status_code, answer.headers, answer.content)
            if error.cause.reason == "voice":
                raise _make_failure(error)

    async def _check_llm(self) -> None:
        now_s = self._now_s()
        if self._replied_at_s is not None and now_s < self._replied_at_s + ASK_AGAIN_S:
            await self._check_llm_endpoint()
            return
        prompt = Prompt("Answer with one word.", [], "Hello?")
        try:
            async with contextlib.aclosing(self._responder.reply(prompt, lambda: None)) as bits:
                await anext(bits)
        except ProviderError as error:
            raise _make_failure(error) from None
        self._replied_at_s = now_s

    async def _check_llm_endpoint(self) -> None:
        """Check that the endpoint that answered a while ago is there, and still takes the key."""
        key = await self._keys.llm()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        diagnosis = Diagnosis(self._chat, key)
        url = f"{self._chat.base_url.rstrip('/')}/models"
        answer = await self._get(url, headers, diagnosis)
        if answer.status_code != 404:  # some endpoints have no list of their models
            _raise_for_status(answer, diagnosis)

    async def _get(self, url: str, headers: dict[str, str], diagnosis: Diagnosis) -> httpx.Response:
        try:
            return await self._client.get(url, headers=headers)
        except httpx.TimeoutException:
            raise _make_failure(diagnosis.because("timeout", "timeout")) from None
        except httpx.ConnectError as error:
            raise _make_failure(diagnosis.broken(error)) from None
        except (httpx.UnsupportedProtocol, httpx.InvalidURL):
            raise _make_failure(diagnosis.because("invalid_url", "refused")) from None
        except httpx.HTTPError:
            raise _make_failure(diagnosis.because("connection_lost", "unavailable")) from None


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
        found = self._loop.run_until_complete(self._deep_health.check())
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


def _raise_for_status(answer: httpx.Response, diagnosis: Diagnosis) -> None:
    if answer.status_code >= 300:
        raise _make_failure(diagnosis.refused(answer.status_code, answer.headers, answer.content))


def _make_failure(error: ProviderError) -> CheckFailed:
    return CheckFailed(error.cause.advice)


def _lacks_model(answer: httpx.Response, model: str) -> bool:
    """Return whether ElevenLabs' list of models has some, and not this one."""
    try:
        listed: Any = answer.json()
    except ValueError:
        return False
    models = listed if isinstance(listed, list) else []
    known = [item.get("model_id") for item in models if isinstance(item, dict)]
    return bool(known) and model not in known
