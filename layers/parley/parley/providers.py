"""What the providers have in common: how they fail, and the words for it."""

from __future__ import annotations

from parley.errors import ErrorCode, FailureKind, ProviderError

_ADVICE: dict[FailureKind, str] = {
    "unauthorized": "refused the API key. Check the key in this deployment's secret.",
    "rate_limited": "is busy or its limit is reached. Try again in a moment.",
    "unavailable": "is not available just now. Try again in a moment.",
    "timeout": "did not answer in time. Try again in a moment.",
    "refused": "refused the request. Check this deployment's URL, model and voice, and the "
    "account's quota.",
    "invalid": "sent something that makes no sense. Try again.",
}


def failure(
    code: ErrorCode,
    service: str,
    kind: FailureKind,
    *,
    status: int | None = None,
    retry_after_ms: int | None = None,
) -> ProviderError:
    """A provider's failure, in words that say what to do.

    Args:
        service: how the sentence begins, e.g. `The language model`.
    """
    return ProviderError(
        code, f"{service} {_ADVICE[kind]}", kind=kind, status=status, retry_after_ms=retry_after_ms
    )


def kind_of_status(status: int) -> FailureKind:
    """What an HTTP status of a provider means."""
    if status in (401, 403):
        return "unauthorized"
    if status == 429:
        return "rate_limited"
    if status == 408 or status >= 500:
        return "unavailable"
    return "refused"


def retry_after_ms(value: str | None) -> int | None:
    """The seconds form of a `Retry-After` header, in ms (RFC 9110, 10.2.3)."""
    try:
        return max(0, round(float(value) * 1000)) if value else None
    except ValueError:
        return None
