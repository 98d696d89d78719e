"""Makes a token for a user, for a backend that may invoke this function.

There is no route to it: IAM's `lambda:InvokeFunction` says who may ask. Created only where
tokens are signed with the shared secret.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from parley.auth.config import AccessRules
from parley.auth.errors import Refused
from parley.auth.shared_secret import read_secret
from parley.auth.token_issuer import BadRequest, TokenRequest, mint
from parley.aws import clients

logger = Logger()
rules = AccessRules.from_environment()
secrets = clients.secrets_manager()


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answers `{"subject", "tenant"?, "ttl_s"?}` with `{"token", "expires_at"}`.

    Raises:
        BadRequest: the event is none; the invocation fails with a sentence that says why.
        RuntimeError: the secret cannot be read.
    """
    try:
        request = msgspec.convert(event, TokenRequest)
    except msgspec.ValidationError as invalid:
        raise BadRequest(f"{invalid}.") from None
    try:
        secret = read_secret(secrets, rules.secret_arn)
    except Refused as refused:
        logger.error("secret_unavailable", why=refused.why)
        raise RuntimeError("The secret cannot be read. The log says why.") from None
    made = mint(request, secret, rules.claims, time.time())
    logger.info("token_made", expires_at=made["expires_at"])
    return made
