"""The errors of limits: which limit was met, its value, and when to try again."""

from __future__ import annotations

import math
from collections.abc import Collection

from parley.errors import ErrorCode, ParleyError
from parley.limit import Limit, LimitScope
from parley.limits.message_rates import TooFast
from parley.limits.rules import RequestKind

LIMITED: Collection[ErrorCode] = ("rate_limited", "quota_exceeded")
"""The codes of a turn that a limit of the deployment refuses."""

_WHOSE = {
    "subject": "You have",
    "tenant": "Everybody here together has",
    "connection": "This connection has",
}
_REQUESTS: dict[RequestKind, str] = {
    "sessions": "sessions to open or resume",
    "reads": "lists, transcripts and earlier answers to read, or sessions to erase,",
    "interrupts": "turns to interrupt",
    "tool_rounds": "rounds of tool calls",
    "says": "facts to be told and words to be said",
}
_AT_ONCE = {"subject": "of yours are", "tenant": "are", "connection": "are"}


def too_many_turns(scope: LimitScope, per_minute: int, wait_ms: float) -> ParleyError:
    """Return the error for an empty bucket of turns."""
    return ParleyError(
        "rate_limited",
        f"{_WHOSE[scope]} {per_minute} turns a minute, and they have been used. "
        f"Try again in {_seconds(wait_ms)}.",
        retryable=True,
        retry_after_ms=math.ceil(wait_ms),
        limit=Limit("turns_per_minute", per_minute, scope),
    )


def too_many_requests(
    scope: LimitScope, kind: RequestKind, per_minute: int, wait_ms: float
) -> ParleyError:
    """Return the error for an empty bucket of sessions, reads or interruptions."""
    return ParleyError(
        "rate_limited",
        f"{_WHOSE[scope]} {per_minute:,} {_REQUESTS[kind]} a minute, and they have been used. "
        f"Try again in {_seconds(wait_ms)}.",
        retryable=True,
        retry_after_ms=math.ceil(wait_ms),
        limit=Limit(f"{kind}_per_minute", per_minute, scope),
    )


def quota_used_up(scope: LimitScope, name: str, limit_s: int, wait_ms: int) -> ParleyError:
    """Return the error for a day whose seconds have been used.

    Args:
        scope: whose day it is.
        name: `audio_seconds_per_day` or `speech_seconds_per_day`.
        limit_s: how many seconds a day has.
        wait_ms: how long until the next day.
    """
    what = "listening" if name.startswith("audio") else "spoken replies"
    return ParleyError(
        "quota_exceeded",
        f"{_WHOSE[scope]} {_duration(limit_s)} of {what} a day, and they have been used. "
        "There will be more after midnight UTC.",
        retryable=True,
        retry_after_ms=wait_ms,
        limit=Limit(name, limit_s, scope),
    )


def too_many_connections(scope: LimitScope, limit: int) -> ParleyError:
    """Return the error for a handshake that finds every slot taken."""
    return ParleyError(
        "rate_limited",
        f"{limit} connections {_AT_ONCE[scope]} open already, as many as may be. Close one first.",
        retryable=True,
        limit=Limit("connections", limit, scope),
    )


def too_many_messages(too_fast: TooFast, field: str | None, turn_id: str | None) -> ParleyError:
    """Return the error for a connection that sends too fast and loses the excess.

    Args:
        too_fast: the rate that was exceeded.
        field: the type of the dropped message, if known.
        turn_id: the turn that the dropped message was to begin, if any.
    """
    what, _, unit = too_fast.name.partition("_per_")
    return ParleyError(
        "rate_limited",
        f"This connection sends more than {too_fast.limit:,} {what} a {unit}. What is too "
        f"much is dropped; send it again in {_seconds(too_fast.wait_ms)}, and more slowly.",
        retryable=True,
        field=field,
        turn_id=turn_id,
        retry_after_ms=math.ceil(too_fast.wait_ms),
        limit=Limit(too_fast.name, too_fast.limit, "connection"),
    )


def utterance_too_long(limit_s: int) -> ParleyError:
    """Return the error for a user who speaks for longer than one turn may last."""
    return ParleyError(
        "too_large",
        f"A turn has at most {_duration(limit_s)} of speech. The reply is to what was said until "
        "then; say the rest in another turn.",
        field="audio_chunk",
        limit=Limit("utterance_seconds", limit_s, "connection"),
    )


def _seconds(wait_ms: float) -> str:
    return _plural(max(1, math.ceil(wait_ms / 1000)), "second")


def _duration(seconds: int) -> str:
    for unit_s, name in ((3600, "hour"), (60, "minute")):
        if seconds >= unit_s and seconds % unit_s == 0:
            return _plural(seconds // unit_s, name)
    return _plural(seconds, "second")


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
