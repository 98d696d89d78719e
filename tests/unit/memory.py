"""The stores of `parley.storage` over a table in memory, as one that may fail and can be looked at.

Every condition is the store's own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import msgspec

from parley.audio.captions import Sound
from parley.principal import ANONYMOUS, SessionRef
from parley.protocol.messages import Message, Metrics, Settings
from parley.storage.connections import ConnectionStore
from parley.storage.inboxes import InboxStore
from parley.storage.item_codec import (
    Session,
    TurnAttempt,
    TurnItem,
    is_round,
    message_from,
    number,
    read_text,
    session_from,
    sound_from,
    turn_from,
)
from parley.storage.sessions import SessionStore
from parley.storage.table import Item
from parley.storage.turns import TurnStore
from tests.unit.memory_dynamodb import MemoryDynamoDB

own = ANONYMOUS.session
REF = own("s")
"""The session that `MemoryStore.open_session` opens."""


Store = TypeVar("Store", bound=type)


def fallible(store: Store) -> Store:
    """Have each public method of a store raise while `failing` names it."""
    for name, method in inspect.getmembers(store, inspect.isfunction):
        if not name.startswith("_"):
            setattr(store, name, _fallible(name, method))
    return store


def _fallible(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def call(self: Any, *arguments: Any, **options: Any) -> Any:
        if name in self.failing:
            raise OSError("the table cannot be reached")
        return method(self, *arguments, **options)

    return call


@fallible
class MemoryInboxes(InboxStore):
    """The inboxes of a table in memory."""

    def __init__(self, client: MemoryDynamoDB, failing: set[str]) -> None:
        super().__init__(client.table)
        self.failing = failing


@fallible
class MemoryConnections(ConnectionStore):
    """The connections of a table in memory."""

    def __init__(self, client: MemoryDynamoDB, failing: set[str]) -> None:
        super().__init__(client.table)
        self.failing = failing


@fallible
class MemoryStore(SessionStore, TurnStore):
    """Sessions and turns of one table in memory.

    Attributes:
        client: what holds the items.
        failing: the names of the methods that raise, of any of the stores.
    """

    def __init__(self) -> None:
        self.client = MemoryDynamoDB()
        self.failing: set[str] = set()
        SessionStore.__init__(self, self.client.table)
        TurnStore.__init__(self, self.client.table)
        self.connections = MemoryConnections(self.client, self.failing)
        self.inboxes = MemoryInboxes(self.client, self.failing)

    def open_session(self, session_id: str = "s", **changes: Any) -> Session:
        """Write a session as it would be if it were there already. Return it."""
        fields: dict[str, Any] = {
            "token_hash": "",
            "connection_id": "c",
            "settings": Settings(),
            "status": "active",
            "endpoint": "https://x",
            **changes,
        }
        session = Session(own(session_id), **fields)
        self.put_session(session)
        return session

    def acquire_lease(
        self,
        ref: SessionRef,
        turn_id: str,
        owner: str,
        *,
        attempt: int | None = None,
        received_at_ms: int = 0,
    ) -> TurnAttempt | None:
        return super().acquire_lease(
            ref, turn_id, owner, attempt=attempt, received_at_ms=received_at_ms
        )

    def change_item(self, key: Item, **attributes: str | int) -> None:
        """Change attributes of an item, as time or a rival would."""
        values = {
            name: number(value) if isinstance(value, int) else {"S": value}
            for name, value in attributes.items()
        }
        self._table.put({**(self._table.get(key) or key), **values})

    def delete_item(self, key: Item) -> None:
        """Delete an item, as time would."""
        self._table.delete(key)

    # --- what is in the table -------------------------------------------------------

    @property
    def sessions(self) -> dict[SessionRef, Session]:
        """Every session."""
        return {ref: session_from(ref, item) for ref, item in self._items("META")}

    def session_of(self, connection_id: str) -> SessionRef | None:
        """Return the session that an open connection is bound to."""
        connection = self.connections.get_connection(connection_id)
        assert connection is not None
        return connection.ref

    @property
    def turns(self) -> dict[tuple[SessionRef, str], TurnItem]:
        """Every turn, by its session and its id."""
        return {
            (ref, read_text(item, "sk").split("#")[1]): turn_from(item)
            for ref, item in self._items("TURN#")
            if read_text(item, "sk").endswith("#META")
        }

    @property
    def entries(self) -> dict[SessionRef, list[str]]:
        """The keys of the entries of all inboxes, by session."""
        found: dict[SessionRef, list[str]] = {}
        for ref, item in self._items("TURN#"):
            if "#IN#" in read_text(item, "sk"):
                found.setdefault(ref, []).append(read_text(item, "sk"))
        return found

    def messages(self, ref: SessionRef = REF) -> list[Message]:
        """Return a history, oldest message first."""
        return [message_from(item) for item in self._said(ref) if not is_round(item)]

    def metrics(self, ref: SessionRef = REF) -> list[Metrics]:
        """Return the metrics that a history has."""
        found = [read_text(item, "metrics") for item in self._said(ref)]
        return [msgspec.json.decode(each, type=Metrics) for each in found if each]

    def sounds(self, ref: SessionRef = REF) -> list[Sound]:
        """Return when each message of a history could be heard."""
        return [sound_from(item) for item in self._said(ref)]

    def _said(self, ref: SessionRef) -> list[Item]:
        return [item for found, item in self._items("MESSAGE#") if found == ref]

    def _items(self, sk: str) -> list[tuple[SessionRef, Item]]:
        items = self.client.items("SESSION#", sk)
        return [
            (SessionRef(read_text(item, "pk").removeprefix("SESSION#")), item) for item in items
        ]
