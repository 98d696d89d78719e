"""Messages that wait for one answer (`config`, `ping`, `end`), oldest first.

A plain ledger of futures: it sends nothing and knows no clock.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, TypeVar

from parley_client.events import Answer
from parley_client.messages import ClientMessage, Pong

A = TypeVar("A", bound=Answer)


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    message: ClientMessage
    answer: type[Answer]
    future: asyncio.Future[Any]

    def is_answered_by(self, answer: Answer) -> bool:
        # the connection's own pings bring pongs too; what was sent comes back as it was
        ours = not isinstance(answer, Pong) or answer.sent_at == self.message.get("sent_at")
        return isinstance(answer, self.answer) and ours


class Requests:
    """Who waits for which kind of answer."""

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []

    @property
    def unanswered(self) -> list[ClientMessage]:
        """The messages, oldest first."""
        return [entry.message for entry in self._waiting]

    def expect(self, message: ClientMessage, answer: type[A]) -> asyncio.Future[A]:
        """A future for the answer to a message."""
        future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        entry = _Waiting(message, answer, future)  # type: ignore[arg-type]  # A is one of a union
        self._waiting.append(entry)
        return future

    def answer(self, answer: Answer) -> None:
        """Give an answer to the request that has waited longest for it."""
        for entry in self._waiting:
            if entry.is_answered_by(answer):
                self._waiting.remove(entry)
                if not entry.future.done():
                    entry.future.set_result(answer)
                return

    def refuse(self, failure: Exception, kind: str | None = None) -> bool:
        """Fail the oldest request, or the oldest of that `kind`; False when there is none."""
        for entry in self._waiting:
            if kind in (None, entry.message["type"]):
                self._waiting.remove(entry)
                if not entry.future.done():
                    entry.future.set_exception(failure)
                return True
        return False

    def forget(self, future: asyncio.Future[A]) -> None:
        """Nobody waits for this one any more."""
        self._waiting = [entry for entry in self._waiting if entry.future is not future]

    def fail_all(self, failure: Exception) -> None:
        """No answers will come."""
        while self._waiting:
            self.refuse(failure)
