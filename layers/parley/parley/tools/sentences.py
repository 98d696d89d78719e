"""What a model is told of a call that gave no result: a closed list of sentences.

Each is about the call. A bare "CANCELLED" is read by models as "the order is cancelled".
"""

from __future__ import annotations

from collections.abc import Iterable

from parley.protocol.tool_rounds import CallResult
from parley.tools.tool import FailureReason

INTERRUPTED = CallResult(
    "cancelled", "The user interrupted, and nobody waited for this call. It changed nothing."
)
NOT_RUN = CallResult("cancelled", "The user interrupted before this call began. It did not run.")
NO_TIME = CallResult(
    "cancelled", "This call did not run: there was no time left for it when its turn came."
)
UNKNOWN = CallResult(
    "unknown",
    "It is not known whether this was done. Tell the user so, and do not call it again unless the "
    "user asks you to.",
)
STILL_RUNNING = "This call still runs. Its result is not known yet."
"""Of a call without a result, in a prompt of a later turn."""
TOO_MANY = CallResult(
    "failed", "This call did not run: too many calls at once. Answer with what you have."
)
RATE_LIMITED = CallResult(
    "failed",
    "This call did not run: too many calls in this minute. Say that it is not possible now.",
)
NOT_CONFIRMED = CallResult(
    "failed",
    "This call did not run yet: the user must agree first. Say in one sentence what will be done, "
    "ask whether to do it, and call it again with the same arguments once the user has said yes.",
)
NO_RESULT = "(no result)"
"""Of a call whose answer is empty."""
CUT = " [cut: the result is longer]"
"""Ends a result that is longer than the model gets."""

_FAILED: dict[FailureReason, str] = {
    "timeout": "This call did not answer in time.",
    "unavailable": "This call failed: the service is not available now.",
    "refused": "This call was refused: the service does not permit it.",
    "not_found": "This call failed: what it was asked for does not exist.",
    "too_large": "This call failed: its answer is too large.",
    "needs_a_form": "This call failed: it needs a form that the user cannot fill in here.",
    "no_answer": "The app did not answer this call.",
    "error": "This call failed.",
}


def failed(reason: FailureReason, told: str = "") -> CallResult:
    """Return the result of a call that failed and changed nothing, or may be repeated.

    Args:
        told: what the tool itself says of it; empty for nothing.
    """
    return CallResult("failed", f"{_FAILED[reason]} It says: {told}" if told else _FAILED[reason])


def unknown_tool(names: Iterable[str]) -> CallResult:
    """Return the result of a call of a tool that does not exist."""
    known = ", ".join(names) or "none"
    return CallResult("failed", f"There is no such tool, and nothing ran. There are: {known}.")


def bad_arguments(problem: str) -> CallResult:
    """Return the result of a call whose arguments are not what the tool takes."""
    return CallResult("failed", f"This call did not run: its arguments are wrong. {problem}")
