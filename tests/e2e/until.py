"""Waits for what tells of nothing: a log, a table, a bucket, a stand-in's records."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

LOOK_EVERY_S = 0.05
Seen = TypeVar("Seen")


async def until(look: Callable[[], Seen], timeout_s: float = 20) -> Seen:
    """Look again and again until there is something to see; return it.

    Args:
        look: may block.

    Raises:
        TimeoutError: there has been nothing for so long.
    """
    async with asyncio.timeout(timeout_s):
        while not (seen := await asyncio.to_thread(look)):
            await asyncio.sleep(LOOK_EVERY_S)
    return seen
