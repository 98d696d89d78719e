"""The request to a webhook: which headers it has, and what of an answer is a result."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from typing import Any

from parley.tools.answers import answer_of
from parley.tools.call_context import call_context, encode_within, outside_key
from parley.tools.signature import sign, sign_context
from parley.tools.tool import Answer, FailureReason, Invocation, ToolFailed

CONTEXT_HEADER = "X-Parley-Context"
CONTEXT_SIGNATURE_HEADER = "X-Parley-Context-Signature"
MAX_CONTEXT_CHARS = 4_000
"""Many servers take 8 KB of headers."""
MAX_TOLD_CHARS = 500
"""How much of a refusal the model is told."""

_VALUE = re.compile(r"[\x20-\x7e]*")
"""RFC 9110, 5.5: nothing that could end a header."""
_REASONS: dict[int, FailureReason] = {
    404: "not_found",
    408: "timeout",
    410: "not_found",
    413: "too_large",
    429: "unavailable",
}
_MAY_HAVE_ACTED = (408,)
_UNTOLD = (401, 403, 407)
"""What they say is about credentials, and for the deployer."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A webhook's answer."""

    status: int
    content_type: str
    body: bytes


def is_header_value(value: Any) -> bool:
    """Return whether a header may have a value."""
    return isinstance(value, str) and _VALUE.fullmatch(value) is not None


def make_headers(
    tool: str, invocation: Invocation, body: bytes, key: bytes | None
) -> dict[str, str]:
    """Return the headers of one request about a call; they differ from attempt to attempt.

    Args:
        key: signs; None where a bearer token takes the place of signatures.
    """
    message_id, timestamp_s = outside_key(invocation.key), int(time.time())
    context = encode_within(MAX_CONTEXT_CHARS, call_context(tool, invocation))
    headers = {
        "User-Agent": "parley",
        "Accept": "application/json, text/plain;q=0.9, */*;q=0.1",
        "Accept-Encoding": "identity",
        "Idempotency-Key": message_id,
        CONTEXT_HEADER: context,
    }
    if key is None:
        return headers
    return headers | {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": sign(key, message_id, timestamp_s, body),
        CONTEXT_SIGNATURE_HEADER: sign_context(key, message_id, timestamp_s, context),
    }


def read_reply(reply: Reply) -> Answer:
    """Return the result that an answer has: its JSON, or its text.

    Raises:
        ToolFailed: it has none. A 4xx says that nothing was done.
    """
    if 200 <= reply.status < 300:
        return answer_of(_value_of(reply))
    if 400 <= reply.status < 500:
        raise ToolFailed(
            _REASONS.get(reply.status, "refused"),
            acted=reply.status in _MAY_HAVE_ACTED,
            told="" if reply.status in _UNTOLD else _told(reply.body),
        )
    raise ToolFailed("unavailable", acted=True)


def _value_of(reply: Reply) -> Any:
    if not reply.body.strip():
        return ""
    media_type = reply.content_type.partition(";")[0].strip().lower()
    try:
        text = reply.body.decode()
        if media_type == "application/json" or media_type.endswith("+json"):
            return json.loads(text)
    except (ValueError, RecursionError):
        cause = {"cause": "unreadable_answer"}
        raise ToolFailed("unavailable", acted=True, log_fields=cause) from None
    return text


def _told(body: bytes) -> str:
    return " ".join(body.decode(errors="replace").split())[:MAX_TOLD_CHARS]
