"""APIs of a template, as the gateway serves them: plain objects, resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

AWS_PROXY = "AWS_PROXY"
AWS = "AWS"
MOCK = "MOCK"


@dataclass(frozen=True, slots=True)
class IntegrationResponse:
    """What is made of the answer of an integration that is no proxy.

    Attributes:
        key: `$default`, or `/pattern/` for the error messages that it is for.
        templates: mapping templates by key.
        template_selection: expression that chooses one of them; empty for `$default`.
        content_handling: `CONVERT_TO_TEXT`, `CONVERT_TO_BINARY` or empty.
    """

    key: str
    templates: Mapping[str, str] = field(default_factory=dict)
    template_selection: str = ""
    content_handling: str = ""


@dataclass(frozen=True, slots=True)
class Integration:
    """What is behind a route.

    Attributes:
        kind: `AWS_PROXY`, `AWS` (a Lambda function, with mapping) or `MOCK`; empty for one
            that is not served here, which is an error for whoever calls.
        function: name or ARN of the Lambda function; empty if there is none to invoke.
        request_parameters: e.g. `integration.request.header.X-Amz-Invocation-Type` and what
            it is mapped from.
        request_templates: mapping templates by key.
        template_selection: expression that chooses one of them.
        passthrough: what happens to a message for which there is no template:
            `WHEN_NO_MATCH`, `WHEN_NO_TEMPLATES` or `NEVER`.
        content_handling: `CONVERT_TO_TEXT`, `CONVERT_TO_BINARY` or empty.
        payload_version: of HTTP APIs, `2.0` or `1.0`.
        logical_id: for messages.
        credentials: whether API Gateway assumes a role to invoke it, and needs no permission.
    """

    kind: str
    function: str = ""
    timeout_s: float = 29.0
    request_parameters: Mapping[str, str] = field(default_factory=dict)
    request_templates: Mapping[str, str] = field(default_factory=dict)
    template_selection: str = ""
    passthrough: str = "WHEN_NO_MATCH"
    content_handling: str = ""
    responses: tuple[IntegrationResponse, ...] = ()
    payload_version: str = "2.0"
    logical_id: str = ""
    credentials: bool = False

    @property
    def is_proxy(self) -> bool:
        """Whether the function is given the event, and answers in the gateway's own form."""
        return self.kind == AWS_PROXY


@dataclass(frozen=True, slots=True)
class Authorizer:
    """A Lambda authorizer of type REQUEST.

    Attributes:
        function: name or ARN of the Lambda function; empty if there is none to invoke.
        identity_sources: where a request must have something, e.g.
            `route.request.header.Auth` (WebSocket) or `$request.header.Auth` (HTTP).
        payload_version: of HTTP APIs, `2.0` or `1.0`.
        simple: whether it answers `{"isAuthorized": …}` (HTTP APIs).
        ttl_s: how long an answer is kept (HTTP APIs).
        logical_id: for messages.
        authorizer_id: API Gateway's own id of it.
        credentials: whether API Gateway assumes a role to invoke it, and needs no permission.
    """

    function: str
    identity_sources: tuple[str, ...] = ()
    payload_version: str = "1.0"
    simple: bool = False
    ttl_s: float = 0.0
    logical_id: str = ""
    authorizer_id: str = ""
    credentials: bool = False


@dataclass(frozen=True, slots=True)
class Rate:
    """A limit of requests: `per_s` on average, `burst` at once."""

    per_s: float
    burst: float


@dataclass(frozen=True, slots=True)
class Route:
    """A route of a WebSocket API.

    Attributes:
        two_way: whether what the integration answers is sent to the client.
        wants_reply: whether it has a `RouteResponseSelectionExpression`; by itself that
            sends nothing, as far as is known.
        iam: whether `$connect` must be signed (`AWS_IAM`).
        models: JSON schemas by key; `model_selection` chooses one.
        rate: None if the stage sets none.
    """

    key: str
    integration: Integration
    two_way: bool = False
    wants_reply: bool = False
    authorizer: Authorizer | None = None
    iam: bool = False
    models: Mapping[str, Any] = field(default_factory=dict)
    model_selection: str = ""
    rate: Rate | None = None


@dataclass(frozen=True, slots=True)
class WebSocketApi:
    """A WebSocket API, at one of its stages.

    Attributes:
        domain_name: host and port that it answers on.
    """

    logical_id: str
    api_id: str
    stage: str
    domain_name: str
    route_selection_expression: str
    routes: Mapping[str, Route]
    stage_variables: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class HttpRoute:
    """A route of an HTTP API.

    Attributes:
        key: e.g. `GET /items/{id}`, `ANY /{proxy+}` or `$default`.
    """

    key: str
    integration: Integration
    authorizer: Authorizer | None = None
    rate: Rate | None = None


@dataclass(frozen=True, slots=True)
class Cors:
    """An HTTP API's answer to other origins ("Configuring CORS for an HTTP API").

    Attributes:
        max_age_s: None if it says none.
    """

    origins: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()
    credentials: bool = False
    max_age_s: int | None = None


@dataclass(frozen=True, slots=True)
class HttpApi:
    """An HTTP API, at one of its stages.

    Attributes:
        stage: `$default` is served at `/`, any other at `/{stage}`.
        domain_name: host and port that it answers on.
        cors: None if requests of other origins are the functions' business.
    """

    logical_id: str
    api_id: str
    stage: str
    domain_name: str
    routes: tuple[HttpRoute, ...]
    stage_variables: Mapping[str, str]
    cors: Cors | None = None
