"""The events that Lambda functions receive from an HTTP API, payload formats 2.0 and 1.0.

"Working with AWS Lambda proxy integrations for HTTP APIs".
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from samwire.gateway.identifiers import forwarded_for, request_time
from samwire.template.api_model import HttpApi
from samwire.template.intrinsics import ACCOUNT_ID

_TEXT = re.compile(r"text/.*|application/(json|xml|javascript|.*\+json|.*\+xml)")
_ADDED = frozenset({"x-forwarded-for", "x-forwarded-port", "x-forwarded-proto", "x-amzn-trace-id"})


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request, as it came.

    Attributes:
        path: decoded, with the stage.
        headers: in the order they came.
        query: decoded pairs.
        port: that the client connected to.
    """

    method: str
    path: str
    raw_query: str
    query: tuple[tuple[str, str], ...]
    headers: tuple[tuple[str, str], ...]
    body: bytes
    source_ip: str
    port: int
    secure: bool
    protocol: str
    request_id: str
    at_ms: int

    def header(self, name: str) -> str:
        """Return the values of a header, joined by commas."""
        return ",".join(v for key, v in self.headers if key.lower() == name.lower())


def http_event(
    version: str,
    api: HttpApi,
    route_key: str,
    request: HttpRequest,
    parameters: Mapping[str, str],
    authorizer: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return the event of a request.

    Args:
        version: `2.0` or `1.0`.
        parameters: what stands for the variables in the route's path.
        authorizer: what an authorizer said; None without one.
    """
    if version == "1.0":
        return _version_1(api, route_key, request, parameters, authorizer)
    return _version_2(api, route_key, request, parameters, authorizer)


def _version_2(
    api: HttpApi,
    route_key: str,
    request: HttpRequest,
    parameters: Mapping[str, str],
    authorizer: Mapping[str, Any] | None,
) -> dict[str, Any]:
    headers = _headers(api, request)
    cookies = [c for n, v in headers if n.lower() == "cookie" for c in v.split("; ")]
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": request.path,
        "rawQueryString": request.raw_query,
    }
    if cookies:
        event["cookies"] = cookies
    event["headers"] = _joined([(n.lower(), v) for n, v in headers if n.lower() != "cookie"])
    if request.query:
        event["queryStringParameters"] = _joined(list(request.query))
    context: dict[str, Any] = {"accountId": ACCOUNT_ID, "apiId": api.api_id}
    if authorizer is not None:
        context["authorizer"] = {"lambda": dict(authorizer)}
    event["requestContext"] = context | {
        "domainName": api.domain_name,
        "domainPrefix": _prefix(api),
        "http": {
            "method": request.method,
            "path": request.path,
            "protocol": request.protocol,
            "sourceIp": request.source_ip,
            "userAgent": request.header("User-Agent"),
        },
        "requestId": request.request_id,
        "routeKey": route_key,
        "stage": api.stage,
        "time": request_time(request.at_ms),
        "timeEpoch": request.at_ms,
    }
    if parameters:
        event["pathParameters"] = dict(parameters)
    if api.stage_variables:
        event["stageVariables"] = dict(api.stage_variables)
    body, encoded = _body(request)
    if body is not None:
        event["body"] = body
    return event | {"isBase64Encoded": encoded}


def _version_1(
    api: HttpApi,
    route_key: str,
    request: HttpRequest,
    parameters: Mapping[str, str],
    authorizer: Mapping[str, Any] | None,
) -> dict[str, Any]:
    headers, query = _headers(api, request), list(request.query)
    resource = route_key.partition(" ")[2] or route_key
    body, encoded = _body(request)
    return {
        "version": "1.0",
        "resource": resource,
        "path": request.path,
        "httpMethod": request.method,
        "headers": dict(headers),
        "multiValueHeaders": _multi(headers),
        "queryStringParameters": dict(query) or None,
        "multiValueQueryStringParameters": _multi(query) or None,
        "requestContext": {
            "accountId": ACCOUNT_ID,
            "apiId": api.api_id,
            "authorizer": dict(authorizer) if authorizer else {"claims": None, "scopes": None},
            "domainName": api.domain_name,
            "domainPrefix": _prefix(api),
            "extendedRequestId": request.request_id,
            "httpMethod": request.method,
            "identity": _identity(request),
            "path": request.path,
            "protocol": request.protocol,
            "requestId": request.request_id,
            "requestTime": request_time(request.at_ms),
            "requestTimeEpoch": request.at_ms,
            "resourceId": route_key,
            "resourcePath": resource,
            "stage": api.stage,
        },
        "pathParameters": dict(parameters) or None,
        "stageVariables": dict(api.stage_variables) or None,
        "body": body,
        "isBase64Encoded": encoded,
    }


def _identity(request: HttpRequest) -> dict[str, str | None]:
    unknown = (
        *("accessKey", "accountId", "caller", "cognitoAmr", "cognitoAuthenticationProvider"),
        *("cognitoAuthenticationType", "cognitoIdentityId", "cognitoIdentityPoolId"),
        *("principalOrgId", "user", "userArn"),
    )
    return {
        **dict.fromkeys(unknown),
        "sourceIp": request.source_ip,
        "userAgent": request.header("User-Agent"),
    }


def _headers(api: HttpApi, request: HttpRequest) -> list[tuple[str, str]]:
    """Return what the client sent, with what API Gateway says about it."""
    passed = [(n, v) for n, v in request.headers if n.lower() not in _ADDED | {"host"}]
    before = [value for name, value in request.headers if name.lower() == "x-forwarded-for"]
    return [
        *passed,
        ("Host", api.domain_name),
        ("X-Amzn-Trace-Id", f"Root=1-{int(request.at_ms / 1000):08x}-{os.urandom(12).hex()}"),
        ("X-Forwarded-For", forwarded_for(before, request.source_ip)),
        ("X-Forwarded-Port", str(request.port)),
        ("X-Forwarded-Proto", "https" if request.secure else "http"),
    ]


def _body(request: HttpRequest) -> tuple[str | None, bool]:
    """Return the body, and whether it is base64: everything is that is not known to be text."""
    if not request.body:
        return None, False
    kind = request.header("Content-Type").partition(";")[0].strip().lower()
    if _TEXT.fullmatch(kind):
        try:
            return request.body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(request.body).decode(), True


def _prefix(api: HttpApi) -> str:
    return api.domain_name.partition(":")[0].partition(".")[0]


def _joined(pairs: list[tuple[str, str]]) -> dict[str, str]:
    return {name: ",".join(values) for name, values in _multi(pairs).items()}


def _multi(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values
