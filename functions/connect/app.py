"""`$connect`: lets a connection in and notes it."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from parley.environment import Environment
from parley.errors import ParleyError
from parley.principal import ANONYMOUS

logger = Logger()
environment = Environment()


@logger.inject_lambda_context(correlation_id_path="requestContext.connectionId")
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """API Gateway holds the handshake until this returns; 200 accepts it."""
    request = event["requestContext"]
    connection_id = request["connectionId"]
    try:
        environment.slots.take(ANONYMOUS, connection_id, request["connectedAt"])
    except ParleyError as refused:
        logger.info("connection_refused", code=refused.code, reason=refused.message)
        return {"statusCode": 429}
    environment.store.add_connection(connection_id, ANONYMOUS)
    logger.info("connected")
    return {"statusCode": 200}
