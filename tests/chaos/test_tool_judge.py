"""The judge of tools, over turns that are written out."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from parley_client.messages import Metrics, ToolUpdate, TurnEnd
from tests.chaos.booked import Book, Run
from tests.chaos.plan import planned
from tests.chaos.tool_judge import ToolJudge, ToolVerdict, Troubles
from tests.chaos.tool_plan import KINDS, CallPlan, Fault, ToolsPlan

CALLS = (CallPlan("webhook", "Ada", 0, 0), CallPlan("mcp", "Bob", 0, 0))
SAID = "The number is 4711. The number is 4712."


def judged(
    *states: str,
    booked: tuple[int, ...] = (1, 1),
    said: str = SAID,
    fault: Fault = "",
    ms: int = 300,
    **troubles: Any,
) -> ToolVerdict:
    """The verdict over one turn with two calls, which completed.

    Args:
        states: of its calls.
        booked: how often each was booked.
        fault: of the first call.
    """
    plan = ToolsPlan("n-1", ((replace(CALLS[0], fault=fault), CALLS[1]),))
    numbers, book = itertools.count(4711), Book(lambda nonce, moment: None)
    runs = [(call.label, times) for call, times in zip(CALLS, booked, strict=True)]
    book.runs["n-1"] = [Run(label, 0.0, next(numbers)) for label, n in runs for _ in range(n)]
    results = dict(zip(("Ada", "Bob"), ("4711", "4712"), strict=True))
    events: list[object] = [
        ToolUpdate("t", n, f"s.t.0.{n}", "book", "book", state, ms, result=results[call.label])
        for n, (call, state) in enumerate(zip(CALLS, states, strict=True))
    ]
    events.append(TurnEnd("t", 9, "completed", said, Metrics()))
    judge = ToolJudge(book, lambda turn_id, nonce: Troubles(**troubles))
    judge.judge("t", plan, [events])
    return judge.verdict


def test_a_turn_that_did_what_it_says_is_good() -> None:
    verdict = judged("done", "done")
    assert (verdict.bad, verdict.effects, verdict.problems) == (0, 2, [])


def test_a_sentence_that_was_done_twice_is_doubled() -> None:
    verdict = judged("done", "done", booked=(2, 1), said="The number is 4711.")
    assert verdict.doubled == 2, "as a sentence, and as a call"


def test_what_is_said_to_be_done_and_is_not_is_lost() -> None:
    assert judged("done", "done", booked=(1, 0)).lost == 2


def test_a_turn_that_says_nothing_of_a_call_has_lost_it() -> None:
    plan, book = ToolsPlan("n-1", (CALLS[:1],)), Book(lambda nonce, moment: None)
    judge = ToolJudge(book, lambda turn_id, nonce: Troubles())
    judge.judge("t", plan, [[TurnEnd("t", 1, "completed", "I have no idea.", Metrics())]])
    assert judge.verdict.lost == 1


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_what_is_said_not_to_be_done_and_is_is_told_otherwise(state: str) -> None:
    assert judged("done", state).told_otherwise == 1


@pytest.mark.parametrize("said", ["The number is 4711.", "The number is 4711. The number is 9."])
def test_a_number_that_is_missing_or_made_up_is_told_otherwise(said: str) -> None:
    assert judged("done", "done", said=said).told_otherwise == 1


def test_a_later_attempt_that_says_something_else_is_found() -> None:
    plan, book = ToolsPlan("n-1", (CALLS[:1],)), Book(lambda nonce, moment: None)
    book.runs["n-1"] = [Run("Ada", 0.0, 4711)]
    judge = ToolJudge(book, lambda turn_id, nonce: Troubles(killed=1))
    attempts: list[list[object]] = [
        [ToolUpdate("t", 1, "s.t.0.0", "book", "book", state, result="4711")]
        for state in ("done", "unknown")
    ]
    judge.judge("t", plan, attempts)
    assert judge.verdict.told_otherwise == 1


@pytest.mark.parametrize(
    ("known", "cause"),
    [
        ({"fault": "cut"}, "answer cut off"),
        ({"killed": 1}, "the turn's function was killed"),
        ({"tools_killed": frozenset({"Ada"})}, "its Lambda was killed"),
        ({"ms": 4_900}, "no answer in time"),
        ({"logged": frozenset({"turn_died "})}, "the turn's function was killed"),
        ({"logged": frozenset({"tool_failed timeout"})}, "no answer in time"),
        ({"logged": frozenset({"turn_failed ReadTimedOut"})}, "the table was not reached"),
    ],
)
def test_what_is_unknown_has_a_reason(known: dict[str, Any], cause: str) -> None:
    verdict = judged("unknown", "done", said="The number is 4712.", **known)
    assert (verdict.unknown, verdict.bad) == ({cause: 1}, 0)


def test_what_is_unknown_without_a_reason_is_found() -> None:
    logged = frozenset({"turn_failed KeyError"})
    verdict = judged("unknown", "done", said="The number is 4712.", logged=logged)
    assert (verdict.unexplained, verdict.bad) == (1, 1)


def test_a_plan_without_tools_is_what_it_was_with_them() -> None:
    plain, calling = planned(3, 40, 4), planned(3, 40, 4, tools=0.4)
    both = zip(itertools.chain(*plain.sessions), itertools.chain(*calling.sessions), strict=True)
    kept = [(before, after) for before, after in both if after.tools is None]
    assert 16 <= len(kept) <= 32
    assert all(before == after for before, after in kept)


def test_a_long_soak_calls_tools_of_every_kind_and_meets_each_fault_of_theirs() -> None:
    turns = itertools.chain(*planned(1, 500, 4, tools=0.4).sessions)
    calls = [call for turn in turns if turn.tools for call in turn.tools.calls]
    assert {call.kind for call in calls} == set(KINDS)
    assert {call.fault for call in calls} == {"", "status", "cut", "late", "refuse"}
