"""Keys and tokens for tests: real ones, and such as an attacker makes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SECRET = "a-shared-secret-of-more-than-32-bytes"


@dataclass(frozen=True)
class SigningKey:
    """An issuer's key pair.

    Attributes:
        algorithm: RS256 or ES256.
    """

    kid: str
    algorithm: str = "RS256"
    bits: int = 2048
    private: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        made: Any = (
            rsa.generate_private_key(65537, self.bits)
            if self.algorithm == "RS256"
            else ec.generate_private_key(ec.SECP256R1())
        )
        object.__setattr__(self, "private", made)

    @property
    def jwk(self) -> dict[str, Any]:
        """The public key, as an issuer publishes it."""
        kinds: dict[str, Any] = {
            "RS256": jwt.algorithms.RSAAlgorithm,
            "ES256": jwt.algorithms.ECAlgorithm,
        }
        public = kinds[self.algorithm].to_jwk(self.private.public_key(), as_dict=True)
        return {**public, "kid": self.kid, "use": "sig", "alg": self.algorithm}

    @property
    def pem(self) -> bytes:
        """The public key, as anybody can have it."""
        public: bytes = self.private.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        return public

    def token(self, claims: dict[str, Any], **header: Any) -> str:
        """A token that this key signs; `kid` may be overridden, None leaves it out."""
        headers = {"kid": self.kid, **header}
        headers = {name: value for name, value in headers.items() if value is not None}
        return jwt.encode(claims, self.private, algorithm=self.algorithm, headers=headers)


def shared_token(claims: dict[str, Any], secret: str = SECRET) -> str:
    """A token that a shared secret signs."""
    return jwt.encode(claims, secret, algorithm="HS256")


def unsigned_token(claims: dict[str, Any], algorithm: str = "none") -> str:
    """A token that nobody has signed."""
    return f"{_part({'alg': algorithm, 'typ': 'JWT'})}.{_part(claims)}."


def confused_token(claims: dict[str, Any], pem: bytes, kid: str) -> str:
    """A token that takes an issuer's public key for a shared secret; made by hand, since the
    library refuses to."""
    signed = f"{_part({'alg': 'HS256', 'typ': 'JWT', 'kid': kid})}.{_part(claims)}"
    digest = hmac.new(pem, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{_encoded(digest)}"


def _part(value: dict[str, Any]) -> str:
    return _encoded(json.dumps(value).encode())


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
