"""How often the table has been asked, for the metrics of a turn."""

from __future__ import annotations

import functools
import threading
from typing import Any, TypeVar, cast

C = TypeVar("C")

_WRITES = frozenset(
    ("put_item", "update_item", "delete_item", "batch_write_item", "transact_write_items")
)
_READS = frozenset(("get_item", "batch_get_item", "query"))


class TableCalls:
    """Counts the calls of the turn that an environment runs: it runs one at a time.

    Safe to use from threads.

    Attributes:
        reads, writes: since the turn began.
    """

    def __init__(self) -> None:
        self.reads = self.writes = 0
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Note that a turn begins."""
        with self._lock:
            self.reads = self.writes = 0

    def note(self, operation: str) -> None:
        """Note a call, by the name that the client has for it."""
        with self._lock:
            self.reads += operation in _READS
            self.writes += operation in _WRITES


def count_calls(client: C, calls: TableCalls) -> C:
    """Return a client that does as another one does, and notes its calls."""
    return cast("C", _CountedClient(client, calls))


class _CountedClient:
    """Passes calls on to a client of the table, and notes them."""

    def __init__(self, client: Any, calls: TableCalls) -> None:
        self._client = client
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        """Return the client's own method, which notes that it is called."""
        method = getattr(self._client, name)
        if name not in _READS and name not in _WRITES:
            return method

        @functools.wraps(method)
        def call(*args: Any, **named: Any) -> Any:
            self._calls.note(name)
            return method(*args, **named)

        setattr(self, name, call)  # asked for dozens of times a turn
        return call
