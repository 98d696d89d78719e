"""An issuer's keys: kept for some minutes, fetched again when need be, but not whenever asked.

Anybody can name an unknown key, so that alone may not cause a request to the issuer more than
once a minute. An issuer that does not answer, or with no key that can be used, costs nobody
anything while its last keys are good.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from jwt import PyJWK, PyJWTError

from parley.auth.errors import Refused

FRESH_S = 600.0
"""Keys are fetched again after so long."""
STALE_S = 24 * 3600.0
"""So long they are used if the issuer cannot be reached."""
RETRY_S = 5.0
"""After a fetch that failed, not even a missing key set is fetched for so long."""
UNKNOWN_KEY_S = 60.0
"""An unknown key id causes a fetch so often at most."""
MIN_RSA_BITS = 2048

Fetch = Callable[[], list[Mapping[str, Any]]]
"""Fetches the keys, each a JWK (RFC 7517); raises `CannotFetch`."""


class CannotFetch(Exception):
    """The issuer's keys cannot be had; says why, without secrets."""


class KeySet:
    """The keys of one issuer.

    Args:
        fetch: asks the issuer.
        clock: the time, in s.
    """

    def __init__(self, fetch: Fetch, clock: Callable[[], float]) -> None:
        self._fetch = fetch
        self._clock = clock
        self._keys: list[PyJWK] = []
        self._fetched_at = self._failed_at = self._asked_again_at = -math.inf
        self._why = ""

    def find(self, kid: str | None) -> PyJWK:
        """The key with this id; without an id the only one there is.

        Raises:
            Refused: `unknown_key`, or `keys_unavailable` if that cannot be told.
        """
        now = self._clock()
        if now - self._fetched_at >= FRESH_S and now - self._failed_at >= RETRY_S:
            self._renew(now)
        if now - self._fetched_at >= STALE_S:
            raise Refused("keys_unavailable", self._why)
        key = self._pick(kid)
        if key is None and now - self._asked_again_at >= UNKNOWN_KEY_S:
            self._asked_again_at = now
            self._renew(now)
            key = self._pick(kid)
        if key is None:
            raise Refused("unknown_key")
        return key

    def _renew(self, now: float) -> None:
        try:
            keys = usable_keys(self._fetch())
            if not keys:
                raise CannotFetch("the key set has no key that can be used")
            self._keys, self._fetched_at = keys, now
        except CannotFetch as problem:
            self._failed_at, self._why = now, str(problem)

    def _pick(self, kid: str | None) -> PyJWK | None:
        if kid is None:
            return self._keys[0] if len(self._keys) == 1 else None
        return next((key for key in self._keys if key.key_id == kid), None)


def usable_keys(jwks: list[Mapping[str, Any]]) -> list[PyJWK]:
    """The keys that sign with RS256 or ES256; what else an issuer publishes is left out."""
    return [key for jwk in jwks if (key := _usable(jwk)) is not None]


def _usable(jwk: Mapping[str, Any]) -> PyJWK | None:
    algorithm = {"RSA": "RS256", "EC": "ES256"}.get(str(jwk.get("kty")))
    foreign = jwk.get("use", "sig") != "sig" or jwk.get("alg", algorithm) != algorithm
    if algorithm is None or foreign or (algorithm == "ES256" and jwk.get("crv") != "P-256"):
        return None
    try:
        key = PyJWK(dict(jwk), algorithm)
    except (PyJWTError, ValueError, TypeError):
        return None
    too_short = algorithm == "RS256" and key.key.key_size < MIN_RSA_BITS
    return None if too_short else key
