"""From plain CloudFormation to the objects that are served here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from samwire.permissions.identities import Role
from samwire.template.api_model import HttpApi, WebSocketApi
from samwire.template.apis import ApiReader
from samwire.template.assertions import rule_problems
from samwire.template.generated import generated_secret
from samwire.template.http_apis import HttpApiReader
from samwire.template.intrinsics import NO_VALUE, Resolver, TemplateError, pseudo_parameters
from samwire.template.invocation import dead_letter, event_invokes, unserved_destinations
from samwire.template.model import Function, Secret, Stack, Table
from samwire.template.placement import placed
from samwire.template.problems import Problem, TemplateProblems, problems_of
from samwire.template.references import References
from samwire.template.resolved import Resolved
from samwire.template.resources import Parameter, StoredResourceReader, StoredResources
from samwire.template.roles import RoleReader
from samwire.template.rules.apis import api_problems
from samwire.template.rules.circles import circles, graph_of, listed
from samwire.template.rules.functions import function_problems
from samwire.template.rules.invocation_rights import InvocationRights
from samwire.template.rules.names import name_problems
from samwire.template.rules.schemas import schema_problems
from samwire.template.structure import MAX_RESOURCES
from samwire.template.transform import Transformed, is_folder, read_transformed

T = TypeVar("T")

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
_RULED = frozenset({"AWS::Lambda::Permission"})
"""What has no effect of its own here, but must be as AWS wants it."""
_API_GATEWAY = 'AWS, "Amazon API Gateway Version 2 API Reference"'
_POLICIES = 'AWS, "IAM JSON policy element reference"'
_CONDITIONS = 'AWS, "CloudFormation template Conditions syntax"'
_DEPENDS = 'AWS, "DependsOn attribute"'
_QUOTAS = 'AWS, "CloudFormation quotas"'
_FUNCTIONS = 'AWS, "Intrinsic function reference"'
_OUTPUTS = 'AWS, "CloudFormation template Outputs syntax"'
UNREADABLE = "it cannot be read here"
"""For what nobody has thought of."""
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
    stored: Mapping[str, str] | None = None,
) -> Stack:
    """Read a template.

    Args:
        overrides: values of parameters.
        domain_name: host and port of the address that APIs share.
        another: gives host and port of one more address, for an API that cannot share;
            without it, all APIs are said to be at `domain_name`.
        stored: what SSM's parameter store holds, by name.

    Raises:
        TemplateError: the template cannot be served, or AWS would refuse it; all that is wrong
            with it, a line for each.
    """
    try:
        source = read_transformed(path, overrides, region, stored)
        stack = _Reader(source, region, domain_name, another or (lambda: domain_name)).stack()
    except RecursionError:
        sentence = "what refers to each other is nested too deep to be read here."
        raise TemplateProblems([Problem("Resources", sentence, "this emulator")]) from None
    stack.stored.parameters += [
        Parameter("", name, "String", value) for name, value in (stored or {}).items()
    ]
    return stack


class _Reader:
    def __init__(
        self, source: Transformed, region: str, domain_name: str, another: Callable[[], str]
    ) -> None:
        self._source = source
        self._region = region
        self._resources: dict[str, dict[str, Any]] = dict(source.template["Resources"])
        self._properties: dict[str, dict[str, Any]] = {}
        self._unresolved: set[str] = set()
        self._notices = list(source.notices)
        self._problems: list[Problem] = []
        self._domain_names: dict[str, str] = {}
        self._unserved: dict[str, str] = {}
        self._references = References(
            self._resources, lambda value: self._resolver.resolve(value), region, self._domain_names
        )
        known = {**pseudo_parameters(region), **source.parameters}
        mappings = source.template.get("Mappings") or {}
        self._resolver = Resolver(
            known,
            self._conditions(known, mappings),
            mappings,
            self._references.ref,
            self._references.attribute,
        )
        self._problems += rule_problems(
            source.template.get("Rules") or {},
            known,
            {
                name: str(each.get("Type"))
                for name, each in (source.template.get("Parameters") or {}).items()
            },
            self._notices.append,
        )
        self._leave_out()
        if len(self._resources) > MAX_RESOURCES:
            sentence = f"{len(self._resources)} are more than the {MAX_RESOURCES} of a stack."
            self._problems.append(Problem("Resources", sentence, _QUOTAS))
        self._graph = graph_of(self._resources, self._chosen)
        self._problems += circles(self._graph)
        self._stop_if_wrong()  # what is in a circle cannot be resolved
        self._place(domain_name, another)

    def _conditions(self, known: Mapping[str, Any], mappings: Mapping[str, Any]) -> dict[str, bool]:
        """Return whether each condition holds; they know parameters and mappings, and no
        resources."""
        conditions = self._source.template.get("Conditions") or {}
        resolver = Resolver(known, conditions, mappings, _no_resource, _no_resource)
        found = {}
        for name in conditions:
            try:
                found[name] = resolver.condition(name)
            except TemplateError as error:
                found[name] = False
                self._problems.append(Problem(name, str(error), _CONDITIONS))
        return found

    def _leave_out(self) -> None:
        """Forget the resources whose condition does not hold."""
        everything = set(self._resources)
        for logical_id, resource in list(self._resources.items()):
            for name in listed(resource.get("DependsOn")):
                if name not in everything:
                    sentence = f"DependsOn names {name}, which is no resource of the template."
                    self._problems.append(Problem(logical_id, sentence, _DEPENDS, ("DependsOn",)))
            condition = resource.get("Condition")
            try:
                wanted = condition is None or self._resolver.condition(condition)
            except TemplateError as error:
                self._problems.append(Problem(logical_id, str(error), _CONDITIONS, ("Condition",)))
                continue
            if not wanted:
                del self._resources[logical_id]

    def _chosen(self, value: Any) -> Any:
        try:
            return self._resolver.chosen(value)
        except (TemplateError, ValueError):  # told when the resource is resolved
            return value

    def _place(self, domain_name: str, another: Callable[[], str]) -> None:
        self._domain_names |= {
            logical_id: domain_name
            for logical_id, resource in self._resources.items()
            if resource["Type"] == "AWS::ApiGatewayV2::Api"
        }
        try:
            self._domain_names |= placed(
                self._resources, self._resolver.resolve, self._references.ref, domain_name, another
            )
        except TemplateError as error:
            self._problems += problems_of(error, _API_GATEWAY)

    def _stop_if_wrong(self) -> None:
        if self._problems:
            raise TemplateProblems(self._problems)

    def stack(self) -> Stack:
        """Return everything that is served.

        Raises:
            TemplateProblems: all that is wrong.
        """
        about_apis: list[str] = []
        template = Resolved(
            self._of,
            self._references.ref,
            self._references.name,
            self._domain_names,
            about_apis.append,
        )
        self._resolve_everything()
        self._problems += self._attempt(lambda: list(function_problems(template)), [])
        self._problems += self._attempt(lambda: list(api_problems(template, self._graph)), [])
        self._problems += self._attempt(lambda: list(name_problems(template)), [])
        apis: list[WebSocketApi] = self._attempt(ApiReader(template).apis, [], _API_GATEWAY)
        http_apis: list[HttpApi] = self._attempt(HttpApiReader(template).apis, [], _API_GATEWAY)
        self._problems += self._attempt(
            lambda: list(InvocationRights(template, self._region).problems(apis, http_apis)), []
        )
        tables = self._each("AWS::DynamoDB::Table", self._table)
        functions = self._each("AWS::Lambda::Function", self._function)
        self._notices += self._attempt(
            lambda: list(
                unserved_destinations(
                    self._of("AWS::Lambda::EventInvokeConfig"),
                    {function.logical_id: function.dead_letter for function in functions},
                )
            ),
            [],
        )
        secrets = self._each("AWS::SecretsManager::Secret", self._secret)
        template = replace(template, notice=self._notices.append)
        roles: dict[str, Role] = self._attempt(RoleReader(template).roles, {}, _POLICIES)
        stored = self._attempt(StoredResourceReader(template).resources, StoredResources())
        outputs = self._outputs()
        self._stop_if_wrong()
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

    def _resolve_everything(self) -> None:
        """Look at the properties of every resource, also of what is not served."""
        for logical_id, resource in self._resources.items():
            made_up, imports = dict(self._references.placeholders), set(self._resolver.imports)
            try:
                properties = self._props(logical_id)
            except TemplateError as error:
                self._unresolved.add(logical_id)
                self._problems.append(Problem(logical_id, str(error), _FUNCTIONS))
                continue
            if resource["Type"] in _SERVED | _RULED:
                self._problems += schema_problems(
                    logical_id, resource["Type"], properties, self._region
                )
            else:  # nothing is made of it, so nobody is told what was made up for it
                self._references.placeholders = made_up
                self._resolver.imports = imports

    def _attempt(
        self, read: Callable[[], T], otherwise: T, source: str = "", where: str = "Resources"
    ) -> T:
        """Return what is read; what cannot be is a problem, or follows from one that is known.

        Args:
            source: of a problem that names none.
            where: what is read.
        """
        try:
            return read()
        except TemplateError as error:
            self._problems += problems_of(error, source)
        except (AttributeError, LookupError, OSError, TypeError, ValueError) as error:
            # The schemas let through what is free in them, such as OpenAPI.
            if not self._problems:
                sentence = f"{UNREADABLE}: {type(error).__name__}: {error}."
                self._problems.append(Problem(where, sentence, source))
        return otherwise

    def _each(self, kind: str, read: Callable[[str, dict[str, Any]], T | None]) -> list[T]:
        """Return what is made of all resources of a type."""
        made = []
        for logical_id, properties in self._of(kind).items():
            found = self._attempt(
                partial(read, logical_id, properties), None, _FUNCTIONS, logical_id
            )
            if found is not None:
                made.append(found)
        return made

    def _of(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return the resolved properties of all resources of a type."""
        return {
            name: self._props(name)
            for name, resource in self._resources.items()
            if resource["Type"] == kind and name not in self._unresolved
        }

    def _props(self, logical_id: str) -> dict[str, Any]:
        if logical_id not in self._properties:
            raw = self._resources[logical_id].get("Properties") or {}
            found = self._resolver.resolve(raw)
            if not isinstance(found, dict):
                raise TemplateError("Its Properties must be a map.")
            self._properties[logical_id] = found
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
        if code is not None and not is_folder(code):
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
        """Return the folder of a layer: SAM names a version after its source, plus ten hex
        digits."""
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
        generated = ""
        if value is None and settings is not None:
            value, generated = generated_secret(settings)
        return Secret(
            logical_id=logical_id,
            name=self._references.name(logical_id),
            arn=self._references.ref(logical_id),
            value=None if value is None else str(value),
            generated=generated,
        )

    # --- outputs --------------------------------------------------------------------

    def _outputs(self) -> dict[str, str]:
        outputs = {}
        for name, output in (self._source.template.get("Outputs") or {}).items():
            condition = output.get("Condition")
            try:
                if condition is None or self._resolver.condition(condition):
                    value = self._resolver.resolve(output["Value"])
                    if value is NO_VALUE:
                        raise TemplateError("its Value is AWS::NoValue, which is none.")
                    outputs[name] = self._local(_text(value))
            except TemplateError as error:
                self._problems.append(Problem(name, str(error), _OUTPUTS))
        return outputs

    def _local(self, text: str) -> str:
        """Return the text with the AWS host names of the APIs replaced by where they are here."""
        for logical_id, domain_name in self._domain_names.items():
            api_id = self._references.ref(logical_id)
            host = (  # the whole of a host name, never a part of a longer one
                rf"(?<![\w.-]){api_id}\.execute-api\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?"
                r"(?::443)?(?![\w:-]|\.\w)"
            )
            text = re.sub(host, domain_name, text)
        return text


def _no_resource(name: str, *_attribute: str) -> Any:
    raise TemplateError(f"It refers to {name}; a condition knows parameters and mappings alone.")


def _why_not(properties: Mapping[str, Any], *, has_code: bool) -> str:
    """Return why a function cannot run here; empty if it can."""
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
    """Return a table's definition with capacities as numbers: parameters are text."""
    if isinstance(value, list):
        return [_with_numbers(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: int(item) if key.endswith("CapacityUnits") else _with_numbers(item)
        for key, item in value.items()
    }
