"""`GET /health`: whether this deployment works."""

from __future__ import annotations

import asyncio
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from parley.app.providers import build_checks as build_provider_checks
from parley.app.providers import build_context
from parley.app.tools import build_check as build_tools_check
from parley.auth.authenticator import Authenticator
from parley.aws.api_keys import ApiKeys
from parley.aws.dynamodb import DynamoDB
from parley.aws.service import PROBES
from parley.config import Deployment
from parley.http.dispatcher import Dispatcher
from parley.http.health import KEEP_S, ROUTES, DeepHealth, HealthHandlers, build_checks
from parley.providers.http_client import make_http_client
from parley.storage.table import Table

logger = Logger()
deployment = Deployment.from_environment()
loop = asyncio.new_event_loop()
keys = ApiKeys(deployment.secret_arn, int(KEEP_S), PROBES)
table = Table(DynamoDB(PROBES), deployment.table)
provider_context = build_context(deployment, keys, make_http_client(), lambda _event, _fields: None)
tool_keys = (
    ApiKeys(deployment.tool_secret_arn, int(KEEP_S), PROBES) if deployment.tool_secret_arn else None
)
deep_health = DeepHealth(
    build_checks(
        table,
        keys.read,
        build_provider_checks(deployment, provider_context),
        build_tools_check(deployment, tool_keys.read if tool_keys else None),
    )
)
health = HealthHandlers(deep_health, loop, logger)
dispatcher = Dispatcher(ROUTES, Authenticator.from_environment(), logger)


@logger.inject_lambda_context(correlation_id_path="requestContext.requestId")
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request of the HTTP API."""
    return dispatcher.answer_event(event, health)
