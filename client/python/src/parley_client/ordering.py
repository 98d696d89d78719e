"""Puts a turn's numbered events in order, each once. A plain object: no clock, no socket.

Events are numbered from 1 without a gap; a network or a replay may bring them
twice or out of order. How long to wait for a missing one is the owner's business.
"""

from __future__ import annotations

from itertools import islice
from typing import Generic, Protocol, TypeVar

MAX_NAMED = 100
"""How many missing numbers are named: enough to see what happened."""


class Numbered(Protocol):
    """Anything with a sequence number."""

    @property
    def seq(self) -> int | None: ...


E = TypeVar("E", bound=Numbered)


class EventOrder(Generic[E]):
    """Re-orders by `seq` and drops what has been seen."""

    def __init__(self) -> None:
        self.delivered = 0
        """Everything up to this number has been handed on."""
        self._early: dict[int, E] = {}

    def accept(self, event: E) -> list[E]:
        """Take one event and return what is now in order (often just this one)."""
        seq = event.seq
        if seq is None or seq <= self.delivered or seq in self._early:
            return []
        self._early[seq] = event
        ordered = []
        while (following := self._early.pop(self.delivered + 1, None)) is not None:
            self.delivered += 1
            ordered.append(following)
        return ordered

    @property
    def missing(self) -> list[int]:
        """Numbers that later events show to be missing, the first `MAX_NAMED` of them."""
        if not self._early:
            return []
        waited_for = range(self.delivered + 1, max(self._early))
        return list(islice((seq for seq in waited_for if seq not in self._early), MAX_NAMED))
