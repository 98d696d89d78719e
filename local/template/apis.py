"""WebSocket APIs of a template: routes, their integrations and what is behind them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from local.template.intrinsics import TemplateError
from local.template.model import Route, WebSocketApi

MAX_INTEGRATION_TIMEOUT_S = 29.0
"""API Gateway's, for WebSocket APIs ("Amazon API Gateway quotas")."""

Resources = dict[str, dict[str, Any]]
"""Resolved properties by logical id."""


class ApiReader:
    """Reads the APIs of one template.

    Args:
        of: resolved properties of all resources of a type.
        ref: what `Ref` of a resource gives.
    """

    def __init__(self, of: Callable[[str], Resources], ref: Callable[[str], Any]) -> None:
        self._of = of
        self._ref = ref
        self.notices: list[str] = []

    def apis(self) -> list[WebSocketApi]:
        """The APIs that are served; what is left out is added to the notices."""
        found: dict[str, WebSocketApi] = {}
        for logical_id, properties in self._of("AWS::ApiGatewayV2::Api").items():
            if properties.get("ProtocolType") != "WEBSOCKET":
                self.notices.append(f"{logical_id}: only WebSocket APIs are served here.")
                continue
            for api in self._stages(logical_id, properties):
                if api.stage in found:
                    self.notices.append(
                        f"{logical_id}: {found[api.stage].logical_id} has a stage "
                        f"{api.stage!r} too; only that one is served here."
                    )
                else:
                    found[api.stage] = api
        return list(found.values())

    def _stages(self, logical_id: str, properties: dict[str, Any]) -> list[WebSocketApi]:
        api_id = self._ref(logical_id)
        stages = [s for s in self._of("AWS::ApiGatewayV2::Stage").values() if s["ApiId"] == api_id]
        if not stages:
            raise TemplateError(f"{logical_id}: the API has no stage.")
        expression = properties.get("RouteSelectionExpression")
        if not expression:
            raise TemplateError(f"{logical_id}: a WebSocket API needs a RouteSelectionExpression.")
        routes = [
            self._route(name, route)
            for name, route in self._of("AWS::ApiGatewayV2::Route").items()
            if route["ApiId"] == api_id
        ]
        return [
            WebSocketApi(
                logical_id=logical_id,
                api_id=api_id,
                stage=str(stage["StageName"]),
                route_selection_expression=str(expression),
                routes={route.key: route for route in routes if route is not None},
                stage_variables={
                    name: str(value) for name, value in (stage.get("StageVariables") or {}).items()
                },
            )
            for stage in stages
        ]

    def _route(self, logical_id: str, properties: dict[str, Any]) -> Route | None:
        """A route; None if it has no integration, as if it were not there."""
        self._say_what_is_ignored(logical_id, properties)
        target = str(properties.get("Target") or "").removeprefix("integrations/")
        integrations = self._of("AWS::ApiGatewayV2::Integration")
        integration = next((p for n, p in integrations.items() if self._ref(n) == target), None)
        if integration is None:
            self.notices.append(f"{logical_id}: the route has no integration.")
            return None
        route_id = self._ref(logical_id)
        two_way = any(
            response.get("RouteId") == route_id
            for response in self._of("AWS::ApiGatewayV2::RouteResponse").values()
        )
        if properties.get("RouteResponseSelectionExpression") and not two_way:
            self.notices.append(
                f"{logical_id}: RouteResponseSelectionExpression alone sends no replies; add an "
                "AWS::ApiGatewayV2::RouteResponse with the key $default."
            )
        timeout_ms = float(integration.get("TimeoutInMillis", MAX_INTEGRATION_TIMEOUT_S * 1000))
        function = self._function(logical_id, integration)
        return Route(str(properties["RouteKey"]), function, timeout_ms / 1000, two_way)

    def _function(self, logical_id: str, integration: dict[str, Any]) -> str:
        """The function behind an integration; empty if there is none that can be invoked."""
        kind = integration.get("IntegrationType")
        if kind != "AWS_PROXY":
            self.notices.append(
                f"{logical_id}: integrations of type {kind} are not served here; the route "
                "answers with an error."
            )
            return ""
        uri = str(integration.get("IntegrationUri", ""))
        found = re.search(r"/functions/(.+)/invocations$", uri)
        if not found:
            self.notices.append(f"{logical_id}: its integration names no Lambda function.")
            return ""
        return found[1]

    def _say_what_is_ignored(self, logical_id: str, properties: dict[str, Any]) -> None:
        authorization = properties.get("AuthorizationType", "NONE")
        if authorization != "NONE":
            self.notices.append(
                f"{logical_id}: {authorization} authorization is not served here: every "
                "connection is let through."
            )
        if str(properties.get("ApiKeyRequired", "")).lower() == "true":
            self.notices.append(f"{logical_id}: API keys are not asked for here.")
        if properties.get("ModelSelectionExpression"):
            self.notices.append(f"{logical_id}: messages are not checked against models here.")
