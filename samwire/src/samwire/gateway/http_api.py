"""Serves HTTP APIs: routes to Lambda functions, with CORS, authorizers and throttling."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping

from aiohttp import web
from multidict import CIMultiDict

from samwire.gateway.authorizers import Decision, method_arn
from samwire.gateway.http_authorizers import authorizer_event, decided, identity
from samwire.gateway.http_events import HttpRequest, http_event
from samwire.gateway.http_responses import (
    INTERNAL_ERROR,
    TOO_LARGE,
    HttpAnswer,
    http_answer,
    preflight,
    with_cors,
)
from samwire.gateway.http_routing import Match, matching
from samwire.gateway.identifiers import new_id, now_ms
from samwire.gateway.integrations import (
    EventTooLarge,
    IntegrationFault,
    Integrations,
    IntegrationTimeout,
)
from samwire.gateway.selection import DEFAULT
from samwire.gateway.throttle import Throttle
from samwire.runtime.call import Result
from samwire.runtime.service import LambdaService, Throttled
from samwire.template.api_model import Authorizer, HttpApi

MAX_BODY_BYTES = 10 * 1024 * 1024
"""Of a request ("Amazon API Gateway quotas"); Lambda takes less."""
AUTHORIZER_TIMEOUT_S = 10.0
"""Of HTTP APIs ("Amazon API Gateway quotas")."""
_REFUSALS = {401: "Unauthorized", 403: "Forbidden", 500: "Internal Server Error"}
_OWN_HEADERS = frozenset({"content-length", "transfer-encoding", "connection"})


class HttpGateway:
    """Serves the stages of one HTTP API.

    Args:
        apis: by stage.
        log: told what the gateway did.
    """

    def __init__(
        self,
        apis: Mapping[str, HttpApi],
        service: LambdaService,
        throttle: Throttle,
        region: str,
        log: Callable[[str], None],
    ) -> None:
        self._apis = apis
        self._integrations = Integrations(service)
        self._throttle = throttle
        self._region = region
        self._log = log
        self._authorised: dict[tuple[Authorizer, tuple[str, ...]], tuple[float, Result]] = {}

    async def handle(self, incoming: web.Request) -> web.StreamResponse:
        """Handle any request to the API's address."""
        request = await _read(incoming)
        answer = await self._answered(request)
        self._log(f"{request.method} {request.path} {answer.status}")
        headers = CIMultiDict((n, v) for n, v in answer.headers if n not in _OWN_HEADERS)
        headers["apigw-requestid"] = request.request_id
        return web.Response(status=answer.status, headers=headers, body=answer.body)

    async def _answered(self, request: HttpRequest) -> HttpAnswer:
        stage, path = _split(request.path, self._apis)
        api = self._apis.get(stage)
        if api is None:
            return HttpAnswer.message(404, "Not Found")
        match = matching(api.routes, request.method, path)
        origin = request.header("Origin")
        is_open = match is None or match.route.authorizer is None
        if api.cors is not None and is_open and _is_preflight(request):
            return preflight(api.cors, origin)  # an authorizer of OPTIONS refuses it like others
        answer = await self._routed(api, match, request)
        return answer if api.cors is None else with_cors(answer, api.cors, origin)

    async def _routed(self, api: HttpApi, match: Match | None, request: HttpRequest) -> HttpAnswer:
        if match is None:
            return HttpAnswer.message(404, "Not Found")
        route = match.route
        if not self._throttle.route((api.api_id, api.stage, route.key), route.rate):
            return HttpAnswer.message(429, "Too Many Requests")
        if len(request.body) > MAX_BODY_BYTES:
            return HttpAnswer.message(*TOO_LARGE)
        said = None
        if route.authorizer is not None:
            decision = await self._decision(api, route.authorizer, match, request)
            if decision.status != 200:
                self._log(f"{route.key}: {decision.reason}")
                return HttpAnswer.message(decision.status, _REFUSALS[decision.status])
            said = decision.context
        version = route.integration.payload_version
        event = http_event(version, api, route.key, request, match.parameters, said)
        try:
            answer = await self._integrations.call(route.integration, event)
        except IntegrationTimeout:
            return HttpAnswer.message(503, "Service Unavailable")
        except (IntegrationFault, Throttled) as fault:
            self._log(f"{route.key}: {fault}")
            large = isinstance(fault, EventTooLarge)
            return HttpAnswer.message(*(TOO_LARGE if large else INTERNAL_ERROR))
        if answer.error:
            return HttpAnswer.message(*INTERNAL_ERROR, answer.advice)
        return http_answer(version, answer.body.encode())

    # --- authorizers ----------------------------------------------------------------

    async def _decision(
        self, api: HttpApi, authorizer: Authorizer, match: Match, request: HttpRequest
    ) -> Decision:
        key = match.route.key
        found = identity(authorizer, api, key, request)
        if found is None:
            return Decision(401, reason="an identity source is missing")
        path = request.path.lstrip("/")
        if api.stage != DEFAULT:
            path = path.partition("/")[2]
        arn = method_arn(self._region, api.api_id, api.stage, f"{request.method}/{path}")
        kept = self._authorised.get((authorizer, found))
        if kept is None or kept[0] < time.monotonic():
            event = authorizer_event(authorizer, api, key, request, match.parameters, arn, found)
            try:
                result = await self._integrations.invoke(
                    authorizer.function, json.dumps(event), AUTHORIZER_TIMEOUT_S
                )
            except (IntegrationFault, IntegrationTimeout, Throttled) as problem:
                return Decision(500, reason=f"the authorizer cannot be asked: {problem}")
            if authorizer.ttl_s and found and not result.error:
                self._keep(authorizer, found, result)
        else:
            result = kept[1]
        return decided(authorizer, result.payload, result.error, arn)

    def _keep(self, authorizer: Authorizer, found: tuple[str, ...], result: Result) -> None:
        now_s = time.monotonic()
        self._authorised = {k: kept for k, kept in self._authorised.items() if kept[0] >= now_s}
        self._authorised[authorizer, found] = now_s + authorizer.ttl_s, result


def _split(path: str, stages: Mapping[str, HttpApi]) -> tuple[str, str]:
    """Return the stage that a path is for, and the path in it."""
    first, _, rest = path.lstrip("/").partition("/")
    return (first, f"/{rest}") if first in stages and first != DEFAULT else (DEFAULT, path)


def _is_preflight(request: HttpRequest) -> bool:
    asked = request.header("Access-Control-Request-Method")
    return request.method == "OPTIONS" and bool(request.header("Origin") and asked)


async def _read(request: web.Request) -> HttpRequest:
    return HttpRequest(
        method=request.method,
        path=request.path,
        raw_query=request.rel_url.raw_query_string,
        query=tuple(request.query.items()),
        headers=tuple(request.headers.items()),
        body=await request.read(),
        source_ip=request.remote or "127.0.0.1",
        port=request.transport.get_extra_info("sockname")[1] if request.transport else 0,
        secure=request.secure,
        protocol=f"HTTP/{request.version.major}.{request.version.minor}",
        request_id=new_id(),
        at_ms=now_ms(),
    )
