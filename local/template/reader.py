"""From plain CloudFormation to the objects that are served here."""

from __future__ import annotations

import hashlib
import re
import secrets as randomness
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.template.intrinsics import ACCOUNT_ID, PARTITION, URL_SUFFIX, Resolver, TemplateError
from local.template.model import Function, Route, Secret, Stack, Table, WebSocketApi
from local.template.transform import Transformed, transformed

DEFAULT_TIMEOUT_S = 3.0
DEFAULT_MEMORY_MB = 128
DEFAULT_ASYNC_RETRIES = 2
"""Lambda's own defaults ("Configuring error handling settings for asynchronous invocations")."""
MAX_INTEGRATION_TIMEOUT_S = 29.0

_SERVED = frozenset(
    {
        "AWS::ApiGatewayV2::Api",
        "AWS::ApiGatewayV2::Route",
        "AWS::ApiGatewayV2::RouteResponse",
        "AWS::ApiGatewayV2::Integration",
        "AWS::ApiGatewayV2::Stage",
        "AWS::ApiGatewayV2::Deployment",
        "AWS::Lambda::Function",
        "AWS::Lambda::Version",
        "AWS::Lambda::Alias",
        "AWS::Lambda::LayerVersion",
        "AWS::Lambda::EventInvokeConfig",
        "AWS::DynamoDB::Table",
        "AWS::SecretsManager::Secret",
    }
)
_WITHOUT_EFFECT = frozenset(
    {
        "AWS::IAM::Role",
        "AWS::IAM::Policy",
        "AWS::IAM::ManagedPolicy",
        "AWS::Lambda::Permission",
        "AWS::Logs::LogGroup",
        "AWS::CloudWatch::Alarm",
        "AWS::CloudWatch::Dashboard",
    }
)
_TABLE_KEYS = (
    "AttributeDefinitions",
    "KeySchema",
    "GlobalSecondaryIndexes",
    "LocalSecondaryIndexes",
    "BillingMode",
    "ProvisionedThroughput",
)


def read_stack(path: Path, overrides: Mapping[str, str], region: str, domain_name: str) -> Stack:
    """Read a template.

    Args:
        overrides: values of parameters.
        domain_name: host and port that the APIs answer on, for outputs.

    Raises:
        TemplateError: the template cannot be served.
    """
    return _Reader(transformed(path, overrides, region), region, domain_name).stack()


