"""How long an answer may be owed, over all attempts at it, retries and pauses included.

Each attempt has its own time-out; without this, three of them in a row would keep a user in
silence three times as long.
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
    """A block in which an answer is waited for.

    Args:
        owed: set when the answer is owed; before that, waiting costs no patience.
        answered: set when it, or the first of it, has come.

    Raises:
        TimeoutError: it did not come in time.
    """
    async with asyncio.timeout(None) as deadline, Tasks() as tasks:
        tasks.start(_watch(deadline, owed, answered, timeout_s))
        yield


async def pause(delay_s: float, owed: asyncio.Event) -> None:
    """Wait before the next try. That the answer becomes owed meanwhile ends the pause."""
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
