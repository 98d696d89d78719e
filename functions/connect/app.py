"""`$connect`: authenticates a connection and stores whose it is."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from parley.app.environment import Environment
from parley.auth.authenticator import Authenticator
from parley.auth.errors import AccessDenied
from parley.errors import ParleyError
from parley.storage.item_codec import Connection

logger = Logger()
environment = Environment()
authenticator = Authenticator.from_environment()


@logger.inject_lambda_context(correlation_id_path="requestContext.connectionId")
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Accept the handshake with 200, or refuse it. API Gateway holds it until this returns."""
    request = event["requestContext"]
    connection_id, connected_at_ms = request["connectionId"], request["connectedAt"]
    try:
        accepted = authenticator.authenticate_handshake(event)
        identity = accepted.identity
        slots = environment.connection_slots.take_slots(
            identity.principal, connection_id, connected_at_ms
        )
    except AccessDenied as denied:
        log = logger.error if denied.code == "keys_unavailable" else logger.info
        log("connection_refused", code=denied.code, why=denied.why)
        return {"statusCode": denied.status}
    except ParleyError as error:  # all slots are taken
        logger.info("connection_refused", code=error.code, why=error.message)
        return {"statusCode": 429}
    connection = Connection(identity.principal, connected_at_ms=connected_at_ms, slots=slots)
    try:
        environment.sessions.connections.add(
            connection_id,
            identity.principal,
            connected_at_ms,
            slots,
            identity.settings,
            identity.agent,
        )
    except Exception:
        # The handshake fails, so no $disconnect will give the slot back.
        environment.connection_slots.return_slots(connection_id, connection)
        raise
    logger.info("connected")
    return {"statusCode": 200, "headers": dict(accepted.headers)}
