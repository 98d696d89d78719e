"""Decides about a handshake: limits, the authorizer, and what `$connect` answers."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web

from samwire.gateway.authorizers import (
    Decision,
    authorizer_event,
    decided,
    is_identified,
    method_arn,
)
from samwire.gateway.events import Caller, connect_event
from samwire.gateway.integrations import (
    Answer,
    IntegrationFault,
    Integrations,
    IntegrationTimeout,
    source_of,
)
from samwire.gateway.options import Assumptions
from samwire.gateway.request_authorization import Access, NotAllowed
from samwire.gateway.throttle import Throttle
from samwire.runtime.service import Throttled
from samwire.template.api_model import AWS_PROXY, MOCK, Authorizer, Route, WebSocketApi

MAX_URL_CHARACTERS = 4096
MAX_HEAD_BYTES = 10_240
"""Request line and header values together ("Amazon API Gateway quotas")."""
AUTHORIZER_TIMEOUT_S = 29.0
"""As an integration's; nothing shorter is documented for WebSocket APIs."""
CONNECT = "$connect"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a handshake.

    Attributes:
        status: any 2xx accepts.
        caller: with what the authorizer said.
        protocol: the subprotocol that the handler chose; empty for none.
        reason: why it was refused, for the log.
        advice: to the developer, on how to mend it.
    """

    status: int
    caller: Caller
    protocol: str = ""
    reason: str = ""
    advice: str = ""

    @property
    def accepted(self) -> bool:
        """Whether the connection is made."""
        return 200 <= self.status < 300


class Handshakes:
    """Decides about the handshakes of all APIs."""

    def __init__(
        self,
        integrations: Integrations,
        throttle: Throttle,
        access: Access,
        assumptions: Assumptions,
        region: str,
    ) -> None:
        self._integrations = integrations
        self._throttle = throttle
        self._access = access
        self._assumptions = assumptions
        self._region = region

    async def decide(self, api: WebSocketApi, caller: Caller, request: web.Request) -> Verdict:
        """Return whether a connection is made."""
        status, reason = self._too_much(request)
        if status:
            return Verdict(status, caller, reason=reason)
        route = api.routes.get(CONNECT)
        if route is None:
            return Verdict(200, caller)
        if not self._throttle.route((api.api_id, api.stage, CONNECT), route.rate):
            return Verdict(429, caller, reason="throttled")
        arn = method_arn(self._region, api.api_id, api.stage, CONNECT)
        if route.iam:
            try:
                self._access.check(
                    "GET", request.raw_path, request.headers, b"", arn, "execute-api:Invoke"
                )
            except NotAllowed as refusal:
                return Verdict(403, caller, reason=str(refusal))
        event = connect_event(
            caller, request.headers, request.query, port=_port(request), secure=request.secure
        )
        if route.authorizer is not None:
            decision = await self._authorised(arn, route.authorizer, event)
            if decision.status != 200:
                return Verdict(decision.status, caller, reason=decision.reason)
            caller = replace(caller, authorizer=decision.context)
            event["requestContext"] = _with_authorizer(event["requestContext"], decision.context)
        return await self._connect(route, caller, event)

    def _too_much(self, request: web.Request) -> tuple[int, str]:
        """Return status and reason for a request that is beyond a limit; 0 if it is not."""
        if not self._throttle.connection():
            return 429, "too many new connections"
        if len(request.path_qs) > MAX_URL_CHARACTERS:
            return 414, f"the URL has more than {MAX_URL_CHARACTERS} characters"
        head = len(request.path_qs) + sum(len(value) for value in request.headers.values())
        if head > MAX_HEAD_BYTES:
            return 431, f"request line and headers have more than {MAX_HEAD_BYTES} bytes"
        return 0, ""

    async def _authorised(
        self, arn: str, authorizer: Authorizer, event: Mapping[str, Any]
    ) -> Decision:
        if not is_identified(authorizer, source_of(event)):
            return Decision(401, reason="an identity source is missing")
        payload = json.dumps(authorizer_event(event, arn))
        began = time.monotonic()
        try:
            result = await self._integrations.invoke(
                authorizer.function, payload, AUTHORIZER_TIMEOUT_S
            )
        except (IntegrationFault, IntegrationTimeout, Throttled) as problem:
            return Decision(500, reason=f"the authorizer cannot be asked: {problem}")
        return decided(result, arn, int((time.monotonic() - began) * 1000))

    async def _connect(self, route: Route, caller: Caller, event: Mapping[str, Any]) -> Verdict:
        try:
            answer = await self._integrations.call(route.integration, event)
        except Throttled:
            return Verdict(429, caller, reason="no concurrency is left")
        except IntegrationFault as fault:
            return Verdict(500, caller, reason=str(fault))
        except IntegrationTimeout:
            status = self._assumptions.connect_timeout_status
            return Verdict(status, caller, reason="$connect took too long")
        if route.integration.kind == AWS_PROXY:
            return _proxy_verdict(answer, caller)
        if route.integration.kind == MOCK:
            return Verdict(answer.status, caller)
        # Without integration responses, the connection is made whatever the function says.
        refused = bool(answer.error and route.integration.responses)
        return Verdict(502 if refused else 200, caller, reason=answer.error if refused else "")


def _proxy_verdict(answer: Answer, caller: Caller) -> Verdict:
    """Return the handler's own status; 502 for an error, and for what is no proxy response."""
    if answer.error:
        return Verdict(502, caller, reason=answer.error, advice=answer.advice)
    try:
        found = json.loads(answer.body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        return Verdict(502, caller, reason="$connect's answer is no object")
    status, headers = found.get("statusCode"), found.get("headers") or {}
    if not isinstance(status, int) or not 200 <= status < 600 or not isinstance(headers, dict):
        return Verdict(502, caller, reason="$connect's answer has no usable statusCode or headers")
    named = {str(name).lower(): str(value) for name, value in headers.items()}
    return Verdict(status, caller, named.get("sec-websocket-protocol", ""))


def _with_authorizer(context: Mapping[str, Any], authorizer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the context with what the authorizer said, where API Gateway puts it."""
    return {"routeKey": context["routeKey"], "authorizer": dict(authorizer), **context}


def _port(request: web.Request) -> int:
    return request.transport.get_extra_info("sockname")[1] if request.transport else 0
