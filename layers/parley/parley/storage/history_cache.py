"""A cache of the histories of an environment's sessions: only new messages are read.

A turn needs the whole conversation. The history of a session that this environment has served has
grown by a turn or two since. So a turn reads from the last turn that the cache knows, whose reply
may have been interrupted since, or from an earlier turn whose reply was not there yet. What came
before cannot change any more.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from parley.principal import SessionRef
from parley.storage.history import History, cut_history
from parley.storage.item_codec import Session
from parley.storage.sessions import ERASED, SessionStore

MAX_SESSIONS = 100
MAX_OPEN_TURNS = 4
"""How many of the last turns may still be running. A new turn interrupts the one before."""
SLACK_MS = 2_000
"""How much earlier is read than from the last turn on: what a backend tells between two turns may
be written while the second one begins, by another clock."""


class HistoryCache:
    """Reads sessions and their histories. Safe to use from threads.

    Args:
        store: the sessions.
        messages: how many of a session's last messages are returned.
        rounds: how many rounds of tool calls may be among them; 0 where there are no tools.
    """

    def __init__(self, store: SessionStore, messages: int, rounds: int = 0) -> None:
        self._store = store
        self._messages = messages
        self._rounds = rounds
        self._known: OrderedDict[SessionRef, History] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, ref: SessionRef) -> tuple[Session | None, History]:
        """Return the session as it is now, and its last messages."""
        with self._lock:
            known = self._known.get(ref)
        if known is None or not known.messages:
            session, history = self._store.read_conversation(
                ref, self._messages, rounds=self._rounds
            )
        else:
            since_ms = _open_since_ms(known) - SLACK_MS
            since = f"MESSAGE#{max(0, since_ms):015d}#"
            session, news = self._store.read_conversation(
                ref, self._messages, since, rounds=self._rounds
            )
            history = cut_history(_joined(known, news, since_ms), self._messages)
        with self._lock:
            if session is None or session.status == ERASED:
                self._known.pop(ref, None)
                return None, History()
            self._known[ref] = history
            self._known.move_to_end(ref)
            if len(self._known) > MAX_SESSIONS:
                self._known.popitem(last=False)
        return session, history


def _joined(known: History, news: History, since_ms: int) -> History:
    """Return what is known from before a time, and what was read since."""
    settled = [message for message in known.messages if message.started_ms < since_ms]
    turns = {message.turn_id for message in settled}
    rounds = {turn: found for turn, found in known.rounds.items() if turn in turns}
    return History(settled + news.messages, {**rounds, **news.rounds})


def _open_since_ms(known: History) -> int:
    """Return when the first turn began that may still change."""
    messages = known.messages
    replied = {message.turn_id for message in messages if message.role != "user"}
    # A write that was begun is finished after an interruption, and its result comes later.
    replied -= {turn for turn, rounds in known.rounds.items() if any(r.is_open for r in rounds)}
    last = dict.fromkeys(message.turn_id for message in reversed(messages))
    unanswered = {turn for turn in list(last)[:MAX_OPEN_TURNS] if turn not in replied}
    begun = [message.started_ms for message in messages if message.turn_id in unanswered]
    return min([messages[-1].started_ms, *begun])
