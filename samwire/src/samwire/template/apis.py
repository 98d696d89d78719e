"""WebSocket APIs of a template: where they are, their stages and their routes."""

from __future__ import annotations

from typing import Any

from jsonschema import Draft4Validator, SchemaError

from samwire.template.api_model import Authorizer, Integration, Route, WebSocketApi
from samwire.template.api_parts import (
    from_json,
    function_of,
    rate_of,
    required,
    stage_variables,
    stages_of,
    true,
)
from samwire.template.integrations import IntegrationReader
from samwire.template.intrinsics import TemplateError
from samwire.template.resolved import Resolved

CONNECT = "$connect"
_IAM = "AWS_IAM"


class ApiReader:
    """Reads the WebSocket APIs of one template."""

    def __init__(self, template: Resolved) -> None:
        self._template = template
        self._of = template.of
        self._ref = template.ref
        self._notice = template.notice
        self._integrations = IntegrationReader(template)

    def apis(self) -> list[WebSocketApi]:
        """Return the APIs, one for each of their stages."""
        found = []
        for logical_id, properties in self._of("AWS::ApiGatewayV2::Api").items():
            if properties.get("ProtocolType") == "WEBSOCKET":
                found += self._stages(logical_id, properties)
        return found

    def _stages(self, logical_id: str, properties: dict[str, Any]) -> list[WebSocketApi]:
        expression = properties.get("RouteSelectionExpression")
        if true(properties.get("DisableExecuteApiEndpoint")):
            self._notice(f"{logical_id}: DisableExecuteApiEndpoint has no effect here.")
        stages = stages_of(self._template, logical_id)
        return [
            WebSocketApi(
                logical_id=logical_id,
                api_id=self._ref(logical_id),
                stage=str(required(stage_id, stage, "StageName")),
                domain_name=self._template.domain_names[logical_id],
                route_selection_expression=str(expression),
                routes=self._routes(logical_id, stage_id, stage),
                stage_variables=stage_variables(stage),
            )
            for stage_id, stage in stages.items()
        ]

    def _routes(self, logical_id: str, stage_id: str, stage: dict[str, Any]) -> dict[str, Route]:
        api_id, routes = self._ref(logical_id), {}
        for route_id, properties in self._of("AWS::ApiGatewayV2::Route").items():
            if required(route_id, properties, "ApiId") != api_id:
                continue
            integration = self._integrations.target(
                properties.get("Target"), stage_variables(stage)
            )
            if integration is None:
                self._notice(f"{route_id}: the route has no integration.")
                continue
            route = self._route(route_id, properties, integration, stage_id, stage)
            routes[route.key] = route
        return routes

    def _route(
        self,
        logical_id: str,
        properties: dict[str, Any],
        integration: Integration,
        stage_id: str,
        stage: dict[str, Any],
    ) -> Route:
        key = str(required(logical_id, properties, "RouteKey"))
        two_way = self._has_response(logical_id)
        wants_reply = bool(properties.get("RouteResponseSelectionExpression"))
        if wants_reply and not two_way:
            self._notice(
                f"{logical_id}: RouteResponseSelectionExpression alone sends no replies; add an "
                "AWS::ApiGatewayV2::RouteResponse with the key $default, or start with "
                "--assume-two-way."
            )
        if true(properties.get("ApiKeyRequired")):
            self._notice(f"{logical_id}: API keys are not asked for here.")
        if any(map(_is_required, _values(properties, "RequestParameters"))):
            self._notice(f"{logical_id}: required RequestParameters are not checked here.")
        return Route(
            key=key,
            integration=integration,
            two_way=two_way,
            wants_reply=wants_reply,
            authorizer=self._authorizer(logical_id, key, properties, stage_variables(stage)),
            iam=properties.get("AuthorizationType") == _IAM,
            models=self._models(logical_id, properties),
            model_selection=str(properties.get("ModelSelectionExpression") or ""),
            rate=rate_of(stage_id, stage, key),
        )

    def _has_response(self, logical_id: str) -> bool:
        route_id = self._ref(logical_id)
        return any(
            response.get("RouteId") == route_id
            for response in self._of("AWS::ApiGatewayV2::RouteResponse").values()
        )

    def _authorizer(
        self, logical_id: str, key: str, properties: dict[str, Any], variables: dict[str, str]
    ) -> Authorizer | None:
        kind = str(properties.get("AuthorizationType") or "NONE")
        if kind == "NONE":
            return None
        if key != CONNECT:
            raise TemplateError(
                f"{logical_id}: only $connect can have an authorizer, not {key} (API Gateway "
                "authorises a connection once)."
            )
        if kind == _IAM:
            return None
        if kind != "CUSTOM":
            raise TemplateError(
                f"{logical_id}: AuthorizationType must be NONE, AWS_IAM or CUSTOM for a WebSocket "
                f"API, not {kind}."
            )
        for name, found in self._of("AWS::ApiGatewayV2::Authorizer").items():
            if self._ref(name) == properties.get("AuthorizerId"):
                return self._request_authorizer(name, found, variables)
        raise TemplateError(
            f"{logical_id}: AuthorizerId {properties.get('AuthorizerId')!r} names no "
            "AWS::ApiGatewayV2::Authorizer of the template."
        )

    def _request_authorizer(
        self, name: str, properties: dict[str, Any], variables: dict[str, str]
    ) -> Authorizer:
        if properties.get("AuthorizerType") != "REQUEST":
            raise TemplateError(
                f"{name}: AuthorizerType must be REQUEST for a WebSocket API, not "
                f"{properties.get('AuthorizerType')!r}."
            )
        function = function_of(properties.get("AuthorizerUri"), variables)
        if not function:
            self._notice(f"{name}: AuthorizerUri names no Lambda function; it refuses everyone.")
        sources = tuple(str(source) for source in properties.get("IdentitySource") or [])
        for source in sources:
            if not source.startswith(("route.request.", "stageVariables.", "context.")):
                raise TemplateError(
                    f"{name}: IdentitySource {source!r} must be route.request.header.NAME, "
                    "route.request.querystring.NAME, stageVariables.NAME or context.NAME."
                )
        return Authorizer(
            function,
            sources,
            logical_id=name,
            authorizer_id=str(self._ref(name)),
            credentials=bool(properties.get("AuthorizerCredentialsArn")),
        )

    def _models(self, logical_id: str, properties: dict[str, Any]) -> dict[str, Any]:
        """Return the JSON schemas of a route by key."""
        wanted = properties.get("RequestModels") or {}
        schemas = {
            str(required(name, model, "Name")): _schema(name, model)
            for name, model in self._of("AWS::ApiGatewayV2::Model").items()
        }
        for model in wanted.values():
            if str(model) not in schemas:
                self._notice(f"{logical_id}: there is no model {model}; nothing is checked.")
        return {str(k): schemas[str(m)] for k, m in wanted.items() if str(m) in schemas}


def _is_required(parameter: Any) -> bool:
    return isinstance(parameter, dict) and true(parameter.get("Required"))


def _values(properties: dict[str, Any], name: str) -> list[Any]:
    found = properties.get(name)
    return list(found.values()) if isinstance(found, dict) else []


def _schema(logical_id: str, model: dict[str, Any]) -> Any:
    """Return the JSON schema of a model."""
    schema = from_json(logical_id, "Schema", required(logical_id, model, "Schema"))
    try:
        Draft4Validator.check_schema(schema)
    except SchemaError as error:
        raise TemplateError(
            f"{logical_id}: Schema is no JSON schema of draft 4: {error.message}"
        ) from None
    return schema
