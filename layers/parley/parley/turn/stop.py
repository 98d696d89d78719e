"""Why a turn stops before its reply is over. All who find a reason ask for it here."""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import Any

from parley.storage.inbox_entries import InterruptEntry


class StopReason(Enum):
    """Why a turn stops."""

    INTERRUPTED = "interrupted"
    """The user barged in, or a newer turn interrupted this one for the user."""
    OVERTAKEN = "overtaken"
    """The session went on without this turn: a newer one has begun, or the user has ended it."""
    ANSWER_FULL = "answer full"
    """The HTTP answer has no room for more audio. What it has is heard."""
    SUPERSEDED = "superseded"
    """Another attempt runs, or somebody else has ended the turn: nothing more is to be said."""


class TurnStop:
    """Whether a turn is to stop, and why.

    The first reason counts, since what was heard is told by it. `SUPERSEDED` counts whenever it
    comes: nobody waits for this attempt any more.

    Attributes:
        interruption: what the user sent, of a turn that was interrupted.
    """

    def __init__(self) -> None:
        self._requested: asyncio.Future[None] = asyncio.Future()
        self._first: StopReason | None = None
        self.superseded = False
        self.interruption: InterruptEntry | None = None

    @property
    def reason(self) -> StopReason | None:
        """Return why the turn is to stop; None if it is not."""
        return StopReason.SUPERSEDED if self.superseded else self._first

    @property
    def interrupted(self) -> bool:
        """Tell whether what has not left is unwanted."""
        return self._first in (StopReason.INTERRUPTED, StopReason.OVERTAKEN)

    def request(self, reason: StopReason, interruption: InterruptEntry | None = None) -> None:
        """Ask the turn to stop."""
        if reason is StopReason.SUPERSEDED:
            self.superseded = True  # an interruption before it stays known: see `interrupted`
        elif self._first is None:
            self._first = reason
            self.interruption = interruption
        if not self._requested.done():
            self._requested.set_result(None)

    async def wait_for(self, task: asyncio.Task[Any], timeout_s: float) -> None:
        """Wait until a task is done or the turn is to stop, at most for `timeout_s`."""
        either: set[asyncio.Future[Any]] = {task, self._requested}
        await asyncio.wait(either, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
