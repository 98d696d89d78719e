"""The errors of all providers, and what the user is told of them.

What the operator of the deployment is told is in `parley.providers.diagnosis`.
"""

from __future__ import annotations

import math
from typing import Literal

from parley.errors import Cause, FailureKind, ProviderError, ProviderName

ProviderErrorCode = Literal["reply_failed", "transcription_failed", "speech_failed"]

PROVIDER_OF_CODE: dict[ProviderErrorCode, ProviderName] = {
    "reply_failed": "llm",
    "transcription_failed": "stt",
    "speech_failed": "tts",
}

_LONGEST_WAIT_S = 86_400
"""The longest wait that a client is told of. A browser's timers fire at once beyond 24 days."""

_LATER = frozenset({"rate_limited", "unavailable", "timeout", "empty"})
_WHAT_FAILS: dict[ProviderErrorCode, tuple[str, str]] = {
    "reply_failed": (
        "The assistant cannot answer right now. Try again in a moment.",
        "The assistant cannot answer right now. Tell whoever runs this service.",
    ),
    "transcription_failed": (
        "Speech is not understood right now. Try again in a moment, or type.",
        "Speech is not understood right now. Type instead, and tell whoever runs this service.",
    ),
    "speech_failed": (
        "The voice is not available right now: the reply comes as text.",
        "The voice is not available right now: the reply comes as text.",
    ),
}
"""What the user is told: where a later try may work, and where it cannot."""
_OF_A_REPLY: dict[FailureKind, str] = {
    "timeout": "The assistant did not answer in time. Try again in a moment.",
    "empty": "The assistant had nothing to say to that. Ask in other words.",
    "filtered": "The assistant may not answer that. Ask in other words.",
}


def make_failure(
    code: ProviderErrorCode,
    kind: FailureKind,
    *,
    cause: Cause | None = None,
    retry_after_ms: int | None = None,
) -> ProviderError:
    """Make the error of a provider's failure, with a sentence for the user.

    Args:
        cause: what is known of it; without one, no more than its kind is.
    """
    later, never = _WHAT_FAILS[code]
    message = later if kind in _LATER else never
    if code == "reply_failed":
        message = _OF_A_REPLY.get(kind, message)
    known = cause or Cause(PROVIDER_OF_CODE[code], kind, _UNKNOWN.get(kind, "It failed."))
    return ProviderError(code, message, kind=kind, cause=known, retry_after_ms=retry_after_ms)


_UNKNOWN: dict[FailureKind, str] = {
    "timeout": "It did not answer in time: it is slow or overloaded. A quicker model, or more "
    "ProviderTimeoutSeconds, may help.",
    "empty": "The model answered with nothing.",
}


def parse_retry_after_ms(value: str | None) -> int | None:
    """Parse the seconds form of a `Retry-After` header (RFC 9110, 10.2.3). Return ms, a day at
    most; None for any other form."""
    try:
        seconds = float(value) if value else math.nan
    except ValueError:
        return None
    if not math.isfinite(seconds):
        return None
    return round(min(max(seconds, 0.0), _LONGEST_WAIT_S) * 1000)
