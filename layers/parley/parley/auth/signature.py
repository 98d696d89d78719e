"""Verifies a token's signature, with a key and an algorithm that the token cannot choose."""

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

from parley.auth.errors import AccessDenied

_MALFORMED = (PyJWTError, ValueError, TypeError, RecursionError)
"""What the library raises for a malformed token: its own errors, and Python's for a header that is
nested deeply or has fields of wrong types."""


class Verifier(Protocol):
    """Verifies tokens."""

    def verify(self, token: str) -> bytes:
        """Return the claims of a genuine token, as JSON; raise `AccessDenied` for others."""


class FindKey(Protocol):
    """Finds an issuer's key by its id; see `parley.auth.jwks.KeySet.find_key`."""

    def __call__(self, kid: str | None) -> PyJWK:
        """Return the key; raise `AccessDenied` if there is none."""


class SharedSecretVerifier:
    """Verifies HS256 signatures with a secret that the issuer shares.

    Args:
        secrets: yields the secrets to try, the likeliest first; raises `AccessDenied`. The next is
            read only if the one before does not match.
    """

    def __init__(self, secrets: Callable[[], Iterable[bytes]]) -> None:
        self._secrets = secrets

    def verify(self, token: str) -> bytes:
        for secret in self._secrets():
            try:
                return _verify(token, secret, "HS256")
            except AccessDenied as denied:
                if denied.code != "bad_signature":
                    raise
        raise AccessDenied("bad_signature")


class IssuerVerifier:
    """Verifies RS256 or ES256 signatures, whichever the issuer's key is for."""

    def __init__(self, find: FindKey) -> None:
        self._find = find

    def verify(self, token: str) -> bytes:
        try:
            header = get_unverified_header(token)
        except _MALFORMED:
            raise AccessDenied("malformed") from None
        if header.get("alg") not in ("RS256", "ES256"):
            raise AccessDenied("wrong_algorithm")  # before the issuer is asked for keys
        kid = header.get("kid")
        key = self._find(kid if isinstance(kid, str) else None)
        return _verify(token, key, key.algorithm_name)


def _verify(token: str, key: PyJWK | bytes, algorithm: str) -> bytes:
    try:
        found = PyJWS().decode_complete(token, key, algorithms=[algorithm])
    except InvalidAlgorithmError:
        raise AccessDenied("wrong_algorithm") from None
    except InvalidSignatureError:
        raise AccessDenied("bad_signature") from None
    except _MALFORMED:
        raise AccessDenied("malformed") from None
    return bytes(found["payload"])
