"""Identifiers and resume tokens.

Randomness comes from the operating system each time, so environments that are restored from one
snapshot never share any.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_ulid(now_ms: int | None = None) -> str:
    """Return a ULID: 26 characters, sortable by creation time (github.com/ulid/spec)."""
    milliseconds = int(time.time() * 1000) if now_ms is None else now_ms
    value = (milliseconds << 80) | int.from_bytes(os.urandom(10), "big")
    return "".join(_CROCKFORD[(value >> shift) & 31] for shift in range(125, -1, -5))


def ulid_ms(ulid: str) -> int | None:
    """Return when a ULID was made, in ms since the epoch; None if it is none."""
    if len(ulid) != 26 or not set(ulid) <= set(_CROCKFORD):
        return None
    milliseconds = 0
    for character in ulid[:10]:
        milliseconds = milliseconds * 32 + _CROCKFORD.index(character)
    return milliseconds


def new_resume_token() -> str:
    """Return a URL-safe token of 256 random bits."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> str:
    """Return what is stored of a resume token: its SHA-256.

    The token has full entropy, so there is nothing to guess that salt or stretching would slow.
    """
    return hashlib.sha256(token.encode()).hexdigest()


def token_matches(token: str, stored_hash: str) -> bool:
    """Compare a token with a stored hash, in constant time."""
    return hmac.compare_digest(token_hash(token), stored_hash)
