"""An interruption: before the turn begins, while it runs, and while its audio still plays.

The same for a message of a connection and for an HTTP request. It writes once and looks once, and
waits for nothing: a turn that has not begun finds the interruption in its inbox when it does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from parley.audio.heard import heard_text
from parley.principal import SessionRef
from parley.storage.inbox_entries import InterruptEntry
from parley.storage.sessions import SessionStore
from parley.storage.turns import TurnStore

TurnState = Literal["pending", "running", "ended"]
"""How an interruption found its turn; `pending`: it has not begun, and perhaps never will."""


@dataclass(frozen=True, slots=True)
class Interrupted:
    """What came of an interruption.

    Attributes:
        state: a turn that has not ended stops as soon as it looks into its inbox.
        heard: what of the reply of a turn that has ended was heard; None if that is not known.
    """

    state: TurnState
    heard: str | None = None


class Interruption:
    """Stops turns, and notes what was heard of those that have ended."""

    def __init__(self, store: SessionStore, turns: TurnStore) -> None:
        self._store = store
        self._turns = turns

    def interrupt(self, ref: SessionRef, turn_id: str, entry: InterruptEntry) -> Interrupted:
        """Interrupt a turn, which may not have begun.

        Args:
            entry: with `played_ms`, which is how much of the reply's audio was heard.
        """
        # Into the inbox first: a turn that is not there when we look claims itself afterwards, and
        # reads its inbox after that.
        self._turns.inboxes.put_interrupt(ref, turn_id, entry)
        turn = self._turns.turn(ref, turn_id)
        if turn is None or turn.running:
            return Interrupted("pending" if turn is None else "running")
        if entry.played_ms is None or not turn.message_key or not turn.parts:
            return Interrupted("ended")
        heard = heard_text(turn.parts, entry.played_ms)
        self._store.set_heard(ref, turn.message_key, heard, entry.received_at_ms, entry.played_ms)
        return Interrupted("ended", heard)
