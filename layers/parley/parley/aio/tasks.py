"""asyncio tasks that end with the block they were started in, and leave nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

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


class Closable(Protocol):
    """A connection."""

    async def close(self) -> None:
        """Let go of it; never raises."""


class BackgroundClose:
    """Connections that are closed beside other work: a service that takes its time over the
    farewell keeps nobody waiting. All are closed at the end of the block."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> BackgroundClose:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def close(self, connection: Closable) -> None:
        """Begin to close one."""
        self._tasks.append(asyncio.create_task(connection.close()))


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
