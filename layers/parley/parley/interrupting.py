"""An interruption: while the turn runs, and after its end while its audio still plays.

The same for a message of a connection and for an HTTP request.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from parley.heard import heard_text
from parley.inbox import InterruptEntry
from parley.items import TurnItem
from parley.principal import SessionRef
from parley.store import Store
from parley.turns import Turns

TURN_APPEARS_S = 0.6
"""How long a turn that was just asked for may take to appear in the table."""


@dataclass(frozen=True, slots=True)
class Interrupted:
    """What came of an interruption.

    Attributes:
        running: the turn runs, and stops as soon as it looks into its inbox.
        heard: what of the reply of a turn that has ended was heard; None if that is not known.
    """

    running: bool
    heard: str | None = None


class Interrupting:
    """Stops turns, and notes what was heard of those that have ended."""

    def __init__(self, store: Store, turns: Turns) -> None:
        self._store = store
        self._turns = turns

    def interrupt(self, ref: SessionRef, turn_id: str, entry: InterruptEntry) -> Interrupted | None:
        """Interrupt a turn; None if the session has no such turn.

        Args:
            entry: with `played_ms`, which is how much of the reply's audio was heard.
        """
        # Into the inbox first: the turn may be about to begin, and must find it there.
        self._turns.inboxes.put_interrupt(ref, turn_id, entry)
        turn = self._turn(ref, turn_id)
        if turn is None or turn.running:
            return None if turn is None else Interrupted(running=True)
        if entry.played_ms is None or not turn.message_key or not turn.parts:
            return Interrupted(running=False)
        heard = heard_text(turn.parts, entry.played_ms)
        self._store.set_heard(ref, turn.message_key, heard, entry.received_at_ms, entry.played_ms)
        return Interrupted(running=False, heard=heard)

    def _turn(self, ref: SessionRef, turn_id: str) -> TurnItem | None:
        deadline = time.monotonic() + TURN_APPEARS_S
        while (turn := self._turns.turn(ref, turn_id)) is None:
            if time.monotonic() >= deadline:
                return None
            time.sleep(0.05)
        return turn
