"""What API Gateway refuses of authorizers, and of the routes that name them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from samwire.template.api_parts import true
from samwire.template.problems import Problem
from samwire.template.resolved import Resolved

_AUTHORIZER = "AWS::ApiGatewayV2::Authorizer"
_PAGE = f'AWS, "{_AUTHORIZER}"'
_ROUTE = 'AWS, "AWS::ApiGatewayV2::Route"'
_MAX_TTL_S = 3600
_KINDS = {"CUSTOM": "REQUEST", "JWT": "JWT"}
"""Which authorizer each AuthorizationType wants."""


def authorizer_problems(
    template: Resolved, api_id: str, routes: Mapping[str, Mapping[str, Any]], *, websocket: bool
) -> Iterator[Problem]:
    """Yield what is wrong with the authorizers of an API."""
    own = {
        logical_id: properties
        for logical_id, properties in template.of(_AUTHORIZER).items()
        if properties.get("ApiId") == api_id
    }
    for logical_id, properties in own.items():
        yield from _uri(logical_id, properties)
        yield from _sources(logical_id, properties, websocket=websocket)
        if not websocket:
            yield from _of_http(logical_id, properties)
    by_reference = {template.ref(logical_id): own[logical_id] for logical_id in own}
    for logical_id, route in routes.items():
        yield from _route(template, logical_id, route, by_reference, websocket=websocket)


def _uri(logical_id: str, properties: Mapping[str, Any]) -> Iterator[Problem]:
    uri = properties.get("AuthorizerUri")
    if properties.get("AuthorizerType") != "REQUEST":
        return
    if not uri:
        sentence = "AuthorizerUri is missing; a REQUEST authorizer is a Lambda function."
        yield Problem(logical_id, sentence, _PAGE, ("AuthorizerUri",))
    elif ":lambda:" in str(uri) and "/functions/" not in str(uri):
        sentence = (
            "AuthorizerUri must be arn:aws:apigateway:REGION:lambda:path/2015-03-31/functions/"
            f"ARN/invocations, not {uri}."
        )
        yield Problem(logical_id, sentence, _PAGE, ("AuthorizerUri",))


def _sources(
    logical_id: str, properties: Mapping[str, Any], *, websocket: bool
) -> Iterator[Problem]:
    given = properties.get("IdentitySource")
    for source in given if isinstance(given, list) else []:
        if str(source).startswith("method.request.") or (
            not websocket and str(source).startswith("route.request.")
        ):
            wanted = "route.request.header.NAME" if websocket else "$request.header.NAME"
            sentence = f"IdentitySource {source} must be such as {wanted}."
            yield Problem(logical_id, sentence, _PAGE, ("IdentitySource",))


def _of_http(logical_id: str, properties: Mapping[str, Any]) -> Iterator[Problem]:
    kind = properties.get("AuthorizerType")
    if kind == "JWT" and not properties.get("JwtConfiguration"):
        sentence = "JwtConfiguration is missing; a JWT authorizer has an Issuer and an Audience."
        yield Problem(logical_id, sentence, _PAGE, ("JwtConfiguration",))
    if kind != "REQUEST":
        return
    version = properties.get("AuthorizerPayloadFormatVersion")
    path = ("AuthorizerPayloadFormatVersion",)
    if not version:
        sentence = f"{path[0]} is missing; a Lambda authorizer of an HTTP API has 1.0 or 2.0."
        yield Problem(logical_id, sentence, _PAGE, path)
    elif str(version) != "2.0" and true(properties.get("EnableSimpleResponses")):
        sentence = f"EnableSimpleResponses needs {path[0]} 2.0, not {version}."
        yield Problem(logical_id, sentence, _PAGE, ("EnableSimpleResponses",))
    ttl = str(properties.get("AuthorizerResultTtlInSeconds", "0"))
    if ttl.lstrip("-").isdecimal() and not 0 <= int(ttl) <= _MAX_TTL_S:
        sentence = f"AuthorizerResultTtlInSeconds must be 0 to {_MAX_TTL_S}, not {ttl}."
        yield Problem(logical_id, sentence, _PAGE, ("AuthorizerResultTtlInSeconds",))


def _route(
    template: Resolved,
    logical_id: str,
    route: Mapping[str, Any],
    own: Mapping[Any, Mapping[str, Any]],
    *,
    websocket: bool,
) -> Iterator[Problem]:
    kind, named = str(route.get("AuthorizationType") or "NONE"), route.get("AuthorizerId")
    if kind == "NONE" and named:
        template.notice(
            f"{logical_id}: it names an authorizer, and its AuthorizationType is NONE: every "
            "request is let through."
        )
    if kind not in _KINDS or (websocket and kind != "CUSTOM"):
        return
    if not named:
        sentence = f"AuthorizerId is missing, which the AuthorizationType {kind} needs."
        yield Problem(logical_id, sentence, _ROUTE, ("AuthorizerId",))
    elif named not in own and "." not in str(named):  # what stands for an unknown attribute
        sentence = f"AuthorizerId {named} is no authorizer of the API."
        yield Problem(logical_id, sentence, _ROUTE, ("AuthorizerId",))
    elif named in own and own[named].get("AuthorizerType") != _KINDS[kind]:
        sentence = (
            f"AuthorizationType {kind} needs an authorizer of the type {_KINDS[kind]}, not "
            f"{own[named].get('AuthorizerType')}."
        )
        yield Problem(logical_id, sentence, _ROUTE, ("AuthorizationType",))
