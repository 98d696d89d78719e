"""What is said while there is no connection, in order and within bounds. A plain object."""

from __future__ import annotations

from collections import deque

from parley_client.encoder import encode
from parley_client.errors import QueueFull
from parley_client.messages import ClientMessage


class Backlog:
    """Messages that wait to be sent.

    Args:
        max_messages: how many may wait.
        max_bytes: how large they may be together, as UTF-8.
    """

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._waiting: deque[tuple[ClientMessage, int]] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, message: ClientMessage, *, always: bool = False) -> None:
        """Queue a message; with `always`, whatever the bounds: for the few small ones
        (acknowledgements, interruptions) that must not be refused.

        Raises:
            QueueFull: there is no room for it.
        """
        size = len(encode(message).encode())
        if not always and (
            len(self._waiting) >= self._max_messages or self._bytes + size > self._max_bytes
        ):
            raise QueueFull(
                f"There is no connection, and {len(self._waiting):,} messages "
                f"({self._bytes:,} bytes) wait for one already; at most {self._max_messages:,} "
                f"messages and {self._max_bytes:,} bytes can. Say it again later."
            )
        self._waiting.append((message, size))
        self._bytes += size

    def holds(self, message: ClientMessage) -> bool:
        """Whether this very message waits."""
        return any(waiting is message for waiting, _ in self._waiting)

    @property
    def first(self) -> ClientMessage | None:
        """The message that has waited longest."""
        return self._waiting[0][0] if self._waiting else None

    def drop_first(self) -> None:
        """It has been sent."""
        _, size = self._waiting.popleft()
        self._bytes -= size
