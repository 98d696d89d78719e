"""The last events of a turn: posted wherever the client is, or stored until it returns."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from parley.aws.management_api import Address
from parley.errors import ConnectionGone
from parley.protocol.messages import AnyServerEvent, Metrics, TurnEnd, encode
from parley.sessions.recovery import Recovery
from parley.sessions.store_and_forward import StoreAndForward, next_address, stored_frames
from parley.storage.item_codec import StoredFrame, TurnAttempt
from parley.storage.sessions import ERASED
from tests.unit.memory import REF, MemoryStore

HERE, THERE = Address("https://x", "c"), Address("https://y", "c2")
ATTEMPT = TurnAttempt(2, 1_000)
END = TurnEnd("t", 7, "failed", "", Metrics(), attempt=2)


class Desk:
    """A session's client, connections that are gone, and what is posted.

    Attributes:
        gone: where nobody is.
    """

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.store.open_session()
        self.gone: set[Address] = set()
        self.tried: list[Address] = []
        self.posted: list[tuple[Address, bytes]] = []

    def post(self, endpoint: str, connection_id: str, frame: bytes) -> None:
        address = Address(endpoint, connection_id)
        self.tried.append(address)
        if address in self.gone:
            raise ConnectionGone
        self.posted.append((address, frame))

    def post_or_store(self, otherwise: Address | None = None, *, ours: bool = True) -> None:
        stored = stored_frames("t", ATTEMPT, [END]) if ours else []
        forward = StoreAndForward(self.store, self.store, self.post)
        forward.post_or_store(REF, [b"error", encode(END)], stored, otherwise)

    def move_while_storing(self, address: Address) -> None:
        """The client returns just after something has been stored for it."""
        store = self.store.put_undelivered

        def back_meanwhile(*arguments: Any) -> None:
            store(*arguments)
            self.store.open_session(connection_id=address.connection_id, endpoint=address.endpoint)

        # The client returns between the write and the next look.
        self.store.put_undelivered = back_meanwhile  # type: ignore[method-assign,assignment]  # a race

    @property
    def stored(self) -> list[StoredFrame]:
        return list(self.store.list_undelivered(REF))


def test_who_is_there_gets_all_and_nothing_is_stored() -> None:
    desk = Desk()
    desk.post_or_store()
    assert desk.posted == [(HERE, b"error"), (HERE, encode(END))]
    assert desk.stored == []


def test_for_who_is_away_it_is_stored_once() -> None:
    desk = Desk()
    desk.gone = {HERE}
    desk.post_or_store()
    assert desk.stored == [StoredFrame("t", 1_000, 2, 7, encode(END))]
    assert desk.tried == [HERE]


def test_who_returns_while_it_is_stored_is_found() -> None:
    desk = Desk()
    desk.gone = {HERE}
    desk.move_while_storing(THERE)
    desk.post_or_store()
    assert desk.posted == [(THERE, b"error"), (THERE, encode(END))]


def test_who_returns_while_the_end_of_a_dead_turn_is_stored_is_found() -> None:
    desk = Desk()
    desk.gone = {HERE}
    desk.store.acquire_lease(REF, "t", "dead")
    desk.move_while_storing(THERE)
    assert Recovery(desk.store, desk.store, desk.post).end_dead_turn(REF, "t", "dead")
    assert [address for address, _ in desk.posted] == [THERE, THERE]
    end = msgspec.json.decode(desk.posted[-1][1], type=AnyServerEvent)
    assert isinstance(end, TurnEnd)


def test_of_an_erased_session_nothing_is_stored() -> None:
    desk = Desk()
    desk.store.open_session(status=ERASED)
    desk.gone = {HERE}
    desk.post_or_store()
    assert desk.tried == []
    desk.post_or_store(HERE)
    assert (desk.tried, desk.stored) == ([HERE], [])


def test_what_somebody_else_answers_for_is_not_stored() -> None:
    desk = Desk()
    desk.gone = {HERE}
    desk.post_or_store(ours=False)
    assert desk.stored == []


def test_a_session_that_cannot_be_read_is_told_where_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk()

    def fails(_ref: object) -> None:
        raise OSError("the table cannot be reached")

    monkeypatch.setattr(desk.store, "get_session", fails)
    desk.post_or_store(THERE)
    assert [address for address, _ in desk.posted] == [THERE, THERE]
    with pytest.raises(OSError, match="cannot be reached"):
        desk.post_or_store()


def test_a_session_that_was_ended_elsewhere_is_not_followed() -> None:
    desk = Desk()
    ended = desk.store.open_session(status="ended", connection_id="c2", endpoint="https://y")
    assert next_address(ended, None) == THERE
    assert next_address(ended, HERE) is None
    active = desk.store.open_session(connection_id="c2", endpoint="https://y")
    assert next_address(active, HERE) == THERE
    assert next_address(active, THERE) is None


def test_a_session_without_a_connection_is_told_where_it_was() -> None:
    desk = Desk()
    unbound = desk.store.open_session(connection_id="", endpoint="")
    assert next_address(unbound, None) is None
    assert next_address(unbound, None, HERE) == HERE
