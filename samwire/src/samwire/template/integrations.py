"""Integrations of WebSocket APIs as the template writes them, and what is not served."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from samwire.template.api_model import AWS, AWS_PROXY, MOCK, Integration, IntegrationResponse
from samwire.template.api_parts import (
    MAX_WEBSOCKET_TIMEOUT_S,
    from_json,
    function_of,
    timeout_s,
)
from samwire.template.intrinsics import TemplateError
from samwire.template.resolved import Resolved

_PASSTHROUGH = ("WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER")
_CONTENT_HANDLING = ("", "CONVERT_TO_TEXT", "CONVERT_TO_BINARY")


class IntegrationReader:
    """Reads the integrations of one template."""

    def __init__(self, template: Resolved) -> None:
        self._of = template.of
        self._ref = template.ref
        self._notice = template.notice

    def target(self, target: object, variables: Mapping[str, str]) -> Integration | None:
        """Return the integration that a route's `Target` names; None if there is none."""
        wanted = str(target or "").removeprefix("integrations/")
        for logical_id, properties in self._of("AWS::ApiGatewayV2::Integration").items():
            if self._ref(logical_id) == wanted:
                return self._integration(logical_id, properties, variables)
        return None

    def _integration(
        self, logical_id: str, properties: Mapping[str, Any], variables: Mapping[str, str]
    ) -> Integration:
        kind = str(properties.get("IntegrationType"))
        passthrough = str(properties.get("PassthroughBehavior") or "WHEN_NO_MATCH")
        _one_of(logical_id, "PassthroughBehavior", passthrough, _PASSTHROUGH)
        content = str(properties.get("ContentHandlingStrategy") or "")
        _one_of(logical_id, "ContentHandlingStrategy", content, _CONTENT_HANDLING)
        function = ""
        if kind in (AWS, AWS_PROXY):
            function = function_of(properties.get("IntegrationUri"), variables)
            if not function:
                self._notice(f"{logical_id}: the integration names no Lambda function.")
        elif kind != MOCK:
            self._notice(
                f"{logical_id}: integrations of type {kind} are not served here; the route "
                "answers with an error."
            )
            kind = ""
        if properties.get("TlsConfig"):
            self._notice(f"{logical_id}: TlsConfig has no effect here.")
        return Integration(
            kind=kind,
            function=function,
            timeout_s=timeout_s(
                logical_id, properties.get("TimeoutInMillis"), MAX_WEBSOCKET_TIMEOUT_S
            ),
            request_parameters=_texts(logical_id, properties, "RequestParameters"),
            request_templates=_texts(logical_id, properties, "RequestTemplates"),
            template_selection=str(properties.get("TemplateSelectionExpression") or ""),
            passthrough=passthrough,
            content_handling=content,
            responses=self._responses(logical_id),
            logical_id=logical_id,
            credentials=bool(properties.get("CredentialsArn")),
        )

    def _responses(self, integration_id: str) -> tuple[IntegrationResponse, ...]:
        reference = self._ref(integration_id)
        found = []
        for logical_id, properties in self._of("AWS::ApiGatewayV2::IntegrationResponse").items():
            if properties.get("IntegrationId") != reference:
                continue
            if properties.get("ResponseParameters"):
                self._notice(f"{logical_id}: ResponseParameters have no effect here.")
            content = str(properties.get("ContentHandlingStrategy") or "")
            _one_of(logical_id, "ContentHandlingStrategy", content, _CONTENT_HANDLING)
            found.append(
                IntegrationResponse(
                    key=str(properties.get("IntegrationResponseKey") or "$default"),
                    templates=_texts(logical_id, properties, "ResponseTemplates"),
                    template_selection=str(properties.get("TemplateSelectionExpression") or ""),
                    content_handling=content,
                )
            )
        return tuple(found)


def _one_of(logical_id: str, name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        wanted = ", ".join(filter(None, allowed))
        raise TemplateError(f"{logical_id}: {name} must be one of {wanted}, not {value!r}.")


def _texts(logical_id: str, properties: Mapping[str, Any], name: str) -> dict[str, str]:
    """Return a map of text."""
    values = from_json(logical_id, name, properties.get(name) or {})
    if not isinstance(values, dict):
        raise TemplateError(f"{logical_id}: {name} must be a map.")
    return {str(key): str(value) for key, value in values.items()}
