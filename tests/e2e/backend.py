"""An app's backend, beside a deployment that shares a secret with it: it signs tokens."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import boto3

from samwire_tests.own_key import own_key
from tests.e2e.stack import Stack
from tests.unit.tokens import shared_token


def client_of(service: str, stack: Stack) -> Any:
    """A client of a service, as a backend has one."""
    endpoint = stack.info["lambda_endpoint" if service == "lambda" else "aws_endpoint"]
    return boto3.client(
        service,  # type: ignore[call-overload]  # the stubs want a literal
        endpoint_url=endpoint,
        region_name="us-east-1",
        **own_key(stack.info),
    )


@cache
def secret_of(stack: Stack) -> str:
    """The secret that the deployment shares with its backend."""
    manager = client_of("secretsmanager", stack)
    (name,) = [
        each["Name"] for each in manager.list_secrets()["SecretList"] if "Token" in each["Name"]
    ]
    return str(manager.get_secret_value(SecretId=name)["SecretString"])


def claims(subject: str, **changes: Any) -> dict[str, Any]:
    """What a good token claims, but for the changes."""
    return {"sub": subject, "exp": int(time.time()) + 60, **changes}


def token_for(stack: Stack, subject: str, **changes: Any) -> str:
    """A token that the app's backend has signed."""
    return shared_token(claims(subject, **changes), secret_of(stack))
