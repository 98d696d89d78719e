"""What Lambda refuses of a function: limits, variables, names and the role that it runs as."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from samwire.template.intrinsics import ACCOUNT_ID, PARTITION
from samwire.template.problems import Problem
from samwire.template.resolved import Resolved

RESERVED = frozenset(
    {
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
    }
)
"""Variables that Lambda sets itself ("Defined runtime environment variables")."""
MAX_ENVIRONMENT_BYTES = 4096
"""Of a function's variables, names and values ("Lambda quotas")."""

_QUOTAS = 'AWS, "Lambda quotas"'
_VARIABLES = 'AWS, "Working with Lambda environment variables"'
_LIMITS = (
    (("MemorySize",), 128, 10_240, "MB"),
    (("Timeout",), 1, 900, "seconds"),
    (("EphemeralStorage", "Size"), 512, 10_240, "MB"),
)
_VARIABLE = re.compile(r"[A-Za-z][A-Za-z0-9_]+")
_LAMBDA = "lambda.amazonaws.com"
_ASSUME = ("sts:assumerole", "sts:*", "*")


def function_problems(template: Resolved) -> Iterator[Problem]:
    """Yield what is wrong with the functions of a template."""
    functions = template.of("AWS::Lambda::Function")
    trusting = {
        logical_id: _trusts_lambda(properties.get("AssumeRolePolicyDocument"))
        for logical_id, properties in template.of("AWS::IAM::Role").items()
    }
    roles = {template.name(logical_id): logical_id for logical_id in trusting}
    for logical_id, properties in functions.items():
        yield from _limits(logical_id, properties)
        yield from _variables(logical_id, properties)
        yield from _package(logical_id, properties)
        account, _, named = str(properties.get("Role", "")).partition(":role/")
        here = account == f"arn:{PARTITION}:iam::{ACCOUNT_ID}"
        role = roles.get(named.rpartition("/")[2]) if here else None
        if role is not None and not trusting[role]:
            yield Problem(
                logical_id,
                f"Lambda may not assume its role {role}, whose AssumeRolePolicyDocument does not "
                f"allow {_LAMBDA} sts:AssumeRole.",
                'AWS, "Defining Lambda function permissions with an execution role"',
                ("Role",),
            )


def _limits(logical_id: str, properties: Mapping[str, Any]) -> Iterator[Problem]:
    for path, least, most, unit in _LIMITS:
        value: Any = properties
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        try:
            number = float(str(value))
        except ValueError:
            continue
        if not least <= number <= most:
            sentence = f"{'.'.join(path)} must be {least} to {most} {unit}, not {value}."
            yield Problem(logical_id, sentence, _QUOTAS, path)


def _variables(logical_id: str, properties: Mapping[str, Any]) -> Iterator[Problem]:
    environment = properties.get("Environment")
    variables = environment.get("Variables") if isinstance(environment, Mapping) else None
    if not isinstance(variables, Mapping):
        return
    size = 0
    for name, value in variables.items():
        size += len(name.encode()) + len(str(value).encode("utf-8", "surrogatepass"))
        path = ("Environment", "Variables", name)
        if isinstance(value, (list, Mapping)):
            what = "list" if isinstance(value, list) else "map"
            sentence = f"the variable {name} must be a text, not a {what}; Fn::Join makes one."
            yield Problem(logical_id, sentence, _VARIABLES, path)
        if name in RESERVED:
            sentence = f"the variable {name} is reserved: Lambda sets it itself."
            yield Problem(
                logical_id, sentence, 'AWS, "Defined runtime environment variables"', path
            )
        elif not _VARIABLE.fullmatch(name):
            yield Problem(
                logical_id,
                f"the variable {name} must have at least two characters: a letter, then letters, "
                "digits and _.",
                _VARIABLES,
                path,
            )
    if size > MAX_ENVIRONMENT_BYTES:
        yield Problem(
            logical_id,
            f"its variables have {size:,} bytes; Lambda takes at most "
            f"{MAX_ENVIRONMENT_BYTES:,}, names and values together.",
            _QUOTAS,
            ("Environment", "Variables"),
        )


def _package(logical_id: str, properties: Mapping[str, Any]) -> Iterator[Problem]:
    if properties.get("PackageType") == "Image":
        return
    for name in ("Handler", "Runtime"):
        if properties.get(name) in (None, ""):
            sentence = f"{name} is missing; a function that is no container image needs one."
            yield Problem(logical_id, sentence, 'AWS, "AWS::Lambda::Function"', ("Properties",))


def _trusts_lambda(document: Any) -> bool:
    if isinstance(document, str):  # the schema takes JSON in text too
        try:
            document = json.loads(document)
        except ValueError:
            return False
    statements = document.get("Statement") if isinstance(document, Mapping) else None
    listed = statements if isinstance(statements, list) else [statements]
    return any(_lets_lambda_in(each) for each in listed if isinstance(each, Mapping))


def _lets_lambda_in(statement: Mapping[str, Any]) -> bool:
    principal = statement.get("Principal")
    services = principal.get("Service") if isinstance(principal, Mapping) else principal
    actions = [action.lower() for action in _texts(statement.get("Action"))]
    return (
        statement.get("Effect") == "Allow"
        and any(action in _ASSUME for action in actions)
        and any(service in (_LAMBDA, "*") for service in _texts(services))
    )


def _texts(value: Any) -> list[str]:
    return [str(each) for each in (value if isinstance(value, list) else [value])]
