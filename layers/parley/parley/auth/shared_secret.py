"""Caches the secret that the deployment and the user's backend share, from Secrets Manager.

A token whose signature does not match may be the first after a rotation. Then the secret is read
again, for that reason at most once a minute. While it cannot be read, the last one stays in use,
for a day at most.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from parley.auth.errors import AccessDenied
from parley.aws.failures import CallFailed, ServiceError
from parley.aws.secrets_manager import SecretsManager

MIN_BYTES = 32
"""An HS256 key must be at least as long as its hash (RFC 7518, 3.2)."""
FRESH_S = 300.0
"""How long the secret is used before it is read again."""
STALE_S = 24 * 3600.0
"""How long the secret is used while it cannot be read."""
RETRY_S = 5.0
"""How long after a failed read no other is tried, even without any secret."""
MISMATCH_S = 60.0
"""How long after a mismatch caused a read no other mismatch does."""


def read_secret(client: SecretsManager, arn: str) -> bytes:
    """Read the secret.

    Raises:
        AccessDenied: `keys_unavailable`: it cannot be read, or is too short.
    """
    try:
        secret = client.get_secret_value(SecretId=arn).get("SecretString", "").encode()
    except ServiceError as error:
        raise AccessDenied("keys_unavailable", error.code) from None
    except CallFailed as error:
        raise AccessDenied("keys_unavailable", type(error).__name__) from None
    if len(secret) < MIN_BYTES:
        raise AccessDenied("keys_unavailable", f"the secret has less than {MIN_BYTES} bytes")
    return secret


class SharedSecret:
    """The shared secret, cached.

    Args:
        read: reads the secret; raises `AccessDenied`.
        clock: returns the time, in s.
    """

    def __init__(self, read: Callable[[], bytes], clock: Callable[[], float]) -> None:
        self._read = read
        self._clock = clock
        self._secret = b""
        self._read_at = self._failed_at = self._reread_at = -math.inf
        self._why = ""

    def find_candidates(self) -> Iterator[bytes]:
        """Yield the secret; then, if the caller goes on, the one that has replaced it.

        Raises:
            AccessDenied: `keys_unavailable`: the last read is too long ago.
        """
        now = self._clock()
        fresh = now - self._read_at < FRESH_S
        if not fresh and now - self._failed_at >= RETRY_S:
            self._read_again(now)
        if now - self._read_at >= STALE_S:
            raise AccessDenied("keys_unavailable", self._why)
        yield self._secret
        if fresh and now - self._reread_at >= MISMATCH_S:
            self._reread_at = now
            before = self._secret
            self._read_again(now)
            if self._secret != before:
                yield self._secret

    def _read_again(self, now: float) -> None:
        try:
            self._secret = self._read()
            self._read_at = now
        except AccessDenied as denied:
            self._failed_at, self._why = now, denied.why
