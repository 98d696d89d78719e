"""`$connect`: lets a connection in, notes it and whose it is."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from parley.app.environment import Environment
from parley.auth.authenticator import Authenticator
from parley.auth.errors import Refused
from parley.errors import ParleyError
from parley.storage.item_codec import Connection

logger = Logger()
environment = Environment()
doorkeeper = Authenticator.from_environment()


@logger.inject_lambda_context(correlation_id_path="requestContext.connectionId")
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """API Gateway holds the handshake until this returns; 200 accepts it."""
    request = event["requestContext"]
    connection_id, connected_at_ms = request["connectionId"], request["connectedAt"]
    try:
        admission = doorkeeper.admit(event)
        who = admission.identity
        slots = environment.slots.take(who.principal, connection_id, connected_at_ms)
    except Refused as refused:
        log = logger.error if refused.code == "keys_unavailable" else logger.info
        log("connection_refused", code=refused.code, why=refused.why)
        return {"statusCode": refused.status}
    except ParleyError as refused:
        logger.info("connection_refused", code=refused.code, why=refused.message)
        return {"statusCode": 429}
    made = Connection(who.principal, connected_at_ms=connected_at_ms, slots=slots)
    try:
        environment.store.bindings.add(
            connection_id, who.principal, connected_at_ms, slots, who.settings
        )
    except Exception:  # the handshake fails: nobody will be told of this connection's end
        environment.slots.give_back(connection_id, made)
        raise
    logger.info("connected")
    return {"statusCode": 200, "headers": dict(admission.headers)}
