"""Deadlines for answers that are owed, over all attempts, with retries and pauses.

Each attempt has a time-out of its own. Without this deadline, three attempts in a row would keep a
user in silence three times as long.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from parley.aio.tasks import Tasks


@asynccontextmanager
async def owed_deadline(
    owed: asyncio.Event, answered: asyncio.Event, timeout_s: float
) -> AsyncIterator[None]:
    """Run a block that waits for an answer, and stop it when the answer is late.

    Args:
        owed: set when the answer is owed; the time starts then.
        answered: set when the answer, or its first part, has come; the time stops then.
        timeout_s: how long the answer may take once it is owed.

    Raises:
        TimeoutError: the answer did not come in time.
    """
    async with asyncio.timeout(None) as deadline, Tasks() as tasks:
        tasks.start(_watch(deadline, owed, answered, timeout_s))
        yield


async def pause(delay_s: float, owed: asyncio.Event) -> None:
    """Wait `delay_s` before the next attempt, or less: the pause ends when the answer becomes
    owed."""
    if owed.is_set():
        await asyncio.sleep(delay_s)
        return
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(owed.wait(), delay_s)


async def _watch(
    deadline: asyncio.Timeout, owed: asyncio.Event, answered: asyncio.Event, timeout_s: float
) -> None:
    await owed.wait()
    deadline.reschedule(asyncio.get_running_loop().time() + timeout_s)
    await answered.wait()
    deadline.reschedule(None)
