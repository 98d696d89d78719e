"""What API Gateway refuses of an API: routes, stages, deployments, and kinds of things."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from samwire.template.api_parts import true
from samwire.template.problems import Problem
from samwire.template.resolved import Resolved
from samwire.template.rules.authorizers import authorizer_problems
from samwire.template.rules.circles import Graph, reached
from samwire.template.rules.integrations import integration_problems

_API = "AWS::ApiGatewayV2::Api"
_ROUTE = "AWS::ApiGatewayV2::Route"
_INTEGRATION = "AWS::ApiGatewayV2::Integration"
_STAGE = "AWS::ApiGatewayV2::Stage"
_DEPLOYMENT = "AWS::ApiGatewayV2::Deployment"
_HTTP_ROUTE = re.compile(r"\$default|(GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS|ANY) /\S*")
_STAGE_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_MAX_NAME = 128
_STAGES = 'AWS, "AWS::ApiGatewayV2::Stage"'
_CHOICES: Mapping[tuple[str, str], tuple[str, ...]] = {
    (_API, "ProtocolType"): ("HTTP", "WEBSOCKET"),
    (_INTEGRATION, "IntegrationType"): (
        "AWS",
        "AWS_PROXY",
        "HTTP",
        "HTTP_PROXY",
        "MOCK",
    ),
    ("AWS::ApiGatewayV2::Authorizer", "AuthorizerType"): ("REQUEST", "JWT"),
    (_ROUTE, "AuthorizationType"): ("NONE", "AWS_IAM", "CUSTOM", "JWT"),
}
_HTTP_SELECTION = ("${request.method} ${request.path}", "$request.method $request.path")


def api_problems(template: Resolved, graph: Graph) -> Iterator[Problem]:
    """Yield what is wrong with the APIs of a template.

    Args:
        graph: what each resource needs.
    """
    for (kind, name), allowed in _CHOICES.items():
        for logical_id, properties in template.of(kind).items():
            value = properties.get(name)
            if value is not None and value not in allowed:
                sentence = f"{name} must be one of {', '.join(allowed)}, not {value}."
                yield Problem(logical_id, sentence, f'AWS, "{kind}"', (name,))
    apis = {template.ref(logical_id) for logical_id in template.of(_API)}
    for kind in (_ROUTE, _STAGE, _DEPLOYMENT, _INTEGRATION, "AWS::ApiGatewayV2::Authorizer"):
        for logical_id, properties in template.of(kind).items():
            if str(properties.get("ApiId")) not in apis:
                template.notice(
                    f"{logical_id}: ApiId {properties.get('ApiId')} is no API of the template; "
                    "it is not served here."
                )
    yield from _responses(template, apis)
    for logical_id, properties in template.of(_API).items():
        yield from _api(template, graph, logical_id, properties)


def _api(
    template: Resolved, graph: Graph, logical_id: str, properties: Mapping[str, Any]
) -> Iterator[Problem]:
    api_id = template.ref(logical_id)
    routes = _of(template, _ROUTE, api_id)
    stages = _of(template, _STAGE, api_id)
    websocket = properties.get("ProtocolType") == "WEBSOCKET"
    yield from _named(logical_id, properties)
    yield from authorizer_problems(template, api_id, routes, websocket=websocket)
    integrations = _of(template, _INTEGRATION, api_id)
    yield from integration_problems(integrations, websocket=websocket)
    yield from _selection(logical_id, properties)
    yield from _unique(routes, "RouteKey", 'AWS, "AWS::ApiGatewayV2::Route"')
    yield from _unique(stages, "StageName", 'AWS, "AWS::ApiGatewayV2::Stage"')
    whole = bool(properties.get("Body") or properties.get("Target"))
    targets = {f"integrations/{template.ref(name)}" for name in integrations}
    if properties.get("ProtocolType") or whole:
        yield from _routes(targets, routes, websocket=websocket)
    deployments = _of(template, _DEPLOYMENT, api_id)
    by_reference = {template.ref(name): name for name in template.of(_DEPLOYMENT)}
    for stage_id, stage in stages.items():
        yield from _stage(stage_id, stage, websocket=websocket)
        if not whole:
            yield from _settings(stage_id, stage, routes)
        if true(stage.get("AutoDeploy")):
            continue
        named = by_reference.get(stage.get("DeploymentId"))
        if not stage.get("DeploymentId") and (routes or whole):
            yield Problem(
                stage_id,
                "the stage has no deployment: it needs a DeploymentId, or AutoDeploy: true.",
                'AWS, "AWS::ApiGatewayV2::Stage"',
                ("DeploymentId",),
            )
        elif named is not None and named not in deployments:
            sentence = f"its deployment {named} is one of another API."
            yield Problem(stage_id, sentence, 'AWS, "AWS::ApiGatewayV2::Deployment"')
        elif named is None and stage.get("DeploymentId") and "." not in str(stage["DeploymentId"]):
            yield Problem(  # a dot is in what stands for an attribute that is not known
                stage_id,
                f"DeploymentId {stage['DeploymentId']} is no deployment of the API; one is the Ref "
                "of an AWS::ApiGatewayV2::Deployment.",
                'AWS, "AWS::ApiGatewayV2::Stage"',
                ("DeploymentId",),
            )
        elif named is not None and deployments[named].get("StageName") == stage.get("StageName"):
            yield Problem(
                stage_id,
                f"its deployment {named} has the StageName {stage.get('StageName')}, and so makes "
                "this stage itself, before it: leave StageName out there.",
                'AWS, "AWS::ApiGatewayV2::Deployment"',
            )
    for name in deployments:
        if websocket and not routes:
            yield Problem(
                name,
                "the API has no route, and a WebSocket API needs one before it is deployed.",
                'AWS, "AWS::ApiGatewayV2::Deployment"',
            )
        left_out = sorted(set(routes) - reached(graph, name))
        if left_out:
            yield Problem(
                name,
                f"the deployment does not depend on {', '.join(left_out)}: made before, it is "
                "without them, and without any route it fails. Name them in DependsOn.",
                'AWS, "AWS::ApiGatewayV2::Deployment"',
                ("DependsOn",),
            )


def _named(logical_id: str, properties: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what an API that no OpenAPI document describes needs."""
    source = 'AWS, "AWS::ApiGatewayV2::Api"'
    if properties.get("Body") or properties.get("BodyS3Location"):
        return
    for name in ("Name", "ProtocolType"):
        if not properties.get(name):
            sentence = f"{name} is missing; an API without a Body needs one."
            yield Problem(logical_id, sentence, source, (name,))
    length = len(str(properties.get("Name", "")))
    if length > _MAX_NAME:
        sentence = f"Name must have at most {_MAX_NAME} characters, not {length}."
        yield Problem(logical_id, sentence, source, ("Name",))
    if properties.get("ProtocolType") == "WEBSOCKET" and properties.get("CorsConfiguration"):
        sentence = "CorsConfiguration is for HTTP APIs; browsers do not ask for WebSockets."
        yield Problem(logical_id, sentence, source, ("CorsConfiguration",))


