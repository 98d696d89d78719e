"""Roles of a template and the policies that they have: their own, attached and managed ones.

Reads `AWS::IAM::Role`, `Policy`, `RolePolicy` and `ManagedPolicy`. AWS's managed policies
are those that moto carries; whatever else is named is said, and grants nothing.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from typing import Any

from local.permissions.identities import Role
from local.permissions.policies import PolicyError, parsed_policy
from local.template.intrinsics import TemplateError
from local.template.resolved import Resolved

_XRAY: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": [
                "xray:PutTraceSegments",
                "xray:PutTelemetryRecords",
                "xray:GetSamplingRules",
                "xray:GetSamplingTargets",
                "xray:GetSamplingStatisticSummaries",
            ],
            "Resource": ["*"],
        }
    ],
}
_OFTEN: dict[str, dict[str, Any]] = {
    "AWSLambdaBasicExecutionRole": {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
                "Resource": "*",
            }
        ],
    },
    "AWSXRayDaemonWriteAccess": _XRAY,
    "AWSXrayWriteOnlyAccess": _XRAY,
}
"""What SAM gives to every function: reading all of AWS's policies takes a third of a second."""


class RoleReader:
    """Reads the roles of one template."""

    def __init__(self, template: Resolved) -> None:
        self._of = template.of
        self._ref = template.ref
        self._name = template.name
        self._notice = template.notice

    def roles(self) -> dict[str, Role]:
        """What each role may do, by its name.

        Raises:
            TemplateError: one of the policies is none.
        """
        managed = {
            str(self._ref(logical_id)): self._checked(logical_id, properties["PolicyDocument"])
            for logical_id, properties in self._of("AWS::IAM::ManagedPolicy").items()
        }
        return {
            self._name(logical_id): self._role(logical_id, properties, managed)
            for logical_id, properties in self._of("AWS::IAM::Role").items()
        }

    def _role(
        self, logical_id: str, properties: Mapping[str, Any], managed: Mapping[str, Any]
    ) -> Role:
        policies: dict[str, Any] = {}
        for place, policy in enumerate(properties.get("Policies") or [], 1):
            name = str(policy.get("PolicyName", f"policy {place}"))
            policies[name] = self._checked(f"{logical_id}: {name}", policy.get("PolicyDocument"))
        for reference in properties.get("ManagedPolicyArns") or []:
            document = self._managed(logical_id, str(reference), managed)
            if document is not None:
                policies[str(reference)] = document
        policies |= dict(self._attached(self._name(logical_id)))
        boundary = properties.get("PermissionsBoundary")
        limit = self._managed(logical_id, str(boundary), managed) if boundary else None
        return Role(policies, limit)

    def _attached(self, role: str) -> Iterable[tuple[str, Any]]:
        """Policies that name the role, rather than the role them."""
        for kind in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy"):
            for logical_id, properties in self._of(kind).items():
                if role in (properties.get("Roles") or [properties.get("RoleName")]):
                    document = properties.get("PolicyDocument")
                    yield logical_id, self._checked(logical_id, document)

    def _managed(self, role: str, reference: str, own: Mapping[str, Any]) -> Any:
        if reference in own:
            return own[reference]
        name = reference.rpartition("/")[2]
        document = managed_policy(name)
        if document is None:
            self._notice(
                f"{role}: the managed policy {reference} is not known here; it grants nothing."
            )
            return None
        return self._checked(f"{role}: {name}", document)

    def _checked(self, where: str, document: Any) -> Any:
        document = json.loads(json.dumps(document, default=str))  # YAML reads Version as a date
        try:
            policy = parsed_policy(document)
        except PolicyError as error:
            raise TemplateError(f"{where}: {error}") from None
        for notice in policy.notices:
            self._notice(f"{where}: {notice}")
        return document


def managed_policy(name: str) -> dict[str, Any] | None:
    """The document of one of AWS's managed policies; None for one that is not known."""
    return _OFTEN.get(name) or _aws_managed().get(name)


@functools.cache
def _aws_managed() -> dict[str, Any]:
    """Documents of AWS's managed policies by name; takes a third of a second to read."""
    from moto.iam.aws_managed_policies import aws_managed_policies_data

    found = json.loads(aws_managed_policies_data)
    return {name: policy["Document"] for name, policy in found.items()}
