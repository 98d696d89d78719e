"""A sequence that grows while it is read, and can be read again from its start.

The input of a provider call goes through one, so a retry sends the whole input again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class ReplayQueue(Generic[T]):
    """A sequence of items with an end. Every iteration yields all items, from the first."""

    def __init__(self) -> None:
        self._items: list[T] = []
        self._closed = False
        self._changed = asyncio.Event()

    @property
    def closed(self) -> bool:
        """Whether the last item has been put in."""
        return self._closed

    @property
    def items(self) -> Sequence[T]:
        """All items that have been put in so far."""
        return self._items

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T) -> None:
        """Add an item."""
        self._items.append(item)
        self._wake()

    def close(self) -> None:
        """Mark the end: no more items will come."""
        self._closed = True
        self._wake()

    async def __aiter__(self) -> AsyncIterator[T]:
        position = 0
        while True:
            while position < len(self._items):
                yield self._items[position]
                position += 1
            if self._closed:
                return
            await self._changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
