"""The errors that Parley raises, and the closed list of codes that a client can meet.

    ParleyError                 carries what the client is told
    ├── BadMessage              a client message that breaks the protocol
    ├── ProviderError           transcriber, responder or synthesizer failed
    └── TurnTimeout             the turn ran out of its time
    ConfigurationError          a deployment that cannot work (not for the client)
    ConnectionGone              the WebSocket no longer exists (not for the client)
    └── PostRefused             or is of no use, for a reason that belongs in a log

Every `ParleyError` says in a sentence what went wrong and what to do. It never carries a secret,
the user's words or audio.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from parley.limit import Limit

ErrorCode = Literal[
    "bad_request",
    "unknown_type",
    "not_initialised",
    "unsupported_protocol",
    "session_not_found",
    "resume_denied",
    "unauthorized",
    "rate_limited",
    "too_large",
    "audio_gap",
    "no_speech",
    "transcription_failed",
    "reply_failed",
    "speech_failed",
    "turn_timeout",
    "quota_exceeded",
    "turn_running",
    "turn_over",
    "internal",
]

FailureKind = Literal[
    "unauthorized",
    "rate_limited",
    "unavailable",
    "timeout",
    "refused",
    "invalid",
    "empty",
    "filtered",
]
"""Why a provider failed: an invalid key, 429, 5xx or a broken connection, no answer in time, a
refusal that a retry cannot mend, an answer that makes no sense, an empty answer, an answer that the
provider's filter held back."""

ProviderName = Literal["llm", "stt", "tts"]
"""The language model, speech to text, text to speech."""


class ParleyError(Exception):
    """An error that the client is told about.

    Attributes:
        code: one of the documented codes.
        message: a sentence for a person.
        retryable: whether the same request, sent again, may work.
        field: the path of the invalid field, e.g. ``audio_chunk.seq``.
        turn_id: the turn that the error belongs to, if any.
        retry_after_ms: how long to wait before trying again.
        missing: sequence numbers of audio chunks that never came (``audio_gap``).
        limit: the limit that was met, if any.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        retryable: bool = False,
        field: str | None = None,
        turn_id: str | None = None,
        retry_after_ms: int | None = None,
        missing: list[int] | None = None,
        limit: Limit | None = None,
    ) -> None:
        super().__init__(message)
        self.code: ErrorCode = code
        self.message = message
        self.retryable = retryable
        self.field = field
        self.turn_id = turn_id
        self.retry_after_ms = retry_after_ms
        self.missing = missing
        self.limit = limit


class BadMessage(ParleyError):
    """A client message that breaks the protocol. The connection stays open."""


class TurnTimeout(ParleyError):
    """The turn came too close to the end of its Lambda invocation."""

    def __init__(self) -> None:
        super().__init__(
            "turn_timeout",
            "The turn took longer than a turn may. Ask again, or ask for a shorter answer.",
            retryable=True,
        )


class MayHaveActed(ParleyError):
    """The turn broke off, and whoever replies may have acted: a workflow may have sent a mail."""

    def __init__(self) -> None:
        super().__init__(
            "reply_failed",
            "The reply broke off, and what you asked for may have been done. Ask again if it has "
            "not.",
            retryable=True,
        )


_NOTHING_SENT = frozenset(
    {
        "host_not_found",
        "connection_refused",
        "unreachable",
        "tls_failed",
        "connect_timeout",
        "invalid_url",
        "not_called",
    }
)
"""Reasons for which there was no connection, and so no request."""
_PROXY_GAVE_UP = frozenset({408, 502, 504, 520, 524})
"""What a proxy answers for a server that has the request, and may still work at it. The last two
are Cloudflare's ("Cloudflare 5xx errors")."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a provider failed, for the operator of the deployment.

    It holds no text that the provider wrote, because providers repeat keys and what the user said.

    Attributes:
        provider: which provider.
        reason: the reason in one word, e.g. `host_not_found`.
        advice: a sentence that names what to check.
        host: the host that was called.
        status: the HTTP status, if there was one.
        provider_code, provider_type: the provider's own names for the failure.
        request_id: the id by which the provider finds the call.
        close_code: the close code of a WebSocket.
    """

    provider: ProviderName
    reason: str
    advice: str
    host: str | None = None
    status: int | None = None
    provider_code: str | None = None
    provider_type: str | None = None
    request_id: str | None = None
    close_code: int | None = None

    @property
    def nothing_sent(self) -> bool:
        """Whether no request has reached the provider: it cannot have acted on it."""
        return self.reason in _NOTHING_SENT

    def log_fields(self) -> dict[str, Any]:
        """Return the known fields, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


class ProviderError(ParleyError):
    """A transcriber, responder or synthesizer failed.

    Attributes:
        kind: why; see `FailureKind`.
        cause: why, for the log. The message is for the user.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        kind: FailureKind,
        cause: Cause,
        retry_after_ms: int | None = None,
    ) -> None:
        retryable = kind in ("rate_limited", "unavailable", "timeout", "empty")
        super().__init__(code, message, retryable=retryable, retry_after_ms=retry_after_ms)
        self.kind: FailureKind = kind
        self.cause = cause

    @property
    def may_still_act(self) -> bool:
        """Whether the provider may be at work at the request, although nobody hears of it."""
        if self.cause.nothing_sent:
            return False
        if self.cause.status is not None:
            return self.cause.status in _PROXY_GAVE_UP
        return self.kind in ("timeout", "unavailable")


class ConfigurationError(Exception):
    """An environment variable is missing or invalid. The message names it and what is allowed."""


class ConnectionGone(Exception):
    """The WebSocket connection no longer exists (HTTP 410 from ``@connections``)."""


class PostRefused(ConnectionGone):
    """``@connections`` accepted a frame neither at once nor later: the connection is of no use.

    Attributes:
        status: the HTTP status of the last answer, e.g. 403 without the permission; 0 for none.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"post refused with status {status}")
        self.status = status

    @property
    def may_pass(self) -> bool:
        """Whether the connection lives and is only busy: throttled, full, or out of reach."""
        return self.status in (0, 429) or self.status >= 500


def internal_error(error: Exception, log: Callable[[str, dict[str, Any]], None]) -> ParleyError:
    """Log an unexpected error with its place, and return what the client is told of it."""
    log("turn_failed", describe_error(error))
    return ParleyError("internal", "Something went wrong on our side. Try again.", retryable=True)


def describe_error(error: Exception) -> dict[str, Any]:
    """Return what a log may hold of an unexpected error: its type and its place.

    The message is left out, because it may hold what the user said. For a call that AWS refused,
    the operation and the code say what the message would.
    """
    places = traceback.extract_tb(error.__traceback__)
    where = [f"{Path(place.filename).name}:{place.lineno} {place.name}" for place in places]
    fields: dict[str, Any] = {"error": type(error).__name__, "where": where[-5:]}
    cause: BaseException | None = error
    while cause is not None and not isinstance(getattr(cause, "response", None), dict):
        cause = cause.__cause__ or cause.__context__
    if cause is not None:  # a `ServiceError`, or botocore's `ClientError`
        fields["aws_code"] = vars(cause)["response"].get("Error", {}).get("Code")
        fields["aws_operation"] = getattr(cause, "operation_name", None)
    return fields
