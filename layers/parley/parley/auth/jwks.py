"""Caches an issuer's keys.

Anybody can name an unknown key, so an unknown key causes at most one request to the issuer in a
minute. While the issuer does not answer, or has no usable key, its last keys stay in use.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from jwt import PyJWK, PyJWTError

from parley.auth.errors import AccessDenied

FRESH_S = 600.0
"""How long keys are used before they are fetched again."""
STALE_S = 24 * 3600.0
"""How long keys are used while the issuer cannot be reached."""
RETRY_S = 5.0
"""How long after a failed fetch no other is tried, even without any keys."""
UNKNOWN_KEY_S = 60.0
"""How long after an unknown key caused a fetch no other unknown key does."""
MIN_RSA_BITS = 2048

Fetch = Callable[[], list[Mapping[str, Any]]]
"""Fetches the keys, each a JWK (RFC 7517). Raises `KeysUnavailable`."""


class KeysUnavailable(Exception):
    """The issuer's keys cannot be fetched; the text says why, without secrets."""


class KeySet:
    """The keys of one issuer.

    Args:
        fetch: fetches the issuer's keys.
        clock: returns the time, in s.
    """

    def __init__(self, fetch: Fetch, clock: Callable[[], float]) -> None:
        self._fetch = fetch
        self._clock = clock
        self._keys: list[PyJWK] = []
        self._fetched_at = self._failed_at = self._asked_again_at = -math.inf
        self._why = ""

    def find_key(self, kid: str | None) -> PyJWK:
        """Find the key with this id; without an id, the only key there is.

        Raises:
            AccessDenied: `unknown_key`, or `keys_unavailable` without any keys.
        """
        now = self._clock()
        if now - self._fetched_at >= FRESH_S and now - self._failed_at >= RETRY_S:
            self._fetch_keys(now)
        if now - self._fetched_at >= STALE_S:
            raise AccessDenied("keys_unavailable", self._why)
        key = self._find_kept(kid)
        if key is None and now - self._asked_again_at >= UNKNOWN_KEY_S:
            self._asked_again_at = now
            self._fetch_keys(now)
            key = self._find_kept(kid)
        if key is None:
            raise AccessDenied("unknown_key")
        return key

    def _fetch_keys(self, now: float) -> None:
        try:
            keys = read_keys(self._fetch())
            if not keys:
                raise KeysUnavailable("the key set has no key that can be used")
            self._keys, self._fetched_at = keys, now
        except KeysUnavailable as problem:
            self._failed_at, self._why = now, str(problem)

    def _find_kept(self, kid: str | None) -> PyJWK | None:
        if kid is None:
            return self._keys[0] if len(self._keys) == 1 else None
        return next((key for key in self._keys if key.key_id == kid), None)


def read_keys(jwks: list[Mapping[str, Any]]) -> list[PyJWK]:
    """Return the keys that sign with RS256 or ES256. Leave out what else an issuer publishes."""
    return [key for jwk in jwks if (key := _read_key(jwk)) is not None]


def _read_key(jwk: Mapping[str, Any]) -> PyJWK | None:
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