def _responses(template: Resolved, apis: Collection[Any]) -> Iterator[Problem]:
    routes = {template.ref(name) for name in template.of(_ROUTE)}
    for logical_id, properties in template.of("AWS::ApiGatewayV2::RouteResponse").items():
        route = str(properties.get("RouteId"))
        if str(properties.get("ApiId")) in apis and route not in routes and "." not in route:
            sentence = f"RouteId {route} is no route of the API."
            yield Problem(
                logical_id, sentence, 'AWS, "AWS::ApiGatewayV2::RouteResponse"', ("RouteId",)
            )


def _stage(logical_id: str, stage: Mapping[str, Any], *, websocket: bool) -> Iterator[Problem]:
    name = str(stage.get("StageName", ""))
    allowed = "letters, digits, - and _" + ("" if websocket else ", or $default")
    if name and not _STAGE_NAME.fullmatch(name) and (websocket or name != "$default"):
        sentence = f"StageName must be of 1 to 128 {allowed}, not {name}."
        yield Problem(logical_id, sentence, _STAGES, ("StageName",))


def _settings(
    logical_id: str, stage: Mapping[str, Any], routes: Mapping[str, Mapping[str, Any]]
) -> Iterator[Problem]:
    keys = {str(route.get("RouteKey")) for route in routes.values()}
    settings = stage.get("RouteSettings")
    for key in settings if isinstance(settings, Mapping) else ():
        if key not in keys:
            sentence = f"RouteSettings names {key}, which is no RouteKey of the API."
            yield Problem(logical_id, sentence, _STAGES, ("RouteSettings", str(key)))


def _of(template: Resolved, kind: str, api_id: str) -> dict[str, dict[str, Any]]:
    """Return the resources of an API."""
    return {
        name: properties
        for name, properties in template.of(kind).items()
        if properties.get("ApiId") == api_id
    }


def _selection(logical_id: str, properties: Mapping[str, Any]) -> Iterator[Problem]:
    expression = properties.get("RouteSelectionExpression")
    kind, path = properties.get("ProtocolType"), ("RouteSelectionExpression",)
    source = 'AWS, "AWS::ApiGatewayV2::Api"'
    if kind == "WEBSOCKET" and not expression:
        yield Problem(logical_id, "a WebSocket API needs a RouteSelectionExpression.", source, path)
    if kind == "HTTP" and expression and expression not in _HTTP_SELECTION:
        sentence = f"the RouteSelectionExpression of an HTTP API is {_HTTP_SELECTION[0]}."
        yield Problem(logical_id, sentence, source, path)


def _unique(found: Mapping[str, Mapping[str, Any]], name: str, source: str) -> Iterator[Problem]:
    first: dict[Any, str] = {}
    for logical_id, properties in found.items():
        value = properties.get(name)
        if value is None:
            continue
        if value in first:
            sentence = f"{name} {value} is that of {first[value]} already, in the same API."
            yield Problem(logical_id, sentence, source, (name,))
        first.setdefault(value, logical_id)


def _routes(
    integrations: Collection[str], routes: Mapping[str, Mapping[str, Any]], *, websocket: bool
) -> Iterator[Problem]:
    for logical_id, properties in routes.items():
        target, key = properties.get("Target"), str(properties.get("RouteKey", ""))
        if target and target not in integrations:
            yield Problem(
                logical_id,
                f"its Target {target} is no integration of the API; one is integrations/ and the "
                "Ref of an AWS::ApiGatewayV2::Integration.",
                'AWS, "AWS::ApiGatewayV2::Route"',
                ("Target",),
            )
        if not websocket and key and not _HTTP_ROUTE.fullmatch(key):
            yield Problem(
                logical_id,
                f"RouteKey {key} must be $default, or a method and a path: GET /items.",
                'AWS, "Create routes for HTTP APIs in API Gateway"',
                ("RouteKey",),
            )