class _Reader:
    def __init__(self, source: Transformed, region: str, domain_name: str) -> None:
        self._source = source
        self._region = region
        self._domain_name = domain_name
        self._resources: dict[str, dict[str, Any]] = source.template["Resources"]
        self._properties: dict[str, dict[str, Any]] = {}
        pseudo = {
            "AWS::AccountId": ACCOUNT_ID,
            "AWS::Partition": PARTITION,
            "AWS::Region": region,
            "AWS::StackName": "local",
            "AWS::StackId": self._arn("cloudformation", "stack/local/1"),
            "AWS::URLSuffix": URL_SUFFIX,
            "AWS::NotificationARNs": [],
        }
        self._resolver = Resolver(
            {**pseudo, **source.parameters},
            source.template.get("Conditions") or {},
            source.template.get("Mappings") or {},
            self._ref,
            self._attribute,
        )
        for logical_id, resource in list(self._resources.items()):
            condition = resource.get("Condition")
            if condition and not self._resolver.condition(condition):
                del self._resources[logical_id]

    def stack(self) -> Stack:
        """Everything that is served."""
        return Stack(
            region=self._region,
            apis=[self._api(name) for name in self._of("AWS::ApiGatewayV2::Api")],
            functions=[self._function(name) for name in self._of("AWS::Lambda::Function")],
            tables=[self._table(name) for name in self._of("AWS::DynamoDB::Table")],
            secrets=[self._secret(name) for name in self._of("AWS::SecretsManager::Secret")],
            outputs=self._outputs(),
            notices=[
                f"{logical_id}: {resource['Type']} is not served here."
                for logical_id, resource in self._resources.items()
                if resource["Type"] not in _SERVED | _WITHOUT_EFFECT
            ],
        )

    # --- resources ----------------------------------------------------------------

    def _of(self, kind: str) -> list[str]:
        return [name for name, resource in self._resources.items() if resource["Type"] == kind]

    def _props(self, logical_id: str) -> dict[str, Any]:
        if logical_id not in self._properties:
            raw = self._resources[logical_id].get("Properties") or {}
            self._properties[logical_id] = self._resolver.resolve(raw)
        return self._properties[logical_id]

    def _function(self, logical_id: str) -> Function:
        properties = self._props(logical_id)
        name = self._name(logical_id)
        code = self._source.code.get(logical_id)
        if code is None or not code.is_dir():
            raise TemplateError(f"{logical_id}: its code {code or ''} is not a local folder.")
        return Function(
            logical_id=logical_id,
            name=name,
            arn=self._arn("lambda", f"function:{name}", separator=":"),
            handler=str(properties.get("Handler", "")),
            runtime=str(properties.get("Runtime", "")),
            code=code,
            layers=tuple(self._layers(properties.get("Layers", []))),
            environment={
                key: str(value)
                for key, value in (properties.get("Environment") or {}).get("Variables", {}).items()
            },
            timeout_s=float(properties.get("Timeout", DEFAULT_TIMEOUT_S)),
            memory_mb=int(properties.get("MemorySize", DEFAULT_MEMORY_MB)),
            reserved_concurrency=properties.get("ReservedConcurrentExecutions"),
            aliases=frozenset(self._aliases(name)),
            retries=self._retries(name),
        )

    def _layers(self, references: list[str]) -> list[Path]:
        folders = []
        for logical_id in self._of("AWS::Lambda::LayerVersion"):
            if self._ref(logical_id) in references:
                # The transform names a layer version after its source, plus a hash.
                source = next(name for name in self._source.code if logical_id.startswith(name))
                folders.append(self._source.code[source])
        return folders

    def _aliases(self, function_name: str) -> list[str]:
        return [
            str(self._props(name)["Name"])
            for name in self._of("AWS::Lambda::Alias")
            if self._props(name)["FunctionName"] == function_name
        ]

    def _retries(self, function_name: str) -> int:
        for name in self._of("AWS::Lambda::EventInvokeConfig"):
            properties = self._props(name)
            if properties["FunctionName"] == function_name:
                return int(properties.get("MaximumRetryAttempts", DEFAULT_ASYNC_RETRIES))
        return DEFAULT_ASYNC_RETRIES

    def _api(self, logical_id: str) -> WebSocketApi:
        properties = self._props(logical_id)
        if properties.get("ProtocolType") != "WEBSOCKET":
            raise TemplateError(f"{logical_id}: only WebSocket APIs are served here.")
        api_id = self._ref(logical_id)
        stages = [
            self._props(name)
            for name in self._of("AWS::ApiGatewayV2::Stage")
            if self._props(name)["ApiId"] == api_id
        ]
        if len(stages) != 1:
            raise TemplateError(f"{logical_id}: expected one stage, found {len(stages)}.")
        routes = [
            self._route(name)
            for name in self._of("AWS::ApiGatewayV2::Route")
            if self._props(name)["ApiId"] == api_id
        ]
        return WebSocketApi(
            logical_id=logical_id,
            api_id=api_id,
            stage=str(stages[0]["StageName"]),
            route_selection_expression=str(properties["RouteSelectionExpression"]),
            routes={route.key: route for route in routes},
            stage_variables=dict(stages[0].get("StageVariables") or {}),
        )

    def _route(self, logical_id: str) -> Route:
        properties = self._props(logical_id)
        integration_id = str(properties["Target"]).removeprefix("integrations/")
        integration = self._props(
            next(
                name
                for name in self._of("AWS::ApiGatewayV2::Integration")
                if self._ref(name) == integration_id
            )
        )
        if integration["IntegrationType"] != "AWS_PROXY":
            raise TemplateError(
                f"{logical_id}: integrations of type {integration['IntegrationType']} are not "
                "served here, only AWS_PROXY."
            )
        found = re.search(r"/functions/(.+)/invocations$", str(integration["IntegrationUri"]))
        if not found:
            raise TemplateError(f"{logical_id}: its integration names no Lambda function.")
        route_id = self._ref(logical_id)
        two_way = any(
            self._props(name)["RouteId"] == route_id
            for name in self._of("AWS::ApiGatewayV2::RouteResponse")
        )
        timeout_ms = float(integration.get("TimeoutInMillis", MAX_INTEGRATION_TIMEOUT_S * 1000))
        return Route(str(properties["RouteKey"]), found[1], timeout_ms / 1000, two_way)

    def _table(self, logical_id: str) -> Table:
        properties = self._props(logical_id)
        ttl = properties.get("TimeToLiveSpecification") or {}
        return Table(
            logical_id=logical_id,
            name=self._name(logical_id),
            definition={key: properties[key] for key in _TABLE_KEYS if key in properties},
            ttl_attribute=str(ttl.get("AttributeName", "")) if ttl.get("Enabled") else "",
        )

    def _secret(self, logical_id: str) -> Secret:
        properties = self._props(logical_id)
        value = properties.get("SecretString")
        if value is None:
            length = int((properties.get("GenerateSecretString") or {}).get("PasswordLength", 32))
            alphabet = string.ascii_letters + string.digits
            value = "".join(randomness.choice(alphabet) for _ in range(length))
        return Secret(logical_id, self._name(logical_id), self._ref(logical_id), str(value))

    def _outputs(self) -> dict[str, str]:
        outputs = {}
        for name, output in (self._source.template.get("Outputs") or {}).items():
            condition = output.get("Condition")
            if condition is None or self._resolver.condition(condition):
                outputs[name] = str(self._resolver.resolve(output["Value"]))
        return outputs

    # --- what references give -------------------------------------------------------

    def _name(self, logical_id: str) -> str:
        names = {
            "AWS::Lambda::Function": "FunctionName",
            "AWS::DynamoDB::Table": "TableName",
            "AWS::SecretsManager::Secret": "Name",
        }
        key = names.get(self._resources[logical_id]["Type"])
        raw = (self._resources[logical_id].get("Properties") or {}).get(key or "")
        return str(self._resolver.resolve(raw)) if raw else f"local-{logical_id}"

    def _ref(self, logical_id: str) -> Any:
        if logical_id not in self._resources:
            raise TemplateError(f"The template has no resource or parameter {logical_id}.")
        kind = self._resources[logical_id]["Type"]
        if kind == "AWS::Lambda::Alias":
            properties = self._props(logical_id)
            name = f"function:{properties['FunctionName']}:{properties['Name']}"
            return self._arn("lambda", name, separator=":")
        if kind == "AWS::Lambda::LayerVersion":
            return self._arn("lambda", f"layer:{logical_id}:1", separator=":")
        if kind == "AWS::SecretsManager::Secret":
            return self._arn("secretsmanager", f"secret:{self._name(logical_id)}", separator=":")
        if kind == "AWS::ApiGatewayV2::Api":
            return hashlib.sha256(logical_id.encode()).hexdigest()[:10]
        if kind == "AWS::Lambda::Version":
            return self._arn("lambda", f"function:{logical_id}:1", separator=":")
        return self._name(logical_id)

    def _attribute(self, logical_id: str, attribute: str) -> Any:
        kind = self._resources.get(logical_id, {}).get("Type", "")
        if attribute == "Arn":
            services = {
                "AWS::Lambda::Function": ("lambda", "function:", ":"),
                "AWS::DynamoDB::Table": ("dynamodb", "table/", ":"),
                "AWS::IAM::Role": ("iam", "role/", ":"),
                "AWS::Logs::LogGroup": ("logs", "log-group:", ":"),
            }
            if kind in services:
                service, prefix, separator = services[kind]
                name = f"{prefix}{self._name(logical_id)}"
                return self._arn(service, name, separator=separator)
        if kind == "AWS::Lambda::Version" and attribute == "Version":
            return "1"
        if kind == "AWS::ApiGatewayV2::Api":
            if attribute == "ApiId":
                return self._ref(logical_id)
            if attribute == "ApiEndpoint":
                return f"wss://{self._domain_name}"
        raise TemplateError(f"{logical_id}.{attribute} ({kind or 'unknown'}) is not known here.")

    def _arn(self, service: str, resource: str, *, separator: str = ":") -> str:
        region = "" if service == "iam" else self._region
        return f"arn:{PARTITION}:{service}:{region}:{ACCOUNT_ID}{separator}{resource}"
