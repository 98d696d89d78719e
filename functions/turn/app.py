"""One turn of a conversation, invoked asynchronously by the message function."""

from __future__ import annotations

import functools
import os
from typing import Any

import msgspec
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from parley.environment import Environment
from parley.invocation import TurnRequest
from parley.principal import session_id_of
from parley.turn import Outcome
from parley.turn_runner import TurnRunner

logger = Logger()
metrics = Metrics()


def warn(event: str, fields: dict[str, Any]) -> None:
    """Log trouble of a turn."""
    logger.warning(event, **fields)


runner = TurnRunner(Environment(), warn)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Runs the turn; says how it ended, for whoever reads the logs."""
    request = msgspec.convert(event, TurnRequest)
    logger.append_keys(session_id=session_id_of(request.session), turn_id=request.turn_id)
    outcome = runner.run(request, context.aws_request_id, context.get_remaining_time_in_millis)
    if outcome is None:
        logger.info("turn_already_claimed")
        metrics.add_metric(name="turn_already_claimed", unit=MetricUnit.Count, value=1)
        return {"reason": "already_claimed"}
    report(request, outcome)
    return {"reason": outcome.reason}


@functools.cache
def tracer() -> Tracer:
    """The tracer. Making one takes 0.2 s: only turns that are sampled pay for it, after
    their last event."""
    return Tracer(auto_patch=False)


def report(request: TurnRequest, outcome: Outcome) -> None:
    """The turn's timings as metrics (EMF), as a trace and as a log line."""
    kind = "spoken" if request.spoken else "typed"
    code = outcome.error.code if outcome.error else ""
    if outcome.not_recorded:
        metrics.add_metric(name="not_recorded", unit=MetricUnit.Count, value=1)
    parts = msgspec.to_builtins(outcome.metrics)
    metrics.add_dimension(name="turn", value=kind)
    metrics.add_metric(name=f"turn_{outcome.reason}", unit=MetricUnit.Count, value=1)
    for name, value in parts.items():
        unit = MetricUnit.Milliseconds if name.endswith("_ms") else MetricUnit.Count
        metrics.add_metric(name=name, unit=unit, value=float(value))
    if "Sampled=1" in os.environ.get("_X_AMZN_TRACE_ID", ""):
        with tracer().provider.in_subsegment("## turn") as subsegment:
            subsegment.put_annotation("turn", kind)
            subsegment.put_annotation("reason", outcome.reason)
            subsegment.put_metadata("timings", parts, "parley")
    logger.info("turn_ended", kind=kind, reason=outcome.reason, code=code, timings=parts)
