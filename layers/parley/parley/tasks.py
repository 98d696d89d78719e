"""asyncio tasks that end with the block they were started in, and leave nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Tasks:
    """Tasks that end with the block they were started in."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[Any]] = []

    async def __aenter__(self) -> Tasks:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await cancelled(*self._tasks)

    def start(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start one."""
        task = asyncio.create_task(coroutine)
        self._tasks.append(task)
        return task


async def cancelled(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait until they are gone.

    Raises:
        asyncio.CancelledError: the caller has been cancelled meanwhile.
    """
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task
    this = asyncio.current_task()
    if this is not None and this.cancelling():
        raise asyncio.CancelledError  # ours, which came while we waited for theirs
