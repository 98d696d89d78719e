"""What n8n means by a status that is no success."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from parley.errors import FailureKind, ProviderError
from parley.providers.diagnosis import Diagnosis

_SAID: tuple[tuple[str, str, FailureKind], ...] = (
    ("did you mean to make a", "wrong_method", "refused"),
    ("is not registered", "not_registered", "refused"),
    ("ip is not whitelisted", "address", "refused"),
    ("no authentication data defined on node", "no_credential", "refused"),
    ("error in workflow", "workflow_failed", "unavailable"),
    ("there was a problem executing the workflow", "workflow_failed", "unavailable"),
    ("the execution was cancelled", "workflow_failed", "unavailable"),
    ("could not be started", "not_started", "refused"),
    ("respond to webhook node", "not_started", "refused"),
    ("did not answer in time", "timeout", "timeout"),
)
"""What n8n's own errors say in small letters, and what it means. The order counts."""
_BY_STATUS: dict[int, tuple[str, FailureKind]] = {
    401: ("key", "unauthorized"),
    403: ("key", "unauthorized"),
    404: ("not_found", "refused"),
    405: ("wrong_method", "refused"),
    428: ("no_account", "refused"),
    504: ("timeout", "timeout"),
    524: ("timeout", "timeout"),  # Cloudflare's, before n8n's cloud: 100 s without a byte
}


def diagnose(
    diagnosis: Diagnosis, status: int, headers: Mapping[str, str], body: bytes
) -> ProviderError:
    """Make the error of a request that was answered with this status."""
    found = _find_reason(status, body)
    if found is None:
        return diagnosis.diagnose_status(status, headers, body)
    diagnosis.note_request_id(headers)
    reason, kind = found
    return diagnosis.make_error(reason, kind, status=status)


def _find_reason(status: int, body: bytes) -> tuple[str, FailureKind] | None:
    text = _message(body).lower()
    for mark, reason, kind in _SAID:
        if mark in text:
            return reason, kind
    if status == 404 and not body.strip():
        return "not_public", "refused"
    return _BY_STATUS.get(status)


def _message(body: bytes) -> str:
    """Return what an error says: n8n writes its own as JSON, and those of its nodes as text."""
    text = body.decode(errors="replace")
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        # A page says anything, and is a proxy's.
        return "" if text.lstrip().startswith("<") else text
    return str(found.get("message", "")) if isinstance(found, dict) else ""
