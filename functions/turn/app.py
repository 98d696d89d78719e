"""Runs one turn of a conversation: one that a message begins, or one that the agent begins.

Of a message, the event is API Gateway's, which waits for the function for 29 s. Of the agent's own
turn it is a `TurnRequest`, by an asynchronous invocation, and of a wake before the first turn a
`WakeRequest`.
"""

from __future__ import annotations

import contextlib
import sys
import time
from typing import Any

import msgspec
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.utilities.typing import LambdaContext

from parley.app.environment import Environment
from parley.app.turn_runner import TurnRunner
from parley.errors import ParleyError, PostRefused, describe_error
from parley.principal import parse_session_id
from parley.protocol.turn_request import TurnRequest, WakeRequest
from parley.turn.telemetry import report_turn
from parley.websocket.arrival import Arrivals, Envelope

SWITCH_S = 0.0005
"""How long one thread may keep others from running. Posts run in threads beside the loop, which
decodes what comes of the voice: by Python's default of 5 ms the first sound waits for that."""
sys.setswitchinterval(SWITCH_S)

logger = Logger()
metrics = Metrics()


def warn(event: str, fields: dict[str, Any]) -> None:
    """Log trouble of a turn."""
    logger.warning(event, **fields)


def note(event: str, fields: dict[str, Any]) -> None:
    """Log what a session's end has to say."""
    logger.info(event, **fields)


environment = Environment()
deployment = environment.deployment
arrivals = Arrivals(
    environment.sessions,
    environment.management_api,
    policy=deployment.settings_policy,
    limits=deployment.limits,
    max_session_s=deployment.max_session_s,
    log=note,
)
runner = TurnRunner(environment, warn)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Do what the event asks for: run a turn, or be warm for one."""
    if "requestContext" in event:
        return answer_message(event, context)
    if "wake" in event:
        return wake(msgspec.convert(event["wake"], WakeRequest))
    request = msgspec.convert(event, TurnRequest)
    return {"reason": run(request, context.aws_request_id, context)}


def wake(request: WakeRequest) -> dict[str, Any]:
    """Be warm for a session's next turn."""
    logger.append_keys(session_id=parse_session_id(request.session))
    began_s = time.monotonic()
    arrivals.binding.remember(request.connection_id, request.session)
    was_cold = runner.wake(request)
    logger.debug("woken", was_cold=was_cold, took_ms=round((time.monotonic() - began_s) * 1000, 1))
    return {"reason": "woken"}


def answer_message(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Run the turn that a client's message begins. Its events are posted; none is returned."""
    gateway = event["requestContext"]
    logger.set_correlation_id(gateway["connectionId"])
    envelope, body = Envelope.of(gateway, deployment.custom_domain), event.get("body") or ""
    try:
        taken = arrivals.take_turn(envelope, body)
    except Exception as error:
        logger.error("message_failed", **describe_error(error))
        with contextlib.suppress(PostRefused):
            arrivals.report_fault(envelope, body)
        return {"statusCode": 500}
    if isinstance(taken, ParleyError):
        logger.info("message_refused", code=taken.code, field=taken.field)
    elif taken is not None:
        # The client is told this id if the function dies, and asks after the turn by it.
        run(taken, gateway["requestId"], context)
    return {"statusCode": 200}


def run(request: TurnRequest, owner: str, context: LambdaContext) -> str:
    """Run a turn. Return how it ended.

    Args:
        owner: names this invocation in the turn's lease.
    """
    logger.append_keys(session_id=parse_session_id(request.session), turn_id=request.turn_id)
    outcome = runner.run(request, owner, context.get_remaining_time_in_millis)
    report_turn(request, outcome, logger, metrics)
    metrics.flush_metrics()  # here, because a message that is refused has none
    return "already_claimed" if outcome is None else outcome.reason
