"""When silence needs a question, and when it means that the connection is dead.

A plain object without a clock. A connection whose other end vanished without a
goodbye looks open for minutes; only an unanswered question gives it away.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do now, and when to look again."""

    dead: bool
    """Nothing has come for too long: give the connection up."""
    ask: tuple[str | None, ...]
    """What to ping for: a turn, or (None) the connection itself."""
    next_at_s: float
    """Nothing changes before this, unless something is sent; infinite when never."""


class Silence:
    """Watches one connection. Times in s of any one clock.

    Args:
        now_s: when the connection became ready.
        ask_after_s: how long an unfinished turn may be silent before it is asked after.
        dead_after_s: how long nothing at all may come while something is due.
        heartbeat_s: how long a connection may be idle before it is pinged; None for ever.
    """

    def __init__(
        self, now_s: float, *, ask_after_s: float, dead_after_s: float, heartbeat_s: float | None
    ) -> None:
        self._ask_after_s = ask_after_s
        self._dead_after_s = dead_after_s
        self._heartbeat_s = math.inf if heartbeat_s is None else heartbeat_s
        self._ready_s = now_s
        self._heard_s = now_s
        self._pinged_s = now_s
        self._beat_s: float | None = None
        self._asked_s: dict[str, float] = {}

    @property
    def heard_s(self) -> float:
        """When something last came."""
        return self._heard_s

    def heard(self, now_s: float) -> None:
        """Something came, whatever it was."""
        self._heard_s = now_s
        self._beat_s = None

    def check(self, now_s: float, waiting: Mapping[str, float]) -> Verdict:
        """Decide.

        Args:
            now_s: the time.
            waiting: every unfinished turn, and since when it has been silent.
        """
        due_s = [max(since_s, self._heard_s) + self._dead_after_s for since_s in waiting.values()]
        if self._beat_s is not None:
            due_s.append(self._beat_s + self._dead_after_s)
        if due_s and now_s >= min(due_s):
            return Verdict(dead=True, ask=(), next_at_s=math.inf)
        ask: list[str | None] = []
        for turn_id, since_s in waiting.items():
            ask_s = self._ask_at_s(turn_id, since_s)
            if now_s >= ask_s:
                ask.append(turn_id)
                self._asked_s[turn_id] = self._pinged_s = now_s
                ask_s = now_s + self._ask_after_s
            due_s.append(ask_s)
        self._asked_s = {id_: at_s for id_, at_s in self._asked_s.items() if id_ in waiting}
        if now_s >= self._beat_at_s:
            ask.append(None)
            self._pinged_s = now_s
            if self._beat_s is None:
                self._beat_s = now_s
                due_s.append(now_s + self._dead_after_s)
        due_s.append(self._beat_at_s)
        return Verdict(dead=False, ask=tuple(ask), next_at_s=min(due_s))

    @property
    def _beat_at_s(self) -> float:
        return max(self._heard_s, self._pinged_s) + self._heartbeat_s

    def _ask_at_s(self, turn_id: str, since_s: float) -> float:
        asked_s = self._asked_s.get(turn_id, self._ready_s)
        return max(since_s, asked_s, self._ready_s) + self._ask_after_s
