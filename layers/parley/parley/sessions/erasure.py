"""Erases sessions, so that nothing of them is left: not of what is written at the same time either.

A late write, an audio chunk or a reply of a turn that still runs, could only be refused by a
transaction that looks at another item, which costs every write four times as much. Instead
whoever writes looks afterwards whether the session is still there, and removes what it has written
if it is not; and whoever erases marks the session first and removes everything afterwards. So one
of the two finds the other. A writer that saw the session less than `KNOWN_THERE_S` ago need not
look again; whoever erases waits longer than that before it removes anything.
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
"""How long after the mark everything is written that nobody looks after; a second more than
needed, for clocks that differ."""
PATIENCE_S = 20.0
"""How long to wait for turns that run: API Gateway waits for 30 s."""
POLL_S = 0.1


class Erasure:
    """Erases sessions.

    Args:
        recordings: where turns are recorded; None if they are not.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        store: SessionStore,
        turns: TurnStore,
        recordings: Recordings | None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._turns = turns
        self._recordings = recordings
        self._sleep = sleep

    def erase(self, ref: SessionRef, patience_s: float = PATIENCE_S) -> bool:
        """Erase a session, of whatever state; may be done again and at the same time.

        Returns:
            Whether it is done. If not, what there was is gone, but for the turn that runs and
            has been told to stop, and what it may still write; the same call finishes it later.
        """
        erased_at_ms = self._store.mark_erased(ref)
        settled = erased_at_ms is None or self._settled(ref, erased_at_ms, patience_s)
        if self._recordings is not None:
            self._recordings.delete(ref)
        self._store.sweep(ref, turns=settled)
        if settled:
            self._store.forget_session(ref)
        return settled

    def _settled(self, ref: SessionRef, erased_at_ms: int, patience_s: float) -> bool:
        """Stop the session's turns and wait until nobody writes any more."""
        deadline = time.monotonic() + patience_s
        running = self._stop(ref)
        while True:
            running = [turn_id for turn_id in running if self._runs(ref, turn_id)]
            if not running and time.time() >= erased_at_ms / 1000 + SETTLE_S:
                running = self._stop(ref)  # one may have begun just before the mark
                if not running:
                    return True
            if time.monotonic() >= deadline:
                return False
            self._sleep(POLL_S)

    def _stop(self, ref: SessionRef) -> list[str]:
        """Stop every turn that runs. Reads the whole session: once before and once after the
        wait, in which only the turns that were found are looked at."""
        running = list(self._turns.running(ref))
        for turn_id in running:
            self._turns.inboxes.put_interrupt(ref, turn_id, InterruptEntry(None, now_ms()))
        return running

    def _runs(self, ref: SessionRef, turn_id: str) -> bool:
        turn = self._turns.turn(ref, turn_id)
        return turn is not None and turn.running and turn.lease_until_ms > now_ms()
