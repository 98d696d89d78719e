"""The secret that the deployment and the user's backend share, read from Secrets Manager.

It is kept for some minutes. A token that it does not fit may be the first after a rotation: then
it is read again, but for that reason not more than once a minute. While it cannot be read, what was
read last is good, for a day at most, and only now and then does somebody wait for another try.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from parley.auth.errors import Refused

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

MIN_BYTES = 32
"""A key of HS256 must be at least as long as its hash (RFC 7518, 3.2)."""
FRESH_S = 300.0
"""It is read again after so long."""
STALE_S = 24 * 3600.0
"""So long it is used if it cannot be read."""
RETRY_S = 5.0
"""After a read that failed, it is not even read for want of any for so long."""
MISFIT_S = 60.0
"""A token that it does not fit causes a read so often at most."""


def read_secret(client: SecretsManagerClient, arn: str) -> bytes:
    """The secret as it is now.

    Raises:
        Refused: `keys_unavailable`: it cannot be read, or is too short to protect anything.
    """
    try:
        secret = client.get_secret_value(SecretId=arn).get("SecretString", "").encode()
    except ClientError as error:
        raise Refused("keys_unavailable", error.response["Error"].get("Code", "")) from None
    except BotoCoreError as error:
        raise Refused("keys_unavailable", type(error).__name__) from None
    if len(secret) < MIN_BYTES:
        raise Refused("keys_unavailable", f"the secret has less than {MIN_BYTES} bytes")
    return secret


class SharedSecret:
    """The secret, kept.

    Args:
        read: reads it; raises `Refused`.
        clock: the time, in s.
    """

    def __init__(self, read: Callable[[], bytes], clock: Callable[[], float]) -> None:
        self._read = read
        self._clock = clock
        self._secret = b""
        self._read_at = self._failed_at = self._reread_at = -math.inf
        self._why = ""

    def candidates(self) -> Iterator[bytes]:
        """The secret; and, if the caller goes on asking, the one that may have replaced it.

        Raises:
            Refused: `keys_unavailable`: it has not been read for too long.
        """
        now = self._clock()
        fresh = now - self._read_at < FRESH_S
        if not fresh and now - self._failed_at >= RETRY_S:
            self._renew(now)
        if now - self._read_at >= STALE_S:
            raise Refused("keys_unavailable", self._why)
        yield self._secret
        if fresh and now - self._reread_at >= MISFIT_S:
            self._reread_at = now
            before = self._secret
            self._renew(now)
            if self._secret != before:
                yield self._secret

    def _renew(self, now: float) -> None:
        try:
            self._secret = self._read()
            self._read_at = now
        except Refused as refused:
            self._failed_at, self._why = now, refused.why
