"""What a turn leaves for operations: metrics (EMF), a trace and a log line."""

from __future__ import annotations

import functools
import os

import msgspec
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit

from parley.protocol.turn_request import TurnRequest
from parley.turn.finish import Outcome


@functools.cache
def tracer() -> Tracer:
    """Return the tracer.

    Making one takes 0.2 s: only turns that are sampled pay for it, after their last event.
    """
    return Tracer(auto_patch=False)


def report_turn(
    request: TurnRequest, outcome: Outcome | None, logger: Logger, metrics: Metrics
) -> None:
    """Report how a turn ended, or that it was not this invocation's to run."""
    if outcome is None:
        logger.info("turn_already_claimed")
        metrics.add_metric(name="turn_already_claimed", unit=MetricUnit.Count, value=1)
        return
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
