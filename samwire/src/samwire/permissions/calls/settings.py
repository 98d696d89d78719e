"""What calls of Secrets Manager and of the SSM parameter store ask permission for."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from samwire.permissions.calls.access import Access
from samwire.permissions.calls.http import HttpCall
from samwire.permissions.patterns import Context

_SUFFIX = re.compile(r"-[A-Za-z0-9]{6}$")


def secret_suffix(name: str) -> str:
    """Return the six characters at the end of a secret's ARN; here they follow from its name."""
    return hashlib.sha256(name.encode()).hexdigest()[:6]


def secrets_manager(call: HttpCall) -> list[Access]:
    """Return the needs of Secrets Manager. The resource is the secret's whole ARN, however it was
    named."""
    members = call.members
    names = [members.get("SecretId") or members.get("Name") or ""]
    if call.operation == "BatchGetSecretValue":
        listed = [
            Access("secretsmanager:GetSecretValue", _secret_arn(call, str(name)))
            for name in members.get("SecretIdList") or ()
        ]
        return [Access("secretsmanager:BatchGetSecretValue", "*"), *listed]

    def keys() -> Context:
        given = {
            "secretsmanager:secretid": members.get("SecretId"),
            "secretsmanager:versionid": members.get("VersionId"),
            "secretsmanager:versionstage": members.get("VersionStage"),
        }
        return {name: (str(value),) for name, value in given.items() if value}

    action = f"secretsmanager:{call.operation}"
    return [Access(action, _secret_arn(call, str(name)) if name else "*", keys) for name in names]


def parameters(call: HttpCall) -> list[Access]:
    """Return the needs of the parameter store; other parts of SSM are asked for as a whole."""
    members, action = call.members, f"ssm:{call.operation}"
    names: list[Any] = members.get("Names") or []
    if call.operation == "GetParametersByPath":
        names = [members.get("Path", "/")]
    elif members.get("ResourceType") == "Parameter":
        names = [members.get("ResourceId", "")]
    elif "Parameter" in call.operation and members.get("Name"):
        names = [members["Name"]]

    def keys() -> Context:
        given = {"ssm:recursive": "Recursive", "ssm:overwrite": "Overwrite"}
        return {
            key: (str(members[name]).lower(),) for key, name in given.items() if name in members
        }

    if not names:
        return [Access(action, call.arn("ssm", "*"), keys)]
    return [Access(action, _parameter_arn(call, str(name)), keys) for name in names]


def _secret_arn(call: HttpCall, name: str) -> str:
    if not name.startswith("arn:"):
        return call.arn("secretsmanager", f"secret:{name}-{secret_suffix(name)}")
    head, _, given = name.rpartition(":secret:")
    bare = _SUFFIX.sub("", given)
    whole = bare != given and given == f"{bare}-{secret_suffix(bare)}"
    return name if whole else f"{head}:secret:{given}-{secret_suffix(given)}"


def _parameter_arn(call: HttpCall, name: str) -> str:
    if name.startswith("arn:"):
        return name
    bare = name.partition(":")[0]  # without a version or label
    return call.arn("ssm", f"parameter/{bare.removeprefix('/')}")
