"""Whether what was said of tools is what they did. Plain objects."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from parley_client.messages import ToolUpdate, TurnEnd
from tests.chaos.booked import Book
from tests.chaos.tool_plan import CallPlan, ToolsPlan

_NUMBER = re.compile(r"The number is (\d+)")
UNREACHED = frozenset(
    {
        *("ReadTimedOut", "ConnectTimedOut", "CannotConnect", "ServiceError"),
        *("ConnectionLost", "ProvisionedThroughputExceededException"),
    }
)
"""Errors of a table that is too busy."""
_ENDED = ("done", "failed", "unknown", "cancelled")


@dataclass(frozen=True, slots=True)
class Troubles:
    """What is known to have gone wrong in one turn, from outside of what is judged.

    Attributes:
        killed: functions of its turn that died.
        tools_killed: its calls whose Lambda died.
        logged: names of the events that its functions logged, each with its reason or error.
    """

    killed: int = 0
    tools_killed: frozenset[str] = frozenset()
    logged: frozenset[str] = frozenset()


@dataclass(slots=True)
class ToolVerdict:
    """What came of the tools of a soak."""

    turns: int = 0
    asked: int = 0
    """How many effects the sentences asked for."""
    effects: int = 0
    doubled: int = 0
    """Sentences, and calls of them, that had more effects than they asked for."""
    lost: int = 0
    """Calls that were said to be done, or of which nothing else was said, without an effect."""
    told_otherwise: int = 0
    """States, results and words that are not what the ledger has."""
    unknown: Counter[str] = field(default_factory=Counter)
    """Of calls, by what explains it."""
    unexplained: int = 0
    refused: int = 0
    """Requests that the strict model refused."""
    kinds: Counter[str] = field(default_factory=Counter)
    """States of calls that have ended, by kind."""
    hits: Counter[str] = field(default_factory=Counter)
    """What was done to turns because of where they were."""
    problems: list[str] = field(default_factory=list)

    @property
    def bad(self) -> int:
        """How much is wrong."""
        wrong = self.doubled + self.lost + self.told_otherwise + self.unexplained
        return wrong + self.refused


class ToolJudge:
    """Judges turns that called tools.

    Args:
        troubles: tells what is known to have gone wrong in a turn, by its id and its nonce.
    """

    def __init__(self, book: Book, troubles: Callable[[str, str], Troubles]) -> None:
        self._book = book
        self._troubles = troubles
        self.verdict = ToolVerdict()

    def judge(self, turn_id: str, plan: ToolsPlan, attempts: list[list[object]]) -> None:
        """Add one turn to the verdict.

        Args:
            attempts: the events of each attempt, as the application saw them.
        """
        verdict = self.verdict
        numbers = self._book.numbers(plan.nonce)
        verdict.turns += 1
        verdict.asked += len(plan.calls)
        verdict.effects += len(numbers)
        if len(numbers) > len(plan.calls):
            verdict.doubled += 1
            self._note(turn_id, plan, f"{len(numbers)} effects of {len(plan.calls)} calls")
        for call in plan.calls:
            found = self._book.numbers(plan.nonce, call.label)
            if len(found) > 1:
                verdict.doubled += 1
                self._note(turn_id, plan, f"{call.label} was booked as {found}")
        troubles = self._troubles(turn_id, plan.nonce)
        for events in attempts:
            for update in events:
                if isinstance(update, ToolUpdate) and update.state in _ENDED:
                    self._judge_state(turn_id, plan, update, troubles)
        self._judge_agreement(turn_id, plan, attempts, troubles)
        if attempts:
            self._judge_end(turn_id, plan, attempts[-1])

    def _judge_state(
        self, turn_id: str, plan: ToolsPlan, update: ToolUpdate, troubles: Troubles
    ) -> None:
        call = _call_of(plan, update.call_id)
        if call is None:
            self.verdict.told_otherwise += 1
            self._note(turn_id, plan, f"nobody asked for {update.call_id}")
            return
        self.verdict.kinds[f"{call.kind} {update.state}"] += 1
        numbers = self._book.numbers(plan.nonce, call.label)
        if update.state == "unknown":
            self._judge_unknown(turn_id, plan, call, update, troubles)
        elif update.state == "done" and not numbers:
            self.verdict.lost += 1
            self._note(turn_id, plan, f"{call.label} is said to be done, and is not")
        elif update.state in ("failed", "cancelled") and numbers:
            self.verdict.told_otherwise += 1
            self._note(turn_id, plan, f"{call.label} is {update.state}, and was booked: {numbers}")
        if update.state == "done" and not any(str(n) in (update.result or "") for n in numbers):
            self.verdict.told_otherwise += 1
            self._note(turn_id, plan, f"{call.label} is {numbers}, and told as {update.result}")

    def _judge_agreement(
        self,
        turn_id: str,
        plan: ToolsPlan,
        attempts: list[list[object]],
        troubles: Troubles,
    ) -> None:
        """What an attempt has said of a call, later ones say too."""
        said: dict[str, str] = {}
        kept = not any(name.startswith("result_not_kept") for name in troubles.logged)
        for update in (each for events in attempts for each in events):
            if not isinstance(update, ToolUpdate) or update.state not in _ENDED:
                continue
            first = said.setdefault(update.call_id, str(update.state))
            if kept and first != update.state:
                self.verdict.told_otherwise += 1
                self._note(turn_id, plan, f"{update.call_id} was {first}, then {update.state}")

    def _judge_unknown(
        self,
        turn_id: str,
        plan: ToolsPlan,
        call: CallPlan,
        update: ToolUpdate,
        troubles: Troubles,
    ) -> None:
        cause = _cause(call, update, troubles)
        if cause:
            self.verdict.unknown[cause] += 1
        else:
            self.verdict.unexplained += 1
            self._note(turn_id, plan, f"{call.label} is unknown, and nothing had gone wrong")

    def _judge_end(self, turn_id: str, plan: ToolsPlan, events: list[object]) -> None:
        """The last attempt: its words, and that nothing is missing of a turn that went well."""
        end = events[-1] if events else None
        if not isinstance(end, TurnEnd):
            return
        numbers = self._book.numbers(plan.nonce)
        spoken = [int(number) for number in _NUMBER.findall(end.text)]
        if not set(spoken) <= set(numbers):
            self.verdict.told_otherwise += 1
            self._note(turn_id, plan, f"the reply says {spoken}, the ledger {numbers}")
        if end.reason != "completed":
            return
        last = {e.call_id: str(e.state) for e in events if isinstance(e, ToolUpdate)}
        states = Counter(last.values())
        went_well = set(states) <= {"done"}
        if went_well and len(numbers) != len(plan.calls):
            self.verdict.lost += 1
            self._note(
                turn_id, plan, f"{len(numbers)} effects of {len(plan.calls)} calls: {end.text!r}"
            )
        if went_well and len(spoken) != len(plan.rounds[-1]):
            self.verdict.told_otherwise += 1
            self._note(turn_id, plan, f"the reply says {spoken} of {len(plan.rounds[-1])} calls")
        if set(states) - set(_ENDED):
            self.verdict.told_otherwise += 1
            self._note(turn_id, plan, f"it completed, and calls are {dict(states)}")

    def _note(self, turn_id: str, plan: ToolsPlan, problem: str) -> None:
        self.verdict.problems.append(f"{turn_id} ({plan}): {problem}")


def _call_of(plan: ToolsPlan, call_id: str) -> CallPlan | None:
    """The call that a client's id names: it ends with the round and the place in it."""
    *_, round_index, index = call_id.split(".")
    try:
        return plan.rounds[int(round_index)][int(index)]
    except (ValueError, IndexError):
        return None


def _cause(call: CallPlan, update: ToolUpdate, troubles: Troubles) -> str:
    """What explains that nobody knows of a call; empty if nothing does."""
    logged = {name.partition(" ")[0] for name in troubles.logged}
    if call.fault in ("status", "cut", "late"):
        return {"status": "answered 500", "cut": "answer cut off", "late": "too slow"}[call.fault]
    if call.label in troubles.tools_killed or (call.kind == "lambda" and "tool_died" in logged):
        return "its Lambda was killed"
    if troubles.killed or "turn_died" in logged:
        return "the turn's function was killed"
    if update.ms is not None and update.ms >= call.timeout_s * 950:
        return "no answer in time"
    if troubles.logged & {"tool_failed timeout", "tool_failed no_answer"}:
        return "no answer in time"
    if any(name.partition(" ")[2] in UNREACHED for name in troubles.logged):
        return "the table was not reached"
    return ""
