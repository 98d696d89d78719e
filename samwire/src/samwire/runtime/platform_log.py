"""The lines that Lambda itself writes to a function's log, as text or as JSON.

See "Working with Lambda function logs" and, for functions with `LogFormat: JSON`, the
platform events of the Telemetry API that Lambda writes in their place.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

OUT_OF_MEMORY = "Runtime.OutOfMemory"
TIMED_OUT = "Sandbox.Timedout"


@dataclass(frozen=True, slots=True)
class Report:
    """How an invocation went.

    Attributes:
        init_ms: None for a warm environment.
        memory_mb: peak of the environment; None where it is not known.
        error_type: empty after a success, and where the function itself raised.
    """

    request_id: str
    duration_ms: float
    init_ms: float | None
    memory_size_mb: int
    memory_mb: int | None
    error_type: str = ""

    @property
    def status(self) -> str:
        """`success`, `timeout` or `error`."""
        if self.error_type == TIMED_OUT:
            return "timeout"
        return "error" if self.error_type else "success"

    @property
    def billed_ms(self) -> int:
        """Whole milliseconds; the initialisation is billed with the first invocation."""
        return math.ceil(self.duration_ms + (self.init_ms or 0))


class PlatformLog:
    """Writes the lines of one function.

    Args:
        log_format: `Text` or `JSON`.
    """

    def __init__(self, log_format: str) -> None:
        self._json = log_format == "JSON"

    def start(self, request_id: str, version: str) -> str:
        """Return the first line of an invocation."""
        if self._json:
            return _event("platform.start", {"requestId": request_id, "version": version})
        return f"START RequestId: {request_id} Version: {version}"

    def end(self, report: Report) -> list[str]:
        """Return the last lines of an invocation."""
        if self._json:
            return [_event("platform.report", _record(report))]
        return [f"END RequestId: {report.request_id}", _line(report)]


def timestamp() -> str:
    """Return the time as Lambda writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _event(kind: str, record: dict[str, Any]) -> str:
    body = {"time": timestamp(), "type": kind, "record": record}
    return json.dumps(body, separators=(",", ":"))


def _record(report: Report) -> dict[str, Any]:
    metrics: dict[str, Any] = {
        "durationMs": round(report.duration_ms, 3),
        "billedDurationMs": report.billed_ms,
        "memorySizeMB": report.memory_size_mb,
    }
    if report.memory_mb is not None:
        metrics["maxMemoryUsedMB"] = report.memory_mb
    if report.init_ms is not None:
        metrics["initDurationMs"] = round(report.init_ms, 3)
    record = {"requestId": report.request_id, "metrics": metrics, "status": report.status}
    if report.status == "error":
        record["errorType"] = report.error_type
    return record


def _line(report: Report) -> str:
    parts = [
        f"REPORT RequestId: {report.request_id}",
        f"Duration: {report.duration_ms:.2f} ms",
        f"Billed Duration: {report.billed_ms} ms",
        f"Memory Size: {report.memory_size_mb} MB",
    ]
    if report.memory_mb is not None:
        parts.append(f"Max Memory Used: {report.memory_mb} MB")
    if report.init_ms is not None:
        parts.append(f"Init Duration: {report.init_ms:.2f} ms")
    if report.status != "success":
        parts.append(f"Status: {report.status}")
    if report.status == "error":
        parts.append(f"Error Type: {report.error_type}")
    return "\t".join(parts)
