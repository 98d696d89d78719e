"""Runs turns in one Lambda environment: keeps the event loop and the providers.

One event loop serves all invocations, because a pooled connection is bound to the loop that opened
it. The loop runs only during an invocation: Lambda freezes the environment otherwise.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx

from parley.app.environment import Environment
from parley.app.providers import build_context, fallback_context
from parley.app.tools import SPARE_ROUNDS, build_toolbox
from parley.app.warm_up import warm_up
from parley.aws.api_keys import ApiKeys
from parley.aws.management_api import Address
from parley.clock import now_ms, now_s
from parley.config import Deployment
from parley.limits.turn_quota import Admission, Meter
from parley.principal import SessionRef
from parley.protocol.turn_request import TurnRequest, WakeRequest
from parley.providers import registry
from parley.providers.context import ProviderContext
from parley.providers.http_client import import_what_requests_need, make_http_client
from parley.providers.speaker import SESSION_KEY
from parley.storage.history_cache import HistoryCache
from parley.storage.rounds import RoundStore
from parley.turn.context import SecondProviders, TurnServices
from parley.turn.finish import Outcome
from parley.turn.start import run_turn

ANSWER_MS = 29_000
"""Time after its request at which an HTTP answer must be on its way. API Gateway waits 30 s for an
HTTP API's function ("Amazon API Gateway quotas")."""

CONNECTED_S = 60
"""How long after its last invocation an environment counts on its connections. Servers close idle
ones after a minute or more."""


def answer_ms(request: TurnRequest, remaining_ms: Callable[[], int]) -> Callable[[], int]:
    """Return a function that says how many ms are left for a turn that answers an HTTP request."""
    return lambda: min(remaining_ms(), request.received_at_ms + ANSWER_MS - now_ms())


class TurnRunner:
    """Runs one turn after the other.

    Args:
        environment: the AWS clients.
        log: called with an event name and fields when something goes wrong.
    """

    def __init__(
        self, environment: Environment, log: Callable[[str, dict[str, Any]], None]
    ) -> None:
        self._environment = environment
        self._services = _services(environment, log)
        self._loop = asyncio.new_event_loop()
        self._loop.run_until_complete(import_what_requests_need())
        self._cold = True
        self._ran_at_s = 0

    def admit(self, ref: SessionRef, spoken: bool) -> Admission:
        """Count a turn against the limits before it runs."""
        meter = self._services.meter
        if meter is None:
            return Admission()
        return self._loop.run_until_complete(meter.admit_turn(ref, spoken=spoken))

    def wake(self, request: WakeRequest) -> bool:
        """Be warm for a turn; return whether there was anything to do.

        An invocation that finds another one's environment still warm costs a millisecond.
        """
        is_warm = not self._cold and now_s() - self._ran_at_s < CONNECTED_S
        self._cold = False
        if not is_warm:
            management_api = self._environment.management_api
            self._loop.run_until_complete(warm_up(request, self._services, management_api))
        self._ran_at_s = now_s()
        return not is_warm

    def run(
        self,
        request: TurnRequest,
        owner: str,
        remaining_ms: Callable[[], int],
        admission: Admission | None = None,
    ) -> Outcome | None:
        """Run a turn to its end. Return None if another invocation runs it.

        Args:
            owner: a name for this invocation.
            remaining_ms: returns how much of the invocation's time is left, in ms.
            admission: the result of `admit`, if the turn has been counted already.
        """
        cold, self._cold = self._cold, False
        try:
            return self._loop.run_until_complete(
                self._run(request, owner, remaining_ms, admission, cold=cold)
            )
        finally:
            self._ran_at_s = now_s()

    async def _run(
        self,
        request: TurnRequest,
        owner: str,
        remaining_ms: Callable[[], int],
        admission: Admission | None,
        *,
        cold: bool,
    ) -> Outcome | None:
        management_api = self._environment.management_api

        async def post(address: Address, frame: bytes) -> None:
            await asyncio.to_thread(
                management_api.post, address.endpoint, address.connection_id, frame
            )

        return await run_turn(
            request,
            self._services,
            post,
            owner,
            remaining_s=lambda: remaining_ms() / 1000,
            cold=cold,
            admission=admission,
        )


def _services(environment: Environment, log: Callable[[str, dict[str, Any]], None]) -> TurnServices:
    deployment = environment.deployment
    keys = ApiKeys(deployment.secret_arn)
    client = make_http_client(httpx.Limits(max_keepalive_connections=10, keepalive_expiry=None))
    providers = build_context(deployment, keys, client, log)
    toolbox = build_toolbox(deployment, log)
    spare = 0 if toolbox.is_empty else SPARE_ROUNDS
    return TurnServices(
        sessions=environment.sessions,
        turns=environment.turns,
        history=HistoryCache(environment.sessions, deployment.history_messages, rounds=spare),
        transcriber=registry.build_transcriber(deployment.transcriber, providers),
        responder=registry.build_responder(deployment.responder, providers),
        synthesizer=registry.build_synthesizer(deployment.synthesizer, providers),
        deployment=deployment,
        log=log,
        meter=Meter(environment.table, deployment.limits),
        recordings=environment.recordings,
        read_session_key=providers.key(SESSION_KEY),
        second=_second(deployment, fallback_context(deployment, providers)),
        toolbox=toolbox,
        rounds=None if toolbox.is_empty else RoundStore(environment.table),
        request_rates=environment.request_rates,
        agent_catalog=environment.make_agents(log),
        table_calls=environment.table_calls,
    )


def _second(deployment: Deployment, providers: ProviderContext) -> SecondProviders:
    """Build who takes over. It is built at the start, so that a deployment that cannot work is
    found before its first provider fails."""
    return SecondProviders(
        transcriber=registry.build_transcriber(deployment.fallback_transcriber, providers)
        if deployment.fallback_transcriber
        else None,
        responder=registry.build_responder(deployment.fallback_responder, providers)
        if deployment.fallback_responder
        else None,
        synthesizer=registry.build_synthesizer(deployment.fallback_synthesizer, providers)
        if deployment.fallback_synthesizer
        else None,
    )
