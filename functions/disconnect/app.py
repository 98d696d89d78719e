"""`$disconnect`: forgets a connection. Its session lives on and can be resumed."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from parley.app.environment import Environment

logger = Logger()
environment = Environment()


@logger.inject_lambda_context(correlation_id_path="requestContext.connectionId")
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Remove the connection and give its slot back.

    API Gateway calls this once, on a best-effort basis. The TTL removes an item that is missed,
    and a slot that is not given back is found when it is needed.
    """
    request = event["requestContext"]
    connection_id = request["connectionId"]
    connection = environment.sessions.connections.remove(connection_id)
    if connection is not None:
        environment.connection_slots.return_slots(connection_id, connection)
    logger.info("disconnected", code=request.get("disconnectStatusCode"))
    return {"statusCode": 200}
