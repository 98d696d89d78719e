"""`$connect`: lets a connection in and notes it."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from parley.environment import Environment
from parley.principal import ANONYMOUS

logger = Logger()
environment = Environment()


@logger.inject_lambda_context(correlation_id_path="requestContext.connectionId")
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """API Gateway holds the handshake until this returns; 200 accepts it."""
    environment.store.add_connection(event["requestContext"]["connectionId"], ANONYMOUS)
    logger.info("connected")
    return {"statusCode": 200}
