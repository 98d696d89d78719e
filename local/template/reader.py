"""From plain CloudFormation to the objects that are served here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from local.template.apis import ApiReader
from local.template.generated import generated_secret
from local.template.http_apis import HttpApiReader
from local.template.intrinsics import ACCOUNT_ID, PARTITION, URL_SUFFIX, Resolver, TemplateError
from local.template.invocation import dead_letter, event_invokes, unserved_destinations
from local.template.model import Function, Secret, Stack, Table
from local.template.placement import placed
from local.template.references import STACK_NAME, References
from local.template.resolved import Resolved
from local.template.resources import StoredResourceReader
from local.template.roles import RoleReader
from local.template.transform import Transformed, transformed

DEFAULT_TIMEOUT_S = 3.0
DEFAULT_MEMORY_MB = 128
"""Lambda's own defaults ("Configuring AWS Lambda functions")."""

_SERVED = frozenset(
    {
        "AWS::ApiGatewayV2::Api",
        "AWS::ApiGatewayV2::Route",
        "AWS::ApiGatewayV2::RouteResponse",
        "AWS::ApiGatewayV2::Integration",
        "AWS::ApiGatewayV2::IntegrationResponse",
        "AWS::ApiGatewayV2::Authorizer",
        "AWS::ApiGatewayV2::Model",
        "AWS::ApiGatewayV2::Stage",
        "AWS::ApiGatewayV2::Deployment",
        "AWS::Lambda::Function",
        "AWS::Lambda::Version",
        "AWS::Lambda::Alias",
        "AWS::Lambda::LayerVersion",
        "AWS::Lambda::EventInvokeConfig",
        "AWS::DynamoDB::Table",
        "AWS::IAM::ManagedPolicy",
        "AWS::IAM::Policy",
        "AWS::IAM::Role",
        "AWS::IAM::RolePolicy",
        "AWS::S3::Bucket",
        "AWS::SecretsManager::Secret",
        "AWS::SNS::Subscription",
        "AWS::SNS::Topic",
        "AWS::SQS::Queue",
        "AWS::SSM::Parameter",
    }
)
_WITHOUT_EFFECT = frozenset(
    {
        "AWS::CDK::Metadata",
        "AWS::CloudFormation::WaitConditionHandle",
        "AWS::CloudWatch::Alarm",
        "AWS::CloudWatch::CompositeAlarm",
        "AWS::CloudWatch::Dashboard",
        "AWS::Lambda::Permission",
        "AWS::Logs::LogGroup",
        "AWS::Logs::MetricFilter",
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


def read_stack(
    path: Path,
    overrides: Mapping[str, str],
    region: str,
    domain_name: str,
    another: Callable[[], str] | None = None,
) -> Stack:
    """Read a template.

    Args:
        overrides: values of parameters.
        domain_name: host and port of the address that APIs share.
        another: gives host and port of one more address, for an API that cannot share;
            without it, all APIs are said to be at `domain_name`.

    Raises:
        TemplateError: the template cannot be served.
    """
    source = transformed(path, overrides, region)
    return _Reader(source, region, domain_name, another or (lambda: domain_name)).stack()


class _Reader:
    def __init__(
        self, source: Transformed, region: str, domain_name: str, another: Callable[[], str]
    ) -> None:
        self._source = source
        self._region = region
        self._resources: dict[str, dict[str, Any]] = source.template["Resources"]
        self._properties: dict[str, dict[str, Any]] = {}
        self._notices = list(source.notices)
        self._domain_names: dict[str, str] = {}
        self._unserved: dict[str, str] = {}
        self._references = References(
            self._resources, lambda value: self._resolver.resolve(value), region, self._domain_names
        )
        pseudo = {
            "AWS::AccountId": ACCOUNT_ID,
            "AWS::Partition": PARTITION,
            "AWS::Region": region,
            "AWS::StackName": STACK_NAME,
            "AWS::StackId": self._references.arn("cloudformation", f"stack/{STACK_NAME}/1"),
            "AWS::URLSuffix": URL_SUFFIX,
            "AWS::NotificationARNs": [],
        }
        self._resolver = Resolver(
            {**pseudo, **source.parameters},
            source.template.get("Conditions") or {},
            source.template.get("Mappings") or {},
            self._references.ref,
            self._references.attribute,
        )
        for logical_id, resource in list(self._resources.items()):
            condition = resource.get("Condition")
            if condition and not self._resolver.condition(condition):
                del self._resources[logical_id]
        self._domain_names |= placed(
            self._resources, self._resolver.resolve, self._references.ref, domain_name, another
        )

    def stack(self) -> Stack:
        """Everything that is served."""
        about_apis: list[str] = []
        template = Resolved(
            self._of,
            self._references.ref,
            self._references.name,
            self._domain_names,
            about_apis.append,
        )
        apis, http_apis = ApiReader(template).apis(), HttpApiReader(template).apis()
        tables = [self._table(*item) for item in self._of("AWS::DynamoDB::Table").items()]
        functions = [
            function
            for logical_id, properties in self._of("AWS::Lambda::Function").items()
            if (function := self._function(logical_id, properties)) is not None
        ]
        self._notices += unserved_destinations(
            self._of("AWS::Lambda::EventInvokeConfig"),
            {function.logical_id: function.dead_letter for function in functions},
        )
        secrets = [self._secret(*item) for item in self._of("AWS::SecretsManager::Secret").items()]
        template = replace(template, notice=self._notices.append)
        roles = RoleReader(template).roles()
        stored = StoredResourceReader(template).resources()
        outputs = self._outputs()
        not_served = [
            f"{logical_id}: {resource['Type']} is not served here."
            for logical_id, resource in self._resources.items()
            if resource["Type"] not in _SERVED | _WITHOUT_EFFECT
        ]
        made_up = [
            f"{name} ({kind}) is not known here; a placeholder stands for it."
            for name, kind in self._references.placeholders.items()
            if kind not in _WITHOUT_EFFECT
        ]
        made_up += [
            f"Fn::ImportValue {name} is not known here; its name stands for it."
            for name in sorted(self._resolver.imports)
        ]
        return Stack(
            region=self._region,
            apis=apis,
            http_apis=http_apis,
            functions=functions,
            tables=tables,
            secrets=secrets,
            roles=roles,
            stored=stored,
            outputs=outputs,
            notices=list(dict.fromkeys([*not_served, *about_apis, *self._notices, *made_up])),
            unserved=self._unserved,
        )

    def _of(self, kind: str) -> dict[str, dict[str, Any]]:
        """Resolved properties of all resources of a type."""
        return {
            name: self._props(name)
            for name, resource in self._resources.items()
            if resource["Type"] == kind
        }

    def _props(self, logical_id: str) -> dict[str, Any]:
        if logical_id not in self._properties:
            raw = self._resources[logical_id].get("Properties") or {}
            self._properties[logical_id] = self._resolver.resolve(raw)
        return self._properties[logical_id]

    # --- functions ------------------------------------------------------------------

    def _function(self, logical_id: str, properties: dict[str, Any]) -> Function | None:
        code = self._source.code.get(logical_id)
        inline = str((properties.get("Code") or {}).get("ZipFile", "")) if code is None else ""
        reason = _why_not(properties, has_code=bool(code or inline))
        if reason:
            self._notices.append(f"{logical_id}: {reason}; it cannot be invoked here.")
            self._unserved[self._references.name(logical_id)] = f"{logical_id}: {reason}"
            return None
        if code is not None and not code.is_dir():
            raise TemplateError(f"{logical_id}: its code {code} is not a folder.")
        name = self._references.name(logical_id)
        concurrency = properties.get("ReservedConcurrentExecutions")
        variables = (properties.get("Environment") or {}).get("Variables") or {}
        logging = properties.get("LoggingConfig") or {}
        self._notices += [
            f"{logical_id}: {key} is a dynamic reference, which is not resolved here."
            for key, value in variables.items()
            if "{{resolve:" in str(value)
        ]
        return Function(
            logical_id=logical_id,
            name=name,
            arn=self._references.arn("lambda", f"function:{name}"),
            handler=str(properties.get("Handler", "")),
            runtime=str(properties.get("Runtime", "")),
            code=code or Path(),
            layers=tuple(self._layers(logical_id, properties.get("Layers") or [])),
            environment={key: self._local(_text(value)) for key, value in variables.items()},
            timeout_s=float(properties.get("Timeout", DEFAULT_TIMEOUT_S)),
            memory_mb=int(properties.get("MemorySize", DEFAULT_MEMORY_MB)),
            reserved_concurrency=None if concurrency is None else int(concurrency),
            aliases=frozenset(self._aliases(name)),
            published=any(
                version["FunctionName"] == name
                for version in self._of("AWS::Lambda::Version").values()
            ),
            snap_start=(properties.get("SnapStart") or {}).get("ApplyOn") == "PublishedVersions",
            log_format=str(logging.get("LogFormat", "Text")),
            inline=inline,
            event_invokes=event_invokes(self._of("AWS::Lambda::EventInvokeConfig"), name),
            dead_letter=dead_letter(properties),
            role=str(properties.get("Role", "")),
        )

    def _layers(self, function: str, references: list[str]) -> list[Path]:
        own = {
            self._references.ref(logical_id): logical_id
            for logical_id in self._of("AWS::Lambda::LayerVersion")
        }
        folders = []
        for reference in references:
            folder = self._layer_folder(own[reference]) if reference in own else None
            if folder is None:
                self._notices.append(
                    f"{function}: the layer {reference} is not a folder here; what it holds has "
                    "to be installed in this Python."
                )
            else:
                folders.append(folder)
        return folders

    def _layer_folder(self, logical_id: str) -> Path | None:
        """The folder of a layer: SAM names a version after its source, plus ten hex digits."""
        source = re.sub(r"[0-9a-f]{10}$", "", logical_id)
        return self._source.code.get(logical_id) or self._source.code.get(source)

    def _aliases(self, function_name: str) -> list[str]:
        return [
            str(alias["Name"])
            for alias in self._of("AWS::Lambda::Alias").values()
            if alias["FunctionName"] == function_name
        ]

    # --- data -----------------------------------------------------------------------

    def _table(self, logical_id: str, properties: dict[str, Any]) -> Table:
        ttl = properties.get("TimeToLiveSpecification") or {}
        if properties.get("StreamSpecification"):
            self._notices.append(f"{logical_id}: streams of tables are not served here.")
        definition = {key: properties[key] for key in _TABLE_KEYS if key in properties}
        return Table(
            logical_id=logical_id,
            name=self._references.name(logical_id),
            definition=_with_numbers(definition),
            ttl_attribute=str(ttl.get("AttributeName", "")) if _true(ttl.get("Enabled")) else "",
        )

    def _secret(self, logical_id: str, properties: dict[str, Any]) -> Secret:
        value = properties.get("SecretString")
        settings = properties.get("GenerateSecretString")
        if value is None and settings is not None:
            value = generated_secret(settings)
        return Secret(
            logical_id=logical_id,
            name=self._references.name(logical_id),
            arn=self._references.ref(logical_id),
            value=None if value is None else str(value),
        )

    # --- outputs --------------------------------------------------------------------

    def _outputs(self) -> dict[str, str]:
        outputs = {}
        for name, output in (self._source.template.get("Outputs") or {}).items():
            condition = output.get("Condition")
            if condition is None or self._resolver.condition(condition):
                outputs[name] = self._local(_text(self._resolver.resolve(output["Value"])))
        return outputs

    def _local(self, text: str) -> str:
        """The text with the AWS host names of the APIs replaced by where they are here."""
        for logical_id, domain_name in self._domain_names.items():
            api_id = self._references.ref(logical_id)
            host = (  # the whole of a host name, never a part of a longer one
                rf"(?<![\w.-]){api_id}\.execute-api\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?"
                r"(?::443)?(?![\w:-]|\.\w)"
            )
            text = re.sub(host, domain_name, text)
        return text


def _why_not(properties: Mapping[str, Any], *, has_code: bool) -> str:
    """Why a function cannot run here; empty if it can."""
    if properties.get("PackageType") == "Image":
        return "container images are not run here"
    runtime = str(properties.get("Runtime", ""))
    if not runtime.startswith("python"):
        return f"the runtime {runtime or '(none)'} is not served here, only Python"
    return "" if has_code else "its code is not a local folder"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(_text, value)) if isinstance(value, list) else str(value)


def _true(value: Any) -> bool:
    return str(value).lower() == "true"


def _with_numbers(value: Any) -> Any:
    """A table's definition with capacities as numbers: parameters are text."""
    if isinstance(value, list):
        return [_with_numbers(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: int(item) if key.endswith("CapacityUnits") else _with_numbers(item)
        for key, item in value.items()
    }
