"""The rounds of earlier turns in a prompt: complete, and old ones short."""

from __future__ import annotations

from parley.protocol.tool_rounds import CallResult, ToolRound
from parley.tools.sentences import STILL_RUNNING, UNKNOWN
from parley.turn.tools.past import OLD_RESULT_CHARS, OLD_TURNS, RUNNING_MS, past_rounds
from tests.unit.turn.tools import ASKED

LONG = CallResult("done", "x" * 1_000)
NOW_MS = 1_000_000


def past(result: CallResult | None, turns: int, age_ms: int = 0) -> CallResult | None:
    """What a prompt has of a call's result, so many turns later."""
    found = ToolRound(0, ASKED, results=(result,), recorded_at_ms=NOW_MS - age_ms)
    names = [f"t{number}" for number in range(turns + 1)]
    return past_rounds({"t0": [found]}, names, NOW_MS)["t0"][0].results[0]


def test_a_result_is_whole_for_ten_turns_and_then_cut() -> None:
    assert past(LONG, OLD_TURNS - 1) == LONG
    cut = past(LONG, OLD_TURNS)
    assert cut is not None
    assert cut.text == "x" * OLD_RESULT_CHARS + " [cut]"
    assert past(CallResult("failed", "No."), OLD_TURNS) == CallResult("failed", "No.")


def test_a_call_without_a_result_runs_as_long_as_it_may_and_is_unknown_then() -> None:
    assert past(None, 1, RUNNING_MS - 1) == CallResult("unknown", STILL_RUNNING)
    assert past(None, 1, RUNNING_MS) == UNKNOWN
