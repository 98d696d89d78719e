"""asyncio tasks that end with the block that started them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Tasks:
    """A block that cancels, at its end, the tasks that it has started."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[Any]] = []

    async def __aenter__(self) -> Tasks:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await cancel_tasks(*self._tasks)

    def start(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a coroutine as a task, and return the task."""
        task = asyncio.create_task(coroutine)
        self._tasks.append(task)
        return task


class Closable(Protocol):
    """A connection that can be closed."""

    async def close(self) -> None:
        """Close the connection. Never raise."""


class BackgroundClose:
    """A block that closes connections in parallel with other work, and waits for them at its end.

    A service that takes its time to answer a close delays nothing else.
    """

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> BackgroundClose:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def close(self, connection: Closable) -> None:
        """Start to close a connection."""
        self._tasks.append(asyncio.create_task(connection.close()))


async def cancel_tasks(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait until they have ended.

    Raises:
        asyncio.CancelledError: the caller was cancelled in the meantime.
    """
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task
    this = asyncio.current_task()
    if this is not None and this.cancelling():
        raise asyncio.CancelledError  # the caller's own, which the loop above has suppressed
