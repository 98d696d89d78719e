"""The ledger of what tools did, by the user's sentence. It never looks at our idempotency keys."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.tool_plan import CallPlan, Moment, ToolsPlan

FIRST_NUMBER = 4711


@dataclass(slots=True)
class Run:
    """One time that a tool ran.

    Attributes:
        number: of the booking that it made; None if it made none.
        ended_s: when it had an answer; None if it never had.
    """

    label: str
    began_s: float
    number: int | None = None
    ended_s: float | None = None


class Refused(Exception):
    """The tool did nothing, and says so."""


@dataclass
class Book:
    """The ledger. A call is never taken for one that came before: that is not its business.

    Attributes:
        happened: told of each moment of a sentence's turn.
    """

    happened: Callable[[str, Moment], None]
    plans: dict[str, ToolsPlan] = field(default_factory=dict)
    runs: dict[str, list[Run]] = field(default_factory=dict)
    _numbers: Any = field(default_factory=lambda: itertools.count(FIRST_NUMBER))

    def call(self, arguments: Mapping[str, Any]) -> CallPlan:
        """The plan of a call, by its arguments."""
        plan = self.plans[str(arguments["nonce"])]
        return next(call for call in plan.calls if call.label == arguments["name"])

    async def book(
        self, arguments: Mapping[str, Any], gone: Callable[[], bool] = lambda: False
    ) -> dict[str, Any]:
        """Book a table, taking the time that is planned.

        Args:
            gone: whether nobody waits for it any more, so that it is not to begin.

        Raises:
            Refused: nothing was booked.
        """
        nonce, call = str(arguments["nonce"]), self.call(arguments)
        run = Run(call.label, time.monotonic())
        self.runs.setdefault(nonce, []).append(run)
        self.happened(nonce, "called")
        await asyncio.sleep(call.before_ms / 1000)
        if call.fault == "refuse" or gone():
            raise Refused
        run.number = next(self._numbers)
        self.happened(nonce, "acted")
        await asyncio.sleep(call.after_ms / 1000)
        run.ended_s = time.monotonic()
        given = {name: arguments[name] for name in ("people", "time", "name")}
        return {"number": run.number, **given}

    def numbers(self, nonce: str, label: str = "") -> list[int]:
        """The bookings of a sentence, or of one of its calls."""
        return [
            run.number
            for run in self.runs.get(nonce, [])
            if run.number is not None and label in ("", run.label)
        ]
