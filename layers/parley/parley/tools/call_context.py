"""What a tool is told of a call besides its arguments."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from parley.clock import now_ms
from parley.tools.tool import Invocation, ToolFailed

KEY_CHARS = 32
"""128 bits: no two calls have the same key."""


def outside_key(key: str) -> str:
    """Return a call's idempotency key, as the world outside is told it.

    It is a hash, because the key itself has the session's id in it, which nobody is told, and full
    stops, which would let one signed content be read as another.
    At most 37 characters of a-z, 0-9 and '_'.
    """
    return f"call_{hashlib.sha256(key.encode()).hexdigest()[:KEY_CHARS]}"


def call_context(tool: str, invocation: Invocation) -> dict[str, str]:
    """Return what a tool is told of a call. Every value is text: SDKs take no other."""
    metadata = json.dumps(dict(invocation.metadata)) if invocation.metadata else ""
    context = {
        "tool": tool,
        "key": outside_key(invocation.key),
        "session": invocation.session,
        "turn_id": invocation.turn_id,
        "attempt": str(invocation.attempt),
        "deadline_ms": str(now_ms() + round(invocation.timeout_s * 1000)),
        "language": invocation.language,
        "metadata": metadata,
    }
    return {name: value for name, value in context.items() if value}


def encode_arguments(arguments: Mapping[str, Any]) -> bytes:
    """Return arguments as JSON.

    Raises:
        ToolFailed: one is no number that JSON has.
    """
    try:
        return json.dumps(dict(arguments), allow_nan=False).encode()
    except ValueError:
        told = "An argument is not a number."
        raise ToolFailed("refused", acted=False, told=told) from None


def encode_within(limit: int, context: Mapping[str, str], under: str = "") -> str:
    """Return a context as base64 of JSON, without its `metadata` if that does not fit.

    Args:
        limit: in characters.
        under: the name of the field that it is; empty if it is the whole object.
    """
    text = _encode({under: context} if under else context)
    if len(text) <= limit or "metadata" not in context:
        return text
    shorter = {name: value for name, value in context.items() if name != "metadata"}
    return encode_within(limit, shorter, under)


def _encode(value: Any) -> str:
    return base64.b64encode(json.dumps(value, separators=(",", ":")).encode()).decode()
