"""What has happened lately, bounded, in memory: connections, messages, posts, invocations."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

MAX_ENTRIES = 5000
MAX_BYTES = 32 * 1024 * 1024
MAX_TEXT = 32 * 1024
"""Characters of a text that an entry keeps; audio makes long ones."""
MAX_BEHIND = 2000
"""Entries that a follower may lag behind before it is cut off."""


class Journal:
    """Keeps entries, and hands them to those who follow.

    An entry is JSON text: `id` from 1, `at_ms` since the epoch, `kind`, and its own fields.
    """

    def __init__(self, max_entries: int = MAX_ENTRIES, max_bytes: int = MAX_BYTES) -> None:
        self._entries: deque[tuple[int, str]] = deque()
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._bytes = 0
        self._last_id = 0
        self._followers: set[asyncio.Queue[str]] = set()

    def add(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Write an entry."""
        self._last_id += 1
        entry = json.dumps(
            {
                "id": self._last_id,
                "at_ms": int(time.time() * 1000),
                "kind": kind,
                **{name: _shortened(value) for name, value in fields.items()},
            }
        )
        self._entries.append((self._last_id, entry))
        self._bytes += len(entry)
        while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
            self._bytes -= len(self._entries.popleft()[1])
        for queue in list(self._followers):
            try:
                queue.put_nowait(entry)
            except asyncio.QueueFull:
                self._followers.discard(queue)

    def after(self, last_id: int = 0) -> list[str]:
        """Return the entries after one, oldest first; those that are kept still."""
        return [entry for number, entry in self._entries if number > last_id]

    def follow(self, last_id: int = 0) -> asyncio.Queue[str]:
        """Return a queue of the entries after one, and of all to come until `leave`."""
        queue: asyncio.Queue[str] = asyncio.Queue(self._max_entries + MAX_BEHIND)
        for entry in self.after(last_id):
            queue.put_nowait(entry)
        self._followers.add(queue)
        return queue

    def follows(self, queue: asyncio.Queue[str]) -> bool:
        """Return whether a queue still gets entries; not if its reader is too slow."""
        return queue in self._followers

    def leave(self, queue: asyncio.Queue[str]) -> None:
        """Stop filling a queue."""
        self._followers.discard(queue)


def _shortened(value: Any) -> Any:
    if isinstance(value, str) and len(value) > MAX_TEXT:
        return f"{value[:MAX_TEXT]}… ({len(value)} characters)"
    if isinstance(value, list):
        return [_shortened(item) for item in value]
    return value
