"""Parts that WebSocket and HTTP APIs have in common: functions, stages, throttling, variables.

Values may be text where API Gateway takes numbers: parameters of a template are text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from samwire.template.api_model import Rate
from samwire.template.intrinsics import TemplateError
from samwire.template.resolved import Resolved, Resources

MAX_WEBSOCKET_TIMEOUT_S = 29.0
MAX_HTTP_TIMEOUT_S = 30.0
MIN_TIMEOUT_S = 0.05
"""API Gateway's ("Amazon API Gateway quotas")."""

_FUNCTION = re.compile(r"/functions/(.+)/invocations$")
_STAGE_VARIABLE = re.compile(r"\$\{stageVariables\.([A-Za-z0-9_]+)\}")


def function_of(uri: object, variables: Mapping[str, str]) -> str:
    """Name or ARN of the Lambda function that a URI names; empty if it names none.

    Args:
        variables: the stage's; a URI may have `${stageVariables.name}` in it.
    """
    text = _STAGE_VARIABLE.sub(lambda match: variables.get(match[1], ""), str(uri or ""))
    found = _FUNCTION.search(text)
    if found:
        return found[1]
    return text if ":lambda:" in text and ":function:" in text else ""


def stages_of(template: Resolved, logical_id: str) -> Resources:
    """Return the stages of an API; what of them is not served is told."""
    api_id, notice = template.ref(logical_id), template.notice
    stages = {
        stage_id: stage
        for stage_id, stage in template.of("AWS::ApiGatewayV2::Stage").items()
        if required(stage_id, stage, "ApiId") == api_id
    }
    if not stages:
        notice(f"{logical_id}: the API has no stage, and so no address.")
    for stage_id, stage in stages.items():
        if stage.get("AccessLogSettings"):
            notice(f"{stage_id}: access logs are not written here.")
        if stage.get("ClientCertificateId"):
            notice(f"{stage_id}: ClientCertificateId has no effect here.")
    return stages


def stage_variables(stage: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables of a stage."""
    return {name: str(value) for name, value in (stage.get("StageVariables") or {}).items()}


def timeout_s(logical_id: str, milliseconds: object, longest_s: float) -> float:
    """Return how long an integration may take.

    Raises:
        TemplateError: API Gateway would not take it.
    """
    if milliseconds is None:
        return longest_s
    seconds = number(logical_id, "TimeoutInMillis", milliseconds) / 1000
    if not MIN_TIMEOUT_S <= seconds <= longest_s:
        raise TemplateError(
            f"{logical_id}: TimeoutInMillis must be between {MIN_TIMEOUT_S * 1000:.0f} and "
            f"{longest_s * 1000:.0f}, not {milliseconds}."
        )
    return seconds


def rate_of(stage_id: str, stage: Mapping[str, Any], route_key: str) -> Rate | None:
    """Return the limit that a stage sets for a route: its own, or the default; None for none."""
    own = (stage.get("RouteSettings") or {}).get(route_key) or {}
    settings = {**(stage.get("DefaultRouteSettings") or {}), **own}
    per_s, burst = settings.get("ThrottlingRateLimit"), settings.get("ThrottlingBurstLimit")
    if per_s is None and burst is None:
        return None
    given = number(stage_id, "ThrottlingRateLimit", burst if per_s is None else per_s)
    return Rate(given, number(stage_id, "ThrottlingBurstLimit", given if burst is None else burst))


def required(logical_id: str, properties: Mapping[str, Any], name: str) -> Any:
    """Return a property that CloudFormation does not do without.

    Raises:
        TemplateError: it is missing.
    """
    if properties.get(name) in (None, ""):
        raise TemplateError(f"{logical_id}: {name} is missing.")
    return properties[name]


def from_json(logical_id: str, name: str, value: Any) -> Any:
    """Return a property that may be written as JSON, in text.

    Raises:
        TemplateError: the text is no JSON.
    """
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise TemplateError(f"{logical_id}: {name} is not valid JSON: {error}") from None


def number(logical_id: str, name: str, value: object) -> float:
    """Return a number of a template.

    Raises:
        TemplateError: it is none.
    """
    try:
        return float(str(value))
    except ValueError:
        raise TemplateError(f"{logical_id}: {name} must be a number, not {value!r}.") from None


def true(value: object) -> bool:
    """Return whether a flag of a template is set."""
    return str(value).lower() == "true"
