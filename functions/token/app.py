"""Issues a token for a user, to a backend that may invoke this function.

No route leads here: IAM's `lambda:InvokeFunction` says who may ask. The function exists only where
tokens are signed with the shared secret.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from parley.auth.config import AccessRules
from parley.auth.errors import AccessDenied
from parley.auth.shared_secret import read_secret
from parley.auth.token_issuer import BadRequest, TokenRequest, issue_token
from parley.aws.secrets_manager import SecretsManager

logger = Logger()
rules = AccessRules.from_environment()
secrets = SecretsManager()


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer `{"subject", "tenant"?, "ttl_s"?, "settings"?, "agent"?, "backend"?}` with a
    token.

    Returns:
        `{"token", "expires_at"}`.

    Raises:
        BadRequest: the event is invalid; the sentence names the field and what is allowed.
        RuntimeError: the secret cannot be read.
    """
    try:
        request = msgspec.convert(event, TokenRequest)
    except msgspec.ValidationError as invalid:
        raise BadRequest(f"{invalid}.") from None
    try:
        secret = read_secret(secrets, rules.secret_arn)
    except AccessDenied as denied:
        logger.error("secret_unavailable", why=denied.why)
        raise RuntimeError("The secret cannot be read. The log says why.") from None
    issued = issue_token(request, secret, rules.claims, time.time())
    logger.info("token_made", expires_at=issued["expires_at"])
    return issued
