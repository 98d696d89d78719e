"""What is due once a reply has been played and nobody says anything: the server is told of the
silence, or the conversation hangs up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from parley_client.messages import SilenceRules

DAY_MS = 86_400_000.0
"""The longest silence that can be told."""


class Pause:
    """The time since the last reply had been played to its end.

    Args:
        rules: gives what `ready.silence` says.
        tell: told how long the silence is, in ms.
        hang_up: called when the agent's last reply has been played.
    """

    def __init__(
        self,
        *,
        rules: Callable[[], SilenceRules | None],
        tell: Callable[[float], None],
        hang_up: Callable[[], None],
    ) -> None:
        self._rules = rules
        self._tell = tell
        self._hang_up = hang_up
        self._since_s: float | None = None
        self._asked = False
        """Whether the last turn asked whether the user is there."""
        self._is_last = False
        """Whether the agent ended the session with it."""
        self._told = False
        self._connected = False
        self._timer: asyncio.TimerHandle | None = None

    def began(self, cause: str | None) -> None:
        """A turn begins: by the agent, if there is a cause."""
        self.reset()
        self._asked = cause == "silence"

    def begins(self, at_s: float, *, is_last: bool) -> None:
        """No turn is unfinished, and the reply will have been played by then (loop time).

        Args:
            at_s: when.
            is_last: whether the agent has ended the session with it.
        """
        self._since_s, self._is_last, self._told = at_s, is_last, False
        self._arm()

    def connected(self) -> None:
        """The server can be told."""
        self._connected = True
        self._arm()

    def lost(self) -> None:
        """It cannot, and may not have heard what it was told: telling it twice does no harm."""
        self._connected = self._told = False
        self._disarm()

    def reset(self) -> None:
        """Nobody is silent: until there has been a reply."""
        self._since_s = None
        self._is_last = self._told = False
        self._disarm()

    # --- inside -----------------------------------------------------------------

    def _arm(self) -> None:
        self._disarm()
        due_s = self._due_s()
        if self._connected and due_s is not None:
            self._timer = asyncio.get_running_loop().call_at(due_s, self._fall_due)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due_s(self) -> float | None:
        if self._since_s is None or self._told:
            return None
        if self._is_last:
            return self._since_s
        limit_ms = self._limit_ms()
        return None if limit_ms is None else self._since_s + limit_ms / 1000

    def _limit_ms(self) -> float | None:
        rules = self._rules() or SilenceRules()
        if self._asked or rules.ask_after_ms is None:
            return rules.end_after_ms
        return rules.ask_after_ms

    def _fall_due(self) -> None:
        self._timer, self._told = None, True
        if self._is_last:
            self._hang_up()
            return
        assert self._since_s is not None, "it is due"
        silent_ms = (asyncio.get_running_loop().time() - self._since_s) * 1000
        # A timer may be early by the clock's resolution.
        self._tell(min(max(silent_ms, self._limit_ms() or 0), DAY_MS))
