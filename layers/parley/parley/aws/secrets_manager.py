"""The operation of Secrets Manager that Parley needs, under botocore's name for it."""

from __future__ import annotations

from typing import TypedDict

import msgspec

from parley.aws.failures import ConnectionLost
from parley.aws.service import CALLS, CallRules, JsonService


class Secret(TypedDict, total=False):
    """A secret's value.

    Attributes:
        SecretString: the text; missing in a binary secret.
    """

    SecretString: str


_decode_secret = msgspec.json.Decoder(Secret).decode


class SecretsManager:
    """Calls Secrets Manager. Safe to use from threads.

    Args:
        rules: how calls are made.
    """

    def __init__(self, rules: CallRules = CALLS) -> None:
        self._service = JsonService("secretsmanager", "secretsmanager", "1.1", rules)

    def get_secret_value(self, *, SecretId: str) -> Secret:
        """Return the current value of a secret.

        Args:
            SecretId: its name or ARN.

        Raises:
            ServiceError: it may not be read, or does not exist.
            CallFailed: there was no answer.
        """
        found = self._service.call("GetSecretValue", {"SecretId": SecretId})
        try:
            return _decode_secret(found)
        except msgspec.DecodeError:
            raise ConnectionLost("malformed answer") from None
