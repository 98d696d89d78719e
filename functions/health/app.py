"""`GET /health`: whether this deployment works."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from parley.auth.authenticator import Authenticator
from parley.aws import clients
from parley.aws.api_keys import ApiKeys
from parley.config import Deployment
from parley.http.dispatcher import Dispatcher
from parley.http.health import KEEP_S, ROUTES, DeepHealth, HealthHandlers, Probes
from parley.storage.table import Table

logger = Logger()
deployment = Deployment.from_environment()
loop = asyncio.new_event_loop()
probes = Probes(
    Table(clients.dynamodb(clients.PROBING_CONFIG), deployment.table),
    ApiKeys(deployment.secret_arn, int(KEEP_S), clients.PROBING_CONFIG),
    httpx.AsyncClient(),
    deployment,
)
health = HealthHandlers(DeepHealth(probes.by_name()), loop, logger)
dispatcher = Dispatcher(ROUTES, Authenticator.from_environment(), logger)


@logger.inject_lambda_context(correlation_id_path="requestContext.requestId")
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request of the HTTP API."""
    return dispatcher.answer_event(event, health)
