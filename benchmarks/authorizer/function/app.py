"""The authenticator as a Lambda authorizer: the same decision, an invocation earlier."""

from __future__ import annotations

from typing import Any

from parley.auth.authenticator import Authenticator
from parley.auth.errors import AccessDenied

authenticator = Authenticator.from_environment()


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answers with a policy for the handshake."""
    try:
        principal = authenticator.authenticate_handshake(event).identity.principal
    except AccessDenied:
        raise Exception("Unauthorized") from None  # what API Gateway answers with 401
    statement = {
        "Effect": "Allow",
        "Action": "execute-api:Invoke",
        "Resource": event["methodArn"],
    }
    return {
        "principalId": principal.subject,
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": {"tenant": principal.tenant, "subject": principal.subject},
    }
