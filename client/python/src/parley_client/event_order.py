"""Puts a turn's numbered events in order, each once. Plain objects: no clock, no socket.

Events are numbered from 1 without a gap, and anew with each attempt at the turn; a
network or a replay may bring them twice, out of order, or from an attempt that is
over. How long to wait for a missing one is the owner's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Generic, Protocol, TypeVar

from parley_client.events import TurnEvent
from parley_client.messages import Error, TurnEnd

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


@dataclass(frozen=True, slots=True)
class Arrival:
    """What an event brought about."""

    events: tuple[TurnEvent, ...] = ()
    """What is in order now."""
    restarted: bool = False
    """A newer attempt began with it: everything delivered before is void."""


class TurnOrder:
    """The events of one turn over all attempts at it."""

    def __init__(self) -> None:
        self.attempt = 1
        self.ended = False
        """The attempt's `turn_end` has been handed on: nothing follows it."""
        self._order: EventOrder[TurnEvent] = EventOrder()
        self._explained = False

    @property
    def delivered(self) -> int:
        """Everything of this attempt up to this number has been handed on."""
        return self._order.delivered

    @property
    def missing(self) -> list[int]:
        """Numbers that are known to be missing."""
        return [] if self.ended else self._order.missing

    def begin(self, attempt: int) -> None:
        """A newer attempt: its events count from 1 again."""
        self.attempt = attempt
        self.ended = False
        self._order = EventOrder()
        self._explained = False

    def accept(self, event: TurnEvent) -> Arrival:
        """Take one event. Those of an older attempt, or after the end, are dropped."""
        if event.attempt < self.attempt:
            return Arrival()
        restarted = event.attempt > self.attempt
        if restarted:
            self.begin(event.attempt)
        if self.ended:
            return Arrival()
        if event.seq == 0:
            # Another function ends a turn whose function died. It does not know the numbers.
            return Arrival(self._epilogue(event), restarted)
        events = self._order.accept(event)
        self.ended = any(isinstance(each, TurnEnd) for each in events)
        return Arrival(tuple(events), restarted)

    def _epilogue(self, event: TurnEvent) -> tuple[TurnEvent, ...]:
        """Why the attempt broke off, and that it did: each once."""
        if isinstance(event, TurnEnd):
            self.ended = True
        elif isinstance(event, Error) and not self._explained:
            self._explained = True
        else:
            return ()
        return (event,)
