"""Messages that wait for one answer (`init`, `config`, `ping`, `end`), oldest first.

A plain ledger of futures: it sends nothing and knows no clock.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TypeVar

from parley_client.messages import Answer

A = TypeVar("A", bound=Answer)


class Requests:
    """Who waits for which kind of answer."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[str, type[Answer], asyncio.Future[Answer]]] = deque()

    def expect(self, kind: str, answer: type[A]) -> asyncio.Future[A]:
        """A future for the answer to a message of type `kind`."""
        future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((kind, answer, future))  # type: ignore[arg-type]  # Future is invariant
        return future

    def answer(self, answer: Answer) -> None:
        """Give an answer to whoever has waited longest for its type."""
        for entry in self._waiting:
            if isinstance(answer, entry[1]):
                self._waiting.remove(entry)
                if not entry[2].done():
                    entry[2].set_result(answer)
                return

    def refuse(self, failure: Exception, kind: str | None = None) -> bool:
        """Fail the oldest request, or the oldest of that `kind`; False when there is none."""
        for entry in self._waiting:
            if kind in (None, entry[0]):
                self._waiting.remove(entry)
                if not entry[2].done():
                    entry[2].set_exception(failure)
                return True
        return False

    def forget(self, future: asyncio.Future[A]) -> None:
        """Nobody waits for this one any more."""
        self._waiting = deque(entry for entry in self._waiting if entry[2] is not future)

    def fail_all(self, failure: Exception) -> None:
        """No answers will come."""
        while self._waiting:
            self.refuse(failure)
