"""Checks that a token is its issuer's, with a key and an algorithm that the token cannot choose."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from jwt import (
    InvalidAlgorithmError,
    InvalidSignatureError,
    PyJWK,
    PyJWS,
    PyJWTError,
    get_unverified_header,
)

from parley.auth.errors import Refused

_MALFORMED = (PyJWTError, ValueError, TypeError, RecursionError)
"""What a token that is none makes the library raise: its own errors and, for headers that are
nested deeply or hold what no header should, Python's."""


class Verifier(Protocol):
    """Tells genuine tokens from others."""

    def payload(self, token: str) -> bytes:
        """The claims of a genuine token, as JSON; raises `Refused` for others."""


class FindKey(Protocol):
    """Finds an issuer's key by its id; see `parley.auth.jwks.KeySet.find`."""

    def __call__(self, kid: str | None) -> PyJWK:
        """Raises `Refused` if there is no such key."""


class SharedSecretVerifier:
    """HS256 with a secret that the issuer shares.

    Args:
        secrets: gives the secrets to try, the likeliest first; raises `Refused`. What it reads
            only when it is asked for the next costs nothing while the first fits.
    """

    def __init__(self, secrets: Callable[[], Iterable[bytes]]) -> None:
        self._secrets = secrets

    def payload(self, token: str) -> bytes:
        for secret in self._secrets():
            try:
                return _verified(token, secret, "HS256")
            except Refused as refused:
                if refused.code != "bad_signature":
                    raise
        raise Refused("bad_signature")


class IssuerVerifier:
    """RS256 or ES256, whichever the issuer's key is for."""

    def __init__(self, find: FindKey) -> None:
        self._find = find

    def payload(self, token: str) -> bytes:
        try:
            header = get_unverified_header(token)
        except _MALFORMED:
            raise Refused("malformed") from None
        if header.get("alg") not in ("RS256", "ES256"):
            raise Refused("wrong_algorithm")  # before an issuer is asked for keys in vain
        kid = header.get("kid")
        key = self._find(kid if isinstance(kid, str) else None)
        return _verified(token, key, key.algorithm_name)


def _verified(token: str, key: PyJWK | bytes, algorithm: str) -> bytes:
    try:
        found = PyJWS().decode_complete(token, key, algorithms=[algorithm])
    except InvalidAlgorithmError:
        raise Refused("wrong_algorithm") from None
    except InvalidSignatureError:
        raise Refused("bad_signature") from None
    except _MALFORMED:
        raise Refused("malformed") from None
    return bytes(found["payload"])
