"""A second attempt in parallel to the first, when a provider stalls. The first to answer goes on.

"The Tail at Scale" (Dean and Barroso, 2013) calls these hedged requests: what is lost to a
stalled connection is the time until the second attempt, not the whole time-out.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import TypeVar

from parley.aio.tasks import Tasks
from parley.errors import ProviderError

T = TypeVar("T")

TakeLead = Callable[[], bool]
"""Called by an attempt when it has its answer, or the first of it. False: another was first, and
this one must stop."""


class _Lead:
    """The lead: which attempt goes on."""

    def __init__(self) -> None:
        self.leader: int | None = None
        self.taken = asyncio.Event()

    def take(self, attempt: int) -> bool:
        if self.leader is None:
            self.leader = attempt
            self.taken.set()
        return self.leader == attempt


async def run_hedged(
    attempt: Callable[[TakeLead], Awaitable[T]],
    owed: asyncio.Event,
    after_s: float,
    on_hedge: Callable[[], None],
    second: Callable[[TakeLead], Awaitable[T]] | None = None,
    *,
    outlives_timeout: bool = False,
) -> T:
    """Run an attempt, and a second in parallel if it stalls. Return the result of the first to
    answer.

    Args:
        attempt: makes one attempt; see `TakeLead`.
        owed: set when an answer is owed: before that, silence is no stall.
        after_s: how long an answer may be owed until the second attempt starts.
        on_hedge: called when it does.
        second: makes the second attempt, if it is another one than `attempt`.
        outlives_timeout: whether one attempt still has time when the other one has used up its own.

    Raises:
        ProviderError: every attempt failed, or the time that one may take is over.
    """
    lead = _Lead()
    async with Tasks() as tasks:
        attempts = [tasks.start(_run(attempt, functools.partial(lead.take, 0)))]
        late = tasks.start(_late(owed, after_s))
        taken = tasks.start(lead.taken.wait())
        await asyncio.wait({*attempts, late, taken}, return_when=asyncio.FIRST_COMPLETED)
        if attempts[0].done() or lead.leader is not None:
            return await attempts[0]
        on_hedge()
        attempts.append(tasks.start(_run(second or attempt, functools.partial(lead.take, 1))))
        unfinished = set(attempts)
        # An attempt that fails leaves the turn to the other one, which may still answer.
        while lead.leader is None:
            await asyncio.wait({*unfinished, taken}, return_when=asyncio.FIRST_COMPLETED)
            if lead.leader is not None:
                break  # what has ended as well has lost, and its answer is none
            for ended in [task for task in unfinished if task.done()]:
                unfinished.discard(ended)
                if not unfinished or not _leaves_hope(ended, outlives_timeout):
                    return await ended
        return await attempts[lead.leader]


async def _run(attempt: Callable[[TakeLead], Awaitable[T]], take_lead: TakeLead) -> T:
    return await attempt(take_lead)


async def _late(owed: asyncio.Event, after_s: float) -> None:
    await owed.wait()
    await asyncio.sleep(after_s)


def _leaves_hope(ended: asyncio.Task[T], outlives_timeout: bool) -> bool:
    """Return whether the other attempt may still answer in time: this one failed, but not by
    time-out."""
    error = ended.exception()
    return isinstance(error, ProviderError) and (outlives_timeout or error.kind != "timeout")
