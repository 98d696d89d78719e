"""Decides what goes wrong. No clock and no I/O: gateway and runtime ask, and do it.

Every fault of a plan draws from a generator of its own, seeded by the plan's seed and the
fault's place in it. So the same questions in the same order get the same answers, and what
one fault is asked does not change what another answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

import msgspec

from samwire.faults import plan as plans
from samwire.faults.plan import Plan

F = TypeVar("F", bound=plans.Fault)


@dataclass(frozen=True, slots=True)
class MessageTrouble:
    """What happens to a client's message.

    Attributes:
        hold_s: how long it waits at most for the next one to be handled before it.
        drop: whether its connection is lost.
    """

    delay_s: float = 0.0
    copies: int = 1
    hold_s: float | None = None
    drop: bool = False


@dataclass(frozen=True, slots=True)
class PostTrouble:
    """What happens to a post.

    Attributes:
        status: that it is refused with; None if it is not.
        drop: whether it is lost, and its connection with it.
    """

    delay_s: float = 0.0
    status: int | None = None
    drop: bool = False


@dataclass(frozen=True, slots=True)
class CallTrouble:
    """What happens to an invocation."""

    throttled: bool = False
    kill_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class EventTrouble:
    """What happens to an asynchronous invocation in its queue."""

    delay_s: float = 0.0
    copies: int = 1


class _Armed:
    """A fault of the plan with its chances and counts."""

    def __init__(self, fault: plans.Fault, seed: int, place: int) -> None:
        self.fault = fault
        self.chance = Random(f"{seed}/{place}")  # nosec B311  # to be repeated is the point
        self.asked = 0
        self.fired = 0

    def fires(self) -> bool:
        self.asked += 1
        if self.asked <= self.fault.skip:
            return False
        if self.fault.times is not None and self.fired >= self.fault.times:
            return False
        if self.chance.random() >= self.fault.rate:
            return False
        self.fired += 1
        return True


class Faults:
    """The faults of a plan, which may be replaced at any time.

    Args:
        fired: told the kind of every fault that happens, and to what.
    """

    def __init__(self, plan: Plan, fired: Callable[[str, str], None]) -> None:
        self._fired = fired
        self.replace(plan)

    def replace(self, plan: Plan) -> None:
        """Follow another plan from its beginning."""
        self._plan = plan
        self._armed = [_Armed(fault, plan.seed, i) for i, fault in enumerate(plan.faults)]

    def described(self) -> dict[str, Any]:
        """Return the plan, with how often each fault was asked for and has happened."""
        return {
            "seed": self._plan.seed,
            "faults": [
                {**msgspec.to_builtins(armed.fault), "asked": armed.asked, "fired": armed.fired}
                for armed in self._armed
            ],
        }

    def message(self, connection_id: str) -> MessageTrouble:
        """Return the fault that meets a client's message."""
        to = connection_id
        if not self._armed:
            return MessageTrouble()
        drops = self._happening(plans.DropConnection, to, lambda fault: fault.on == "message")
        holds = [fault.hold_ms / 1000 for fault, _ in self._happening(plans.ReorderMessage, to)]
        copies = 1 + len(list(self._happening(plans.DuplicateMessage, to)))
        delays = self._happening(plans.DelayMessage, to)
        return MessageTrouble(
            delay_s=sum(
                _drawn_s(fault.delay_ms, fault.jitter_ms, chance) for fault, chance in delays
            ),
            copies=copies,
            hold_s=max(holds, default=None),
            drop=bool(list(drops)),
        )

    def post(self, connection_id: str) -> PostTrouble:
        """Return the fault that meets a function's post to a connection."""
        to = connection_id
        if not self._armed:
            return PostTrouble()
        delays = self._happening(plans.DelayPost, to)
        delay_s = sum(_drawn_s(fault.delay_ms, fault.jitter_ms, chance) for fault, chance in delays)
        statuses = [fault.status for fault, _ in self._happening(plans.FailPost, to)]
        if statuses:
            return PostTrouble(delay_s, statuses[0])
        drops = self._happening(plans.DropConnection, to, lambda fault: fault.on == "post")
        return PostTrouble(delay_s, None, drop=bool(list(drops)))

    def call(self, logical_id: str, name: str) -> CallTrouble:
        """Return the fault that meets the invocation of a function."""
        if not self._armed:
            return CallTrouble()
        concerns = _concerning(logical_id, name)
        if list(self._happening(plans.ThrottleFunction, logical_id, concerns)):
            return CallTrouble(throttled=True)
        kills = self._happening(plans.KillFunction, logical_id, concerns)
        times = [_drawn_s(fault.after_ms, fault.jitter_ms, chance) for fault, chance in kills]
        return CallTrouble(kill_after_s=min(times, default=None))

    def event(self, logical_id: str, name: str) -> EventTrouble:
        """Return the fault that meets the asynchronous invocation of a function."""
        if not self._armed:
            return EventTrouble()
        concerns = _concerning(logical_id, name)
        delays = self._happening(plans.DelayEvent, logical_id, concerns)
        delay_s = sum(_drawn_s(fault.delay_ms, fault.jitter_ms, chance) for fault, chance in delays)
        copies = 1 + len(list(self._happening(plans.DuplicateEvent, logical_id, concerns)))
        return EventTrouble(delay_s, copies)

    def _happening(
        self, kind: type[F], to: str, concerns: Callable[[F], bool] = lambda _fault: True
    ) -> Iterator[tuple[F, Random]]:
        """Yield the faults of a kind that happen now, each with its generator."""
        for armed in self._armed:
            fault = armed.fault
            if isinstance(fault, kind) and concerns(fault) and armed.fires():
                self._fired(str(fault.__struct_config__.tag), to)
                yield fault, armed.chance


def _concerning(logical_id: str, name: str) -> Callable[[plans.OfFunction], bool]:
    return lambda fault: fault.function in (None, logical_id, name)


def _drawn_s(at_least_ms: float, jitter_ms: float, chance: Random) -> float:
    """Return a time in seconds."""
    return (at_least_ms + chance.uniform(0, jitter_ms)) / 1000
