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
from parley.protocol.messages import Message
from parley.storage.item_codec import Session
from parley.storage.sessions import ERASED, SessionStore

MAX_SESSIONS = 100
MAX_OPEN_TURNS = 4
"""How many of the last turns may still be running. A new turn interrupts the one before."""


class HistoryCache:
    """Reads sessions and their histories. Safe to use from threads.

    Args:
        store: the sessions.
        messages: how many of a session's last messages are returned.
    """

    def __init__(self, store: SessionStore, messages: int) -> None:
        self._store = store
        self._messages = messages
        self._known: OrderedDict[SessionRef, list[Message]] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, ref: SessionRef) -> tuple[Session | None, list[Message]]:
        """Return the session as it is now, and its last messages, oldest first."""
        with self._lock:
            known = self._known.get(ref, [])
        if not known:
            session, history = self._store.read_conversation(ref, self._messages)
        else:
            open_ms = _open_since_ms(known)
            since = f"MESSAGE#{open_ms:015d}#"
            session, news = self._store.read_conversation(ref, self._messages, since)
            settled = [message for message in known if message.started_ms < open_ms]
            history = (settled + news)[-self._messages :] if self._messages else []
        with self._lock:
            if session is None or session.status == ERASED:
                self._known.pop(ref, None)
                return None, []
            self._known[ref] = history
            self._known.move_to_end(ref)
            if len(self._known) > MAX_SESSIONS:
                self._known.popitem(last=False)
        return session, history


def _open_since_ms(known: list[Message]) -> int:
    """Return when the first turn began that may still change."""
    replied = {message.turn_id for message in known if message.role == "assistant"}
    last = dict.fromkeys(message.turn_id for message in reversed(known))
    unanswered = {turn for turn in list(last)[:MAX_OPEN_TURNS] if turn not in replied}
    begun = [message.started_ms for message in known if message.turn_id in unanswered]
    return min([known[-1].started_ms, *begun])
