"""Roles of a template and the policies that they have: their own, attached and managed ones.

Reads `AWS::IAM::Role`, `Policy`, `RolePolicy` and `ManagedPolicy`. AWS's managed policies
are those that moto carries; whatever else is named is said, and grants nothing.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from typing import Any

from samwire.permissions.identities import Role
from samwire.permissions.policies import PolicyError, parsed_policy
from samwire.template.api_parts import from_json
from samwire.template.intrinsics import PARTITION, TemplateError
from samwire.template.problems import Problem, TemplateProblems
from samwire.template.resolved import Resolved

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

_PATHS = {"AWSLambdaBasicExecutionRole": "service-role/"}
"""Of those, where it is not empty."""
_AWS_POLICIES = f"arn:{PARTITION}:iam::aws:policy/"
_BOUNDARY = ("permissions boundary", "limits")
_PAGE = 'AWS, "AWS Managed Policy Reference"'


class RoleReader:
    """Reads the roles of one template."""

    def __init__(self, template: Resolved) -> None:
        self._of = template.of
        self._ref = template.ref
        self._name = template.name
        self._notice = template.notice

    def roles(self) -> dict[str, Role]:
        """Return what each role may do, by its name.

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
            document = self._checked(f"{logical_id}: {name}", policy.get("PolicyDocument"))
            policies[f"{name} ({place})" if name in policies else name] = document
        for reference in properties.get("ManagedPolicyArns") or []:
            document = self._managed(logical_id, str(reference), managed)
            if document is not None:
                policies[str(reference)] = document
        for kind, name, document in self._attached(self._name(logical_id)):
            policies[f"{name} ({kind})" if name in policies else name] = document
        boundary = properties.get("PermissionsBoundary")
        limit = self._managed(logical_id, str(boundary), managed, _BOUNDARY) if boundary else None
        return Role(policies, limit)

    def _attached(self, role: str) -> Iterable[tuple[str, str, Any]]:
        """Return policies that name the role, rather than the role them."""
        for kind in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy"):
            for logical_id, properties in self._of(kind).items():
                if role in (properties.get("Roles") or [properties.get("RoleName")]):
                    document = properties.get("PolicyDocument")
                    yield kind, logical_id, self._checked(logical_id, document)

    def _managed(
        self,
        role: str,
        reference: str,
        own: Mapping[str, Any],
        what: tuple[str, str] = ("managed policy", "grants"),
    ) -> Any:
        """Return the document of a managed policy; None, and a notice, for one that is not known.

        Raises:
            TemplateError: it is one of AWS's, under another path.
        """
        if reference in own:
            return own[reference]
        by_name = ":" not in reference  # SAM takes names alone
        name = reference.rpartition("/")[2]
        theirs = by_name or reference.startswith(_AWS_POLICIES)
        document = managed_policy(name) if theirs else None
        if document is None:
            kind, does = what
            self._notice(f"{role}: the {kind} {reference} is not known here; it {does} nothing.")
            return None
        right = f"{_AWS_POLICIES}{aws_path(name)}{name}"
        if not by_name and reference != right:
            raise TemplateProblems(
                [Problem(role, f"there is no managed policy {reference}; it is {right}.", _PAGE)]
            )
        return self._checked(f"{role}: {name}", document)

    def _checked(self, where: str, document: Any) -> Any:
        if isinstance(document, str):  # the schema takes JSON in text too
            document = from_json(where, "its policy", document)
        document = json.loads(json.dumps(document, default=str))  # YAML reads Version as a date
        try:
            policy = parsed_policy(document)
        except PolicyError as error:
            raise TemplateError(f"{where}: {error}") from None
        for notice in policy.notices:
            self._notice(f"{where}: {notice}")
        return document


def managed_policy(name: str) -> dict[str, Any] | None:
    """Return the document of one of AWS's managed policies; None for one that is not known."""
    return _OFTEN.get(name) or (_aws_managed().get(name) or {}).get("Document")


def aws_path(name: str) -> str:
    """Return what stands before the name of one of AWS's policies in its ARN: `service-role/`."""
    if name in _OFTEN:
        return _PATHS.get(name, "")
    return str(_aws_managed()[name].get("Path", "/")).removeprefix("/")


@functools.cache
def _aws_managed() -> dict[str, Any]:
    """Return AWS's managed policies by name; takes a third of a second to read."""
    from moto.iam.aws_managed_policies import aws_managed_policies_data

    return dict(json.loads(aws_managed_policies_data))
