"""What `Ref` and `Fn::GetAtt` of a resource give: names, ARNs and endpoints."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from samwire.permissions.calls.settings import secret_suffix
from samwire.template.api_parts import required
from samwire.template.intrinsics import (
    ACCOUNT_ID,
    NO_VALUE,
    PARTITION,
    STACK_NAME,
    URL_SUFFIX,
    TemplateError,
)

_NAME_PROPERTIES = {
    "AWS::ApiGatewayV2::DomainName": "DomainName",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::Lambda::Function": "FunctionName",
}
_ARNS = {
    "AWS::Lambda::Function": ("lambda", "function:"),
    "AWS::DynamoDB::Table": ("dynamodb", "table/"),
    "AWS::IAM::Role": ("iam", "role/"),
    "AWS::Logs::LogGroup": ("logs", "log-group:"),
    "AWS::SQS::Queue": ("sqs", ""),
}
_FIFO = {"AWS::SQS::Queue": "FifoQueue", "AWS::SNS::Topic": "FifoTopic"}
_SAME_AS_REF = frozenset(
    {
        ("AWS::ApiGatewayV2::Api", "ApiId"),
        ("AWS::ApiGatewayV2::Authorizer", "AuthorizerId"),
        ("AWS::ApiGatewayV2::Deployment", "DeploymentId"),
        ("AWS::ApiGatewayV2::Integration", "IntegrationId"),
        ("AWS::ApiGatewayV2::Model", "ModelId"),
        ("AWS::ApiGatewayV2::Route", "RouteId"),
        ("AWS::ApiGatewayV2::RouteResponse", "RouteResponseId"),
        ("AWS::Lambda::Alias", "AliasArn"),
        ("AWS::Lambda::LayerVersion", "LayerVersionArn"),
        ("AWS::Lambda::Version", "FunctionArn"),
        ("AWS::SecretsManager::Secret", "Id"),
        ("AWS::SNS::Topic", "TopicArn"),
        ("AWS::SQS::Queue", "QueueUrl"),
    }
)


class References:
    """Names and attributes of a template's resources.

    Args:
        resources: by logical id, after the transform.
        resolve: resolves the intrinsic functions of a value.
        domain_names: host and port of each API, by logical id; filled in before anything but
            the APIs' stages is resolved.
    """

    def __init__(
        self,
        resources: Mapping[str, Mapping[str, Any]],
        resolve: Callable[[Any], Any],
        region: str,
        domain_names: Mapping[str, str],
    ) -> None:
        self._resources = resources
        self._resolve = resolve
        self._region = region
        self._domain_names = domain_names
        self.placeholders: dict[str, str] = {}
        """Attributes that are not known here and were made up, with their resource's type."""

    def name(self, logical_id: str) -> str:
        """Return the physical name: the template's, or `local-` and the logical id."""
        kind = self._kind(logical_id)
        own = _NAME_PROPERTIES.get(kind, f"{kind.rsplit('::', 1)[-1]}Name")
        properties = self._resources[logical_id].get("Properties") or {}
        for key in (own, "Name"):
            found = self._resolve(properties.get(key))
            if found is not NO_VALUE and found:
                return str(found)
        return self._made_up(logical_id, kind)

    def ref(self, logical_id: str) -> Any:
        """Return what `Ref` gives."""
        kind = self._kind(logical_id)
        if kind == "AWS::Lambda::Alias":
            properties = self._properties(logical_id)
            return f"{self._function_arn(logical_id)}:{required(logical_id, properties, 'Name')}"
        if kind == "AWS::Lambda::Version":
            return f"{self._function_arn(logical_id)}:1"
        if kind == "AWS::Lambda::LayerVersion":
            return self.arn("lambda", f"layer:{logical_id}:1")
        if kind == "AWS::SecretsManager::Secret":
            name = self.name(logical_id)
            return self.arn("secretsmanager", f"secret:{name}-{secret_suffix(name)}")
        if kind == "AWS::IAM::ManagedPolicy":
            return self.arn("iam", f"policy{self._path(logical_id, '/')}{self.name(logical_id)}")
        if kind == "AWS::SNS::Topic":
            return self.arn("sns", self.name(logical_id))
        if kind == "AWS::SQS::Queue":
            host = f"sqs.{self._region}.{URL_SUFFIX}"
            return f"https://{host}/{ACCOUNT_ID}/{self.name(logical_id)}"
        if kind == "AWS::ApiGatewayV2::Api":
            return hashlib.sha256(logical_id.encode()).hexdigest()[:10]
        if kind == "AWS::ApiGatewayV2::Stage":
            return str(required(logical_id, self._properties(logical_id), "StageName"))
        if kind.startswith("AWS::ApiGatewayV2::") and kind != "AWS::ApiGatewayV2::DomainName":
            return f"{STACK_NAME}-{logical_id}"
        return self.name(logical_id)

    def attribute(self, logical_id: str, attribute: str) -> Any:
        """Return what `Fn::GetAtt` gives; a placeholder for what is not known here."""
        kind = self._kind(logical_id)
        if attribute == "Arn" and kind in _ARNS:
            service, prefix = _ARNS[kind]
            return self.arn(service, f"{prefix}{self._path(logical_id)}{self.name(logical_id)}")
        if (kind, attribute) in _SAME_AS_REF:
            return self.ref(logical_id)
        if (kind, attribute) == ("AWS::Lambda::Version", "Version"):
            return "1"
        if (kind, attribute) == ("AWS::ApiGatewayV2::Api", "ApiEndpoint"):
            websocket = self._properties(logical_id).get("ProtocolType") == "WEBSOCKET"
            return f"{'wss' if websocket else 'https'}://{self._domain_names[logical_id]}"
        found = self._of_stored(logical_id, kind, attribute)
        if found is not None:
            return found
        self.placeholders[f"{logical_id}.{attribute}"] = kind
        if attribute.endswith("Arn"):
            return self.arn(kind.split("::")[1].lower(), self.name(logical_id))
        return f"{self.name(logical_id)}.{attribute}"

    def arn(self, service: str, resource: str) -> str:
        """Return an ARN of this account and region."""
        region = "" if service == "iam" else self._region
        return f"arn:{PARTITION}:{service}:{region}:{ACCOUNT_ID}:{resource}"

    def _path(self, logical_id: str, otherwise: str = "") -> str:
        """Return what stands before the name of a role or managed policy in its ARN."""
        properties = self._resources[logical_id].get("Properties") or {}
        if not self._kind(logical_id).startswith("AWS::IAM::"):
            return otherwise
        found = self._resolve(properties.get("Path"))
        if found is None or found is NO_VALUE:
            return otherwise
        path = str(found)
        return path if otherwise else path.removeprefix("/")

    def _made_up(self, logical_id: str, kind: str) -> str:
        """Return a name for what has none: bucket names have no capitals, FIFO ones a suffix."""
        if kind == "AWS::S3::Bucket":
            return f"{STACK_NAME}-{logical_id.lower()}"
        properties = self._resources[logical_id].get("Properties") or {}
        flag = self._resolve(properties.get(_FIFO[kind])) if kind in _FIFO else NO_VALUE
        fifo = flag is not NO_VALUE and str(flag).lower() == "true"
        return f"{STACK_NAME}-{logical_id}" + (".fifo" if fifo else "")

    def _of_stored(self, logical_id: str, kind: str, attribute: str) -> str | None:
        """Return an attribute of a bucket, queue, topic or parameter; None if it has no such."""
        name = self.name(logical_id)
        if kind == "AWS::S3::Bucket":
            return {
                "Arn": f"arn:{PARTITION}:s3:::{name}",
                "DomainName": f"{name}.s3.{URL_SUFFIX}",
                "RegionalDomainName": f"{name}.s3.{self._region}.{URL_SUFFIX}",
            }.get(attribute)
        if (kind, attribute) in (
            ("AWS::SQS::Queue", "QueueName"),
            ("AWS::SNS::Topic", "TopicName"),
        ):
            return name
        if kind == "AWS::SSM::Parameter" and attribute in ("Type", "Value"):
            return str(self._properties(logical_id).get(attribute, ""))
        return None

    def _kind(self, logical_id: str) -> str:
        if logical_id not in self._resources:
            raise TemplateError(f"The template has no resource or parameter {logical_id}.")
        return str(self._resources[logical_id]["Type"])

    def _properties(self, logical_id: str) -> dict[str, Any]:
        resolved = self._resolve(self._resources[logical_id].get("Properties") or {})
        if not isinstance(resolved, dict):
            raise TemplateError(f"{logical_id}: its Properties must be a map.")
        return resolved

    def _function_arn(self, logical_id: str) -> str:
        """Return the ARN of the function that an alias or a version names, by name or ARN."""
        function = str(required(logical_id, self._properties(logical_id), "FunctionName"))
        return (
            function if function.startswith("arn:") else self.arn("lambda", f"function:{function}")
        )
