"""HTTP APIs of a template, from raw resources or from OpenAPI, as SAM writes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from samwire.template.api_model import AWS_PROXY, Authorizer, Cors, HttpApi, HttpRoute, Integration
from samwire.template.api_parts import (
    MAX_HTTP_TIMEOUT_S,
    function_of,
    number,
    rate_of,
    required,
    stage_variables,
    stages_of,
    timeout_s,
    true,
)
from samwire.template.intrinsics import TemplateError
from samwire.template.resolved import Resolved

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch")
_ANY = "x-amazon-apigateway-any-method"
_DEFAULT_TTL_S = 0.0
"""Of answers of a Lambda authorizer that says nothing about it ("CreateAuthorizer")."""


@dataclass(frozen=True, slots=True)
class _Authorizer:
    """An authorizer as the template has it.

    Attributes:
        authorizer_id: API Gateway's own id of it.
    """

    logical_id: str
    authorizer_id: str
    properties: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Source:
    """A route as the template has it, whichever way it is written; keys as in CloudFormation.

    Attributes:
        name: what a notice calls it.
        logical_id: of what invokes the function: the integration, or the API that describes it.
        authorizer: None if it has none.
    """

    name: str
    key: str
    logical_id: str
    integration: Mapping[str, Any]
    authorizer: _Authorizer | None


class HttpApiReader:
    """Reads the HTTP APIs of one template."""

    def __init__(self, template: Resolved) -> None:
        self._template = template
        self._of = template.of
        self._ref = template.ref
        self._notice = template.notice

    def apis(self) -> list[HttpApi]:
        """Return the APIs, one for each of their stages."""
        found = []
        for logical_id, properties in self._of("AWS::ApiGatewayV2::Api").items():
            if properties.get("ProtocolType") == "WEBSOCKET":
                continue
            if properties.get("BodyS3Location"):
                self._notice(f"{logical_id}: a definition in S3 is not read here.")
            if true(properties.get("DisableExecuteApiEndpoint")):
                self._notice(f"{logical_id}: DisableExecuteApiEndpoint has no effect here.")
            body = _map(logical_id, properties, "Body")
            sources = [*self._quick(logical_id, properties), *self._raw(logical_id)]
            sources += self._described(logical_id, body)
            cors = properties.get("CorsConfiguration") or body.get("x-amazon-apigateway-cors")
            stages = stages_of(self._template, logical_id)
            for stage_id, stage in stages.items():
                found.append(
                    HttpApi(
                        logical_id=logical_id,
                        api_id=self._ref(logical_id),
                        stage=str(required(stage_id, stage, "StageName")),
                        domain_name=self._template.domain_names[logical_id],
                        routes=tuple(self._route(s, stage_id, stage) for s in sources),
                        stage_variables=stage_variables(stage),
                        cors=_cors(logical_id, cors) if cors else None,
                    )
                )
        return found

    # --- where routes come from -----------------------------------------------------

    def _quick(self, logical_id: str, properties: dict[str, Any]) -> Iterator[_Source]:
        """Yield the route of an API that is created with nothing but a `Target`."""
        if properties.get("Target"):
            integration = {
                "IntegrationType": AWS_PROXY,
                "IntegrationUri": properties["Target"],
                "PayloadFormatVersion": "2.0",
            }
            key = str(properties.get("RouteKey", "$default"))
            yield _Source(logical_id, key, logical_id, integration, None)

    def _raw(self, logical_id: str) -> Iterator[_Source]:
        """Return the routes that are resources of their own."""
        api_id = self._ref(logical_id)
        integrations = {
            f"integrations/{self._ref(name)}": (name, properties)
            for name, properties in self._of("AWS::ApiGatewayV2::Integration").items()
        }
        authorizers = {
            self._ref(name): _Authorizer(name, str(self._ref(name)), properties)
            for name, properties in self._of("AWS::ApiGatewayV2::Authorizer").items()
        }
        for route_id, properties in self._of("AWS::ApiGatewayV2::Route").items():
            if required(route_id, properties, "ApiId") != api_id:
                continue
            found = integrations.get(str(properties.get("Target")))
            if found is None:
                self._notice(f"{route_id}: the route has no integration.")
                continue
            kind = str(properties.get("AuthorizationType") or "NONE")
            authorizer = authorizers.get(properties.get("AuthorizerId"))
            if kind != "NONE" and authorizer is None:
                authorizer = _Authorizer(route_id, "", {"AuthorizerType": kind})
            key = str(required(route_id, properties, "RouteKey"))
            integration_id, integration = found
            yield _Source(
                route_id, key, integration_id, integration, authorizer if kind != "NONE" else None
            )

    def _described(self, logical_id: str, body: Mapping[str, Any]) -> Iterator[_Source]:
        """Return the routes of an OpenAPI document."""
        components = _map(logical_id, body, "components")
        schemes = _map(logical_id, components, "securitySchemes")
        paths = _map(logical_id, body, "paths")
        for path in paths:
            item = _map(logical_id, paths, path)
            for method in item:
                if method not in (*_METHODS, _ANY):
                    continue
                operation = _map(logical_id, item, method)
                verb = "ANY" if method == _ANY else method.upper()
                key = "$default" if path in ("$default", "/$default") else f"{verb} {path}"
                integration = _map(logical_id, operation, "x-amazon-apigateway-integration")
                if not integration:
                    self._notice(f"{logical_id}: {key} has no integration.")
                    continue
                chosen = _security(operation.get("security") or body.get("security"))
                scheme = _map(logical_id, schemes, chosen or "")
                yield _Source(
                    f"{logical_id}: {key}",
                    key,
                    logical_id,
                    _capitalised(integration, {"type": "IntegrationType", "uri": "IntegrationUri"}),
                    None if chosen is None else _Authorizer(logical_id, chosen, _scheme(scheme)),
                )

    # --- what becomes of them -------------------------------------------------------

    def _route(self, source: _Source, stage_id: str, stage: dict[str, Any]) -> HttpRoute:
        variables = stage_variables(stage)
        return HttpRoute(
            key=source.key,
            integration=self._integration(source, variables),
            authorizer=self._authorizer(source, variables),
            rate=rate_of(stage_id, stage, source.key),
        )

    def _integration(self, source: _Source, variables: dict[str, str]) -> Integration:
        properties = source.integration
        kind = str(properties.get("IntegrationType")).upper()
        function = function_of(properties.get("IntegrationUri"), variables)
        if kind != AWS_PROXY or properties.get("IntegrationSubtype"):
            service = properties.get("IntegrationSubtype") or kind
            self._notice(
                f"{source.name}: integrations of type {service} are not served here; the route "
                "answers with an error."
            )
            kind = ""
        elif not function:
            self._notice(f"{source.name}: the integration names no Lambda function.")
        for name in ("RequestParameters", "ResponseParameters"):
            if properties.get(name):
                self._notice(f"{source.name}: {name} have no effect here.")
        version = str(properties.get("PayloadFormatVersion") or "1.0")
        if version not in ("1.0", "2.0"):
            raise TemplateError(
                f"{source.name}: PayloadFormatVersion must be 1.0 or 2.0, not {version}."
            )
        return Integration(
            kind=kind,
            function=function,
            timeout_s=timeout_s(source.name, properties.get("TimeoutInMillis"), MAX_HTTP_TIMEOUT_S),
            payload_version=version,
            logical_id=source.logical_id,
            credentials=bool(properties.get("CredentialsArn") or properties.get("Credentials")),
        )

    def _authorizer(self, source: _Source, variables: dict[str, str]) -> Authorizer | None:
        found = source.authorizer
        if found is None:
            return None
        properties = found.properties
        kind = str(properties.get("AuthorizerType") or "").upper()
        if kind != "REQUEST":
            self._notice(
                f"{source.name}: {kind or 'this kind of'} authorization is not served here: "
                "every request is let through."
            )
            return None
        sources = properties.get("IdentitySource") or []
        listed = sources.split(",") if isinstance(sources, str) else sources
        ttl = properties.get("AuthorizerResultTtlInSeconds")
        return Authorizer(
            function=function_of(properties.get("AuthorizerUri"), variables),
            identity_sources=tuple(str(entry).strip() for entry in listed),
            payload_version=str(properties.get("AuthorizerPayloadFormatVersion") or "1.0"),
            simple=true(properties.get("EnableSimpleResponses")),
            ttl_s=_DEFAULT_TTL_S
            if ttl is None
            else number(source.name, "AuthorizerResultTtlInSeconds", ttl),
            logical_id=found.logical_id,
            authorizer_id=found.authorizer_id,
            credentials=bool(
                properties.get("AuthorizerCredentialsArn")
                or properties.get("AuthorizerCredentials")
            ),
        )


def _map(logical_id: str, of: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a map in an OpenAPI document; empty if it is not there.

    Raises:
        TemplateError: it is something else.
    """
    found = of.get(name)
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise TemplateError(f"{logical_id}: {name} of its OpenAPI document must be a map.")
    return found


