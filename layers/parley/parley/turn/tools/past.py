"""The rounds of earlier turns, as a prompt has them: every call with a result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from parley.protocol.tool_rounds import CallResult, ToolRound
from parley.tools.sentences import STILL_RUNNING, UNKNOWN

RUNNING_MS = 90_000
"""A call without a result that was recorded so long ago does not run any more: a tool may take
60 s."""
OLD_TURNS = 10
OLD_RESULT_CHARS = 300
"""What is left in a prompt of a result that is older than so many turns."""
MAX_PAST_CHARS = 64_000
"""Of the results of earlier turns, the newest first: what is beyond it is shortened likewise. One
turn may have twice as much, and a model that is asked for more than it can read answers nothing."""


def past_rounds(
    rounds: Mapping[str, Sequence[ToolRound]], turns: Sequence[str], now_ms: int
) -> dict[str, list[ToolRound]]:
    """Return the rounds of earlier turns with a result for every call.

    Args:
        rounds: by turn id.
        turns: the turns of the history, oldest first.
        now_ms: the time, in ms since the epoch.
    """
    whole: set[str] = set()
    left = MAX_PAST_CHARS
    for turn in reversed(turns[-OLD_TURNS:]):
        left -= sum(map(_result_chars, rounds.get(turn, ())))
        if left < 0:
            break
        whole.add(turn)
    return {
        turn: [_settled(each, now_ms, whole=turn in whole) for each in found]
        for turn, found in rounds.items()
    }


def _result_chars(found: ToolRound) -> int:
    return sum(len(result.text) for result in found.results if result is not None)


def _settled(found: ToolRound, now_ms: int, *, whole: bool) -> ToolRound:
    runs = now_ms < found.recorded_at_ms + RUNNING_MS
    missing = CallResult("unknown", STILL_RUNNING) if runs else UNKNOWN
    results = tuple(_shortened(each or missing, whole=whole) for each in found.results)
    return msgspec.structs.replace(found, results=results)


def _shortened(result: CallResult, *, whole: bool) -> CallResult:
    if whole or len(result.text) <= OLD_RESULT_CHARS:
        return result
    return CallResult(result.outcome, f"{result.text[:OLD_RESULT_CHARS]} [cut]")
