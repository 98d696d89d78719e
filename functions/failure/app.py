"""Where Lambda sends a turn whose function failed: it was killed, or ran out of memory or time.

A wake that failed comes here too, and is logged.

The event is Lambda's record of an asynchronous invocation ("Capturing records of Lambda
asynchronous invocations"): the turn's request, and the id of the invocation that failed.
"""

from __future__ import annotations

from typing import Any

import msgspec
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from parley.app.environment import Environment
from parley.principal import parse_session_id
from parley.protocol.turn_request import TurnRequest
from parley.sessions.recovery import Recovery

logger = Logger()
environment = Environment()
recovery = Recovery(environment.sessions, environment.turns, environment.management_api.post)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """End the turn, tell the client, and log both."""
    invocation = event["requestContext"]
    if "wake" in event["requestPayload"]:  # nobody waits for it: the next turn finds it undone
        logger.warning(
            "wake_failed",
            condition=invocation.get("condition"),
            failed_invocation=invocation["requestId"],
        )
        return {"ended": False}
    request = msgspec.convert(event["requestPayload"], TurnRequest)
    logger.append_keys(session_id=parse_session_id(request.session), turn_id=request.turn_id)
    ended = recovery.end_dead_turn(
        request.session, request.turn_id, invocation["requestId"], request.attempt or 1
    )
    logger.error(
        "turn_died",
        condition=invocation.get("condition"),
        failed_invocation=invocation["requestId"],
        client_told=ended,
    )
    return {"ended": ended}
