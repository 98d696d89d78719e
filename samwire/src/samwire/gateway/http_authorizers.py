"""Lambda authorizers of HTTP APIs ("Working with AWS Lambda authorizers for HTTP APIs")."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from samwire.gateway.authorizers import Decision, policy_decision
from samwire.gateway.http_events import HttpRequest, http_event
from samwire.template.api_model import Authorizer, HttpApi

UNAUTHORIZED = "Unauthorized"
_BODY = ("body", "isBase64Encoded")


def identity(
    authorizer: Authorizer, api: HttpApi, route_key: str, request: HttpRequest
) -> tuple[str, ...] | None:
    """Return what identifies a request; None if something that is needed is missing."""
    context = {
        "apiId": api.api_id,
        "domainName": api.domain_name,
        "httpMethod": request.method,
        "identity.sourceIp": request.source_ip,
        "identity.userAgent": request.header("User-Agent"),
        "path": request.path,
        "routeKey": route_key,
        "stage": api.stage,
    }
    found = []
    for source in authorizer.identity_sources:
        where, _, name = source.removeprefix("$").partition(".")
        kind, _, name = name.partition(".") if where == "request" else (where, "", name)
        if kind == "header":
            value = request.header(name)
        elif kind == "querystring":
            value = ",".join(v for key, v in request.query if key == name)
        elif kind == "stageVariables":
            value = api.stage_variables.get(name, "")
        else:
            value = context.get(name, "")
        if not value:
            return None
        found.append(value)
    return tuple(found)


def authorizer_event(
    authorizer: Authorizer,
    api: HttpApi,
    route_key: str,
    request: HttpRequest,
    parameters: Mapping[str, str],
    arn: str,
    found: tuple[str, ...],
) -> dict[str, Any]:
    """Return the event of an authorizer: that of the request without its body."""
    event = http_event(authorizer.payload_version, api, route_key, request, parameters, None)
    rest = {name: value for name, value in event.items() if name not in (*_BODY, "version")}
    if authorizer.payload_version == "1.0":
        joined = ",".join(found)
        return {
            "version": "1.0",
            "type": "REQUEST",
            "methodArn": arn,
            "identitySource": joined,
            "authorizationToken": joined,
            **rest,
        }
    head = {"version": "2.0", "type": "REQUEST", "routeArn": arn, "identitySource": list(found)}
    return {**head, **rest}


def decided(authorizer: Authorizer, payload: bytes, error: bool, arn: str) -> Decision:
    """Return what an authorizer's result means for a route."""
    try:
        answer = json.loads(payload)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        return Decision(500, reason="the authorizer's answer is no object")
    if error:
        refused = answer.get("errorMessage") == UNAUTHORIZED
        return Decision(401 if refused else 500, reason="the authorizer failed")
    context = answer.get("context") or {}
    if authorizer.simple and authorizer.payload_version == "2.0":
        allowed = answer.get("isAuthorized")
        if not isinstance(allowed, bool) or not isinstance(context, dict):
            return Decision(500, reason="the authorizer's answer has no boolean isAuthorized")
        return Decision(200, context) if allowed else Decision(403, reason="not authorised")
    if authorizer.payload_version == "2.0":  # its context may hold lists and maps
        decision = policy_decision({**answer, "context": {}}, arn, {})
        return decision if decision.status != 200 else Decision(200, context)
    return policy_decision(answer, arn, {})
