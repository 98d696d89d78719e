"""What calls of CloudWatch Logs and of X-Ray ask permission for."""

from __future__ import annotations

from samwire.permissions.calls.access import Access
from samwire.permissions.calls.http import HttpCall

_XRAY = {
    "/TraceSegments": "PutTraceSegments",
    "/TelemetryRecords": "PutTelemetryRecords",
    "/GetSamplingRules": "GetSamplingRules",
    "/SamplingTargets": "GetSamplingTargets",
    "/SamplingStatisticSummaries": "GetSamplingStatisticSummaries",
    "/TraceSummaries": "GetTraceSummaries",
    "/Traces": "BatchGetTraces",
    "/ServiceGraph": "GetServiceGraph",
}
_OF_A_STREAM = ("PutLogEvents", "GetLogEvents", "DeleteLogStream")
_OF_ALL = ("DescribeLogGroups",)


def logs(call: HttpCall) -> list[Access]:
    """Return the needs of CloudWatch Logs: a log group, or one of its streams."""
    members = call.members
    group = str(members.get("logGroupName") or members.get("logGroupIdentifier") or "*")
    name = group.rpartition(":log-group:")[2].removesuffix(":*")
    if call.operation in _OF_A_STREAM:
        resource = f"log-group:{name}:log-stream:{members.get('logStreamName', '*')}"
    else:
        resource = f"log-group:{'*' if call.operation in _OF_ALL else name}"
    return [Access(f"logs:{call.operation}", call.arn("logs", resource))]


def xray(call: HttpCall) -> list[Access]:
    """Return the needs of X-Ray, where what is sent and read has no resource of its own."""
    operation = _XRAY.get(call.path.rstrip("/"), call.path.strip("/"))
    return [Access(f"xray:{operation}", "*")]