def _security(entries: object) -> str | None:
    """Return the first scheme that a security requirement names."""
    listed = entries if isinstance(entries, list) else []
    names = [name for entry in listed if isinstance(entry, Mapping) for name in entry]
    return next((name for name in names if name != "NONE"), None)


def _scheme(scheme: Mapping[str, Any]) -> dict[str, Any]:
    """Return an authorizer of an OpenAPI document."""
    found = scheme.get("x-amazon-apigateway-authorizer")
    found = found if isinstance(found, Mapping) else {}
    kind = str(found.get("type") or scheme.get("x-amazon-apigateway-authtype") or "")
    return {**_capitalised(found, {"type": "AuthorizerType"}), "AuthorizerType": kind}


def _capitalised(item: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return the keys of OpenAPI's extensions as CloudFormation has them."""
    return {names.get(key, key[:1].upper() + key[1:]): value for key, value in item.items()}


def _cors(logical_id: str, settings: object) -> Cors:
    if not isinstance(settings, Mapping):
        raise TemplateError(
            f"{logical_id}: the CORS configuration is {settings!r}, not an object. An intrinsic "
            "function in AllowOrigins alone is taken for all of it by SAM: write the whole "
            "CorsConfiguration as one function, such as Fn::If."
        )
    given = _capitalised(settings, {})
    max_age = given.get("MaxAge")
    cors = Cors(
        origins=_listed(given.get("AllowOrigins")),
        methods=_listed(given.get("AllowMethods")),
        headers=_listed(given.get("AllowHeaders")),
        exposed=_listed(given.get("ExposeHeaders")),
        credentials=true(given.get("AllowCredentials")),
        max_age_s=None if max_age is None else int(number(logical_id, "MaxAge", max_age)),
    )
    if cors.credentials and "*" in cors.origins:
        raise TemplateError(
            f"{logical_id}: CORS with AllowCredentials cannot allow the origin *; name the origins."
        )
    return cors


def _listed(values: object) -> tuple[str, ...]:
    return tuple(str(value) for value in values) if isinstance(values, list) else ()
