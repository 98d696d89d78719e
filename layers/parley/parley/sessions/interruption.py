"""Interrupts turns: before they begin, while they run, and while their audio still plays.

It is the same for a message of a connection and for an HTTP request. It writes once and reads once,
and waits for nothing: a turn that has not begun finds the interruption in its inbox.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from parley.audio.heard import heard_text, is_estimated
from parley.principal import SessionRef
from parley.storage.inbox_entries import InterruptEntry
from parley.storage.sessions import SessionStore
from parley.storage.turns import TurnStore

TurnState = Literal["pending", "running", "ended"]
"""The state of a turn when it was interrupted. A `pending` turn has not begun, and may never."""


@dataclass(frozen=True, slots=True)
class InterruptResult:
    """The result of an interruption.

    Attributes:
        state: a turn that has not ended stops when it next reads its inbox.
        heard: the part of an ended turn's reply that was heard; None if it is not known.
        heard_estimated: whether that is an estimate.
    """

    state: TurnState
    heard: str | None = None
    heard_estimated: bool = False


class Interruption:
    """Stops turns, and stores what was heard of those that have ended."""

    def __init__(self, sessions: SessionStore, turns: TurnStore) -> None:
        self._sessions = sessions
        self._turns = turns

    def interrupt(self, ref: SessionRef, turn_id: str, entry: InterruptEntry) -> InterruptResult:
        """Interrupt a turn, which may not have begun.

        Args:
            entry: the interruption. Its `played_ms` is how much of the reply's audio was heard.
        """
        # Into the inbox first: a turn that is not there at the read below starts afterwards, and
        # then reads its inbox.
        self._turns.inboxes.put_interrupt(ref, turn_id, entry)
        turn = self._turns.get_turn(ref, turn_id)
        if turn is None or turn.running:
            return InterruptResult("pending" if turn is None else "running")
        if entry.played_ms is None or not turn.message_key or not turn.parts:
            return InterruptResult("ended")
        heard = heard_text(turn.parts, entry.played_ms)
        estimated = is_estimated(turn.parts, entry.played_ms)
        self._sessions.set_heard(
            ref,
            turn.message_key,
            heard,
            entry.received_at_ms,
            entry.played_ms,
            estimated=estimated,
        )
        return InterruptResult("ended", heard, estimated)
