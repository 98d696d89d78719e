"""Erases sessions, also what is written for them at the same time.

Only a transaction over another item could refuse a late write, such as an audio chunk or the reply
of a turn that still runs. It would make every write cost four times as much. Instead both sides
check: the erasure first marks the session and then removes everything, and a writer checks after
its write whether the session is still there and removes what it has written if not. So one of the
two finds the other. A writer that saw the session less than `KNOWN_THERE_S` ago need not check
again, because the erasure waits longer than that before it removes anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from parley.clock import now_ms
from parley.principal import SessionRef
from parley.storage.inbox_entries import InterruptEntry
from parley.storage.recordings import Recordings
from parley.storage.sessions import KNOWN_THERE_S, SessionStore
from parley.storage.turns import TurnStore

SETTLE_S = KNOWN_THERE_S + 1.0
"""How long after the mark unchecked writes may come; a second more, for clocks that differ."""
WAIT_S = 20.0
"""How long to wait for turns that run, because API Gateway waits for 30 s."""
POLL_S = 0.1


class Erasure:
    """Erases sessions.

    Args:
        recordings: where turns are recorded; None if they are not.
        sleep: waits; takes seconds.
    """

    def __init__(
        self,
        sessions: SessionStore,
        turns: TurnStore,
        recordings: Recordings | None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._sessions = sessions
        self._turns = turns
        self._recordings = recordings
        self._sleep = sleep

    def erase(self, ref: SessionRef, wait_s: float = WAIT_S) -> bool:
        """Erase a session of any state. Calls may be repeated, and may overlap.

        Args:
            wait_s: how long to wait for turns that run.

        Returns:
            Whether nothing is left. If not, a turn still runs and may write; it has been told to
            stop, and the same call finishes the erasure later.
        """
        erased_at_ms = self._sessions.mark_erased(ref)
        settled = erased_at_ms is None or self._wait_for_writers(ref, erased_at_ms, wait_s)
        if self._recordings is not None:
            self._recordings.delete(ref)
        self._sessions.sweep_session(ref, turns=settled)
        if settled:
            self._sessions.forget_session(ref)
        return settled

    def _wait_for_writers(self, ref: SessionRef, erased_at_ms: int, wait_s: float) -> bool:
        """Stop the session's turns; return whether nothing writes for it any more."""
        deadline = time.monotonic() + wait_s
        running = self._stop_turns(ref)
        while True:
            running = [turn_id for turn_id in running if self._is_running(ref, turn_id)]
            if not running and time.time() >= erased_at_ms / 1000 + SETTLE_S:
                running = self._stop_turns(ref)  # a turn may have begun just before the mark
                if not running:
                    return True
            if time.monotonic() >= deadline:
                return False
            self._sleep(POLL_S)

    def _stop_turns(self, ref: SessionRef) -> list[str]:
        """Stop every turn that runs; return their ids. It reads the whole session."""
        running = list(self._turns.list_running(ref))
        for turn_id in running:
            self._turns.inboxes.put_interrupt(ref, turn_id, InterruptEntry(None, now_ms()))
        return running

    def _is_running(self, ref: SessionRef, turn_id: str) -> bool:
        turn = self._turns.get_turn(ref, turn_id)
        return turn is not None and turn.running and turn.lease_until_ms > now_ms()
