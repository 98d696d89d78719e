"""One turn of a conversation, invoked asynchronously by the message function."""

from __future__ import annotations

from typing import Any

import msgspec
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.utilities.typing import LambdaContext

from parley.app.environment import Environment
from parley.app.turn_runner import TurnRunner
from parley.principal import parse_session_id
from parley.protocol.turn_request import TurnRequest
from parley.turn.telemetry import report_turn

logger = Logger()
metrics = Metrics()


def warn(event: str, fields: dict[str, Any]) -> None:
    """Log trouble of a turn."""
    logger.warning(event, **fields)


runner = TurnRunner(Environment(), warn)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Run the turn. Return how it ended, for those who read the logs."""
    request = msgspec.convert(event, TurnRequest)
    logger.append_keys(session_id=parse_session_id(request.session), turn_id=request.turn_id)
    outcome = runner.run(request, context.aws_request_id, context.get_remaining_time_in_millis)
    report_turn(request, outcome, logger, metrics)
    return {"reason": "already_claimed" if outcome is None else outcome.reason}
