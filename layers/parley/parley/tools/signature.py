"""Signatures of requests, as Standard Webhooks 1.0.0 has them.

Source: github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

PREFIX = "whsec_"
MIN_KEY_BYTES, MAX_KEY_BYTES = 24, 64
"""Of the specification: 192 to 512 bits."""


class BadSecret(Exception):
    """A secret is not of the form that the specification gives it."""


def read_key(secret: str) -> bytes:
    """Return the key that a secret stands for.

    The prefix is required. Receivers' libraries decode a secret without it as base64 too, and
    others take it as it is: a signature would fit at the one and not at the other.

    Raises:
        BadSecret: it is not `whsec_` and base64 of 24 to 64 bytes.
    """
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not (secret.startswith(PREFIX) and MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES):
        raise BadSecret("it must be whsec_ and base64 of 24 to 64 random bytes")
    return key


def sign(key: bytes, message_id: str, timestamp_s: int, body: bytes) -> str:
    """Return the value of the header `webhook-signature`.

    Args:
        message_id: without a full stop: it separates what is signed.
    """
    assert "." not in message_id
    return _sign(key, f"{message_id}.{timestamp_s}.".encode() + body)


def sign_context(key: bytes, message_id: str, timestamp_s: int, context: str) -> str:
    """Return the signature of what a request's context header has.

    `webhook-signature` covers the body alone. The first part keeps it from being one of those: an
    id is never `context`.
    """
    return _sign(key, f"context.{message_id}.{timestamp_s}.{context}".encode())


def _sign(key: bytes, content: bytes) -> str:
    return f"v1,{base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()}"
