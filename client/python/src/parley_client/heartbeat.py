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


class Heartbeat:
    """Watches one connection. Times in s of any one clock.

    A connection is dead when a question has gone unanswered, never by the time alone:
    a client that was too busy to look has not been kept waiting.

    Args:
        now_s: when the connection became ready.
        ask_after_s: how long an unfinished turn may be silent before it is asked after.
        dead_after_s: how long nothing at all may come: since then, or after a heartbeat.
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
        self._dead_at_s = math.inf
        self._asked_s: dict[str, float] = {}

    @property
    def heard_s(self) -> float:
        """When something last came."""
        return self._heard_s

    def heard(self, now_s: float) -> None:
        """Something came, whatever it was."""
        self._heard_s = now_s
        self._dead_at_s = math.inf

    def check(self, now_s: float, waiting: Mapping[str, float]) -> Verdict:
        """Decide.

        Args:
            now_s: the time.
            waiting: every unfinished turn, and since when it has been silent.
        """
        if now_s >= self._dead_at_s:
            return Verdict(dead=True, ask=(), next_at_s=math.inf)
        ask: list[str | None] = [
            turn_id
            for turn_id, since_s in waiting.items()
            if now_s >= self._ask_at_s(turn_id, since_s)
        ]
        self._asked_s = {
            turn_id: now_s if turn_id in ask else self._asked_s.get(turn_id, self._ready_s)
            for turn_id in waiting
        }
        if ask:
            self._expect_answer(now_s, self._dead_after_s - self._ask_after_s)
        elif now_s >= self._beat_at_s:
            ask.append(None)
            self._expect_answer(now_s, self._dead_after_s)
        next_at_s = min(
            self._dead_at_s,
            self._beat_at_s,
            *(self._ask_at_s(turn_id, since_s) for turn_id, since_s in waiting.items()),
        )
        return Verdict(dead=False, ask=tuple(ask), next_at_s=next_at_s)

    def _expect_answer(self, now_s: float, within_s: float) -> None:
        self._pinged_s = now_s
        self._dead_at_s = min(self._dead_at_s, now_s + within_s)

    @property
    def _beat_at_s(self) -> float:
        return max(self._heard_s, self._pinged_s) + self._heartbeat_s

    def _ask_at_s(self, turn_id: str, since_s: float) -> float:
        asked_s = self._asked_s.get(turn_id, self._ready_s)
        return max(since_s, asked_s, self._ready_s) + self._ask_after_s
