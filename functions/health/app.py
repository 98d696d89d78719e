"""`GET /health`: whether this deployment works."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import httpx
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from parley.app.providers import build_context
from parley.auth.authenticator import Authenticator
from parley.aws import clients
from parley.aws.api_keys import ApiKeys
from parley.config import Deployment
from parley.errors import ParleyError, traced
from parley.http.auth import Bearer
from parley.http.framework import HttpAnswer, HttpRequest, principal_of, respond
from parley.http.health import KEEP_S, VERSION, DeepHealth, Health, build_checks
from parley.providers import registry
from parley.storage.table import Table

logger = Logger()
deployment = Deployment.from_environment()
loop = asyncio.new_event_loop()  # kept: what did not answer in time is not waited for
keys = ApiKeys(deployment.secret_arn, int(KEEP_S), clients.PROBING_CONFIG)
table = Table(clients.dynamodb(clients.PROBING_CONFIG), deployment.table)
chosen = [deployment.transcriber, deployment.responder, deployment.synthesizer]
context = build_context(deployment, keys, httpx.AsyncClient(), lambda _event, _fields: None)
deep_health = DeepHealth(build_checks(table, keys.read, registry.build_checks(chosen, context)))


def health(request: HttpRequest) -> HttpAnswer:
    """That this function answers says that the API does; `deep=1` asks for more."""
    deep = request.query.get("deep", "0")
    if deep not in ("0", "1"):
        raise ParleyError("bad_request", "deep: expected 0 or 1.", field="deep")
    if deep == "0":
        return HttpAnswer.of(Health("ok", VERSION))
    principal_of(request)
    found = loop.run_until_complete(deep_health.look())
    if found.status == "ok":
        return HttpAnswer.of(found)
    failing = {name: check.detail for name, check in (found.checks or {}).items() if not check.ok}
    logger.warning("unhealthy", failing=failing)
    return HttpAnswer.of(found, HTTPStatus.SERVICE_UNAVAILABLE)


bearer = Bearer(Authenticator.from_environment(), logger)


def failed(error: Exception) -> None:
    """Log a fault of ours."""
    logger.error("request_failed", **traced(error))


@logger.inject_lambda_context(correlation_id_path="requestContext.requestId")
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answers one request of the HTTP API."""
    return respond(event, {"GET /health": health}, failed, bearer)
