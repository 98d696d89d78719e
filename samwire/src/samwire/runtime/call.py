"""One invocation as it is asked for, and what comes of it."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field

MAX_EVENT_BYTES = 6 * 1024 * 1024
"""The most that a function is given ("Lambda quotas")."""
LOG_TAIL_BYTES = 4096
"""How much of its log an Invoke with `LogType: Tail` returns ("Invoke")."""


@dataclass(frozen=True, slots=True)
class Call:
    """An invocation.

    Attributes:
        event: its JSON.
        arn: that the function is invoked by, with the qualifier.
        client_context: JSON that the caller adds; empty for none.
        kill_after_s: when the environment is killed in the middle of it, if it is to be.
    """

    event: bytes
    arn: str
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    client_context: str = ""
    kill_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What a function made of an event.

    Attributes:
        error: whether `payload` is an error object.
        log: the last 4 KB of what was logged meanwhile.
        advice: to the developer, on how to mend the error; no part of what Lambda answers.
    """

    payload: bytes
    error: bool
    log: bytes = b""
    advice: str = ""

    @classmethod
    def failure(cls, kind: str, message: str) -> Result:
        """Return an error as Lambda reports it."""
        body = {"errorType": kind, "errorMessage": message}
        return cls(json.dumps(body).encode(), error=True)

    @property
    def error_type(self) -> str:
        """The `errorType` of an error object; empty if it names none."""
        try:
            found = json.loads(self.payload) if self.error else None
        except ValueError:
            return ""
        return str(found.get("errorType", "")) if isinstance(found, dict) else ""
