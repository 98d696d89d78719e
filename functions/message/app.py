"""`$default`: a client's messages that begin no turn, answered at once or handed to a turn."""

from __future__ import annotations

import contextlib
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from parley.app.environment import Environment
from parley.aws.turn_invoker import TurnInvoker
from parley.errors import PostRefused, describe_error
from parley.protocol.turn_request import WakeRequest
from parley.websocket.arrival import Envelope
from parley.websocket.message_handler import MessageHandler

logger = Logger()


def warn(event: str, fields: dict[str, Any]) -> None:
    """Log trouble of a session's agent."""
    logger.warning(event, **fields)


def wake(request: WakeRequest) -> None:
    """Wake the turn function. A failure costs the next turn time, and the `init` nothing."""
    try:
        turn_invoker.wake(request)
    except Exception as error:
        logger.warning("not_woken", **describe_error(error))


def note(event: str, fields: dict[str, Any]) -> None:
    """Log what a session's end has to say."""
    logger.info(event, **fields)


environment = Environment()
deployment = environment.deployment
turn_invoker = TurnInvoker(deployment.turn_function)
messages = MessageHandler(
    environment.sessions,
    environment.turns,
    environment.management_api,
    turn_invoker,
    slots=environment.connection_slots,
    requests=environment.request_rates,
    policy=deployment.settings_policy,
    history_messages=deployment.history_messages,
    limits=deployment.limits,
    stand_ins=deployment.stand_ins,
    agents=environment.make_agents(warn),
    silence=deployment.silence,
    max_session_s=deployment.max_session_s,
    wake=wake,
    log=note,
)


@logger.inject_lambda_context(correlation_id_path="requestContext.connectionId")
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Handle one message. Answers are posted to the connection; none is returned."""
    envelope = Envelope.of(event["requestContext"], deployment.custom_domain)
    body = event.get("body") or ""
    try:
        refused = messages.handle(envelope, body)
    except Exception as error:
        logger.error("message_failed", **describe_error(error))
        with contextlib.suppress(PostRefused):
            messages.report_fault(envelope, body)
        return {"statusCode": 500}
    if refused is not None:
        logger.info("message_refused", code=refused.code, field=refused.field)
    return {"statusCode": 200}
