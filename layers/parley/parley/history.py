"""The history of the sessions that an environment has served, so that only news is read.

A turn needs the whole conversation, but one that an environment has seen before has only
grown by a turn or two. It reads from the last turn that it knows: what came before cannot
change any more, and that turn's reply may since have been interrupted.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from parley.items import Session
from parley.protocol import Message
from parley.store import Store

MAX_SESSIONS = 100


class History:
    """Reads sessions and their histories. Safe to use from threads.

    Args:
        messages: how many of a session's last messages are given.
    """

    def __init__(self, store: Store, messages: int) -> None:
        self._store = store
        self._messages = messages
        self._known: OrderedDict[str, list[Message]] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, session_id: str) -> tuple[Session | None, list[Message]]:
        """The session as it is now, and its last messages, oldest first."""
        with self._lock:
            known = self._known.get(session_id, [])
        if not known:
            session, history = self._store.conversation(session_id, self._messages)
        else:
            last_ms = known[-1].started_ms
            since = f"MESSAGE#{last_ms:015d}#"
            session, news = self._store.conversation(session_id, self._messages, since)
            settled = [message for message in known if message.started_ms < last_ms]
            history = (settled + news)[-self._messages :] if self._messages else []
        with self._lock:
            self._known[session_id] = history
            self._known.move_to_end(session_id)
            if len(self._known) > MAX_SESSIONS:
                self._known.popitem(last=False)
        return session, history
