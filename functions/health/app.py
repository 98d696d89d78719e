"""`GET /health`: whether this deployment works."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from parley.health import VERSION, Health
from parley.http import HttpAnswer, HttpRequest, respond

logger = Logger()


def health(_request: HttpRequest) -> HttpAnswer:
    """That this function answers says that the API does."""
    return HttpAnswer.of(Health("ok", VERSION))


@logger.inject_lambda_context(correlation_id_path="requestContext.requestId")
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answers one request of the HTTP API."""
    return respond(event, {"GET /health": health}, lambda _: logger.exception("request_failed"))
