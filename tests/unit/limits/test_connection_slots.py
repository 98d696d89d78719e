"""Connections at once: taken at the handshake, given back at the end, healed by time."""

from __future__ import annotations

import itertools
import threading
import time
from typing import Any

import pytest

from parley.errors import ParleyError
from parley.limits import connection_lease
from parley.limits.connection_lease import LEASE_S, LOST_AFTER_S
from parley.limits.connection_slots import ConnectionSlots
from parley.limits.rules import LimitRules, Share
from parley.principal import ANONYMOUS, Principal
from parley.storage.connections import ConnectionStore
from parley.storage.item_codec import Connection
from parley.storage.table import Table
from tests.unit.atomic import AtomicClient

_names = itertools.count()


@pytest.fixture
def ann() -> Principal:
    """Somebody whom no other test knows."""
    return Principal(f"slots{next(_names)}", "ann")


class Gateway:
    """Takes slots for connections and gives them back, as the functions do.

    Attributes:
        at_ms: when API Gateway says that connections are opened.
    """

    def __init__(self, table: Table, subject: int = 0, tenant: int = 0) -> None:
        self.connections = ConnectionStore(table)
        rules = LimitRules(Share(subject), Share(tenant))
        self.slots = ConnectionSlots(table, self.connections, rules)
        self.at_ms = int(time.time() * 1000)

    def connect(self, who: Principal, name: str, *, age_s: int = 0) -> None:
        """A handshake; of a connection that is so old by now."""
        at_ms = self.at_ms - 1000 * age_s
        self.connections.add(name, who, at_ms, self.slots.take_slots(who, name, at_ms))

    def disconnect(self, name: str) -> None:
        """API Gateway tells of the end."""
        connection = self.connections.remove(name)
        assert connection is not None
        self.slots.return_slots(name, connection)

    def let_in(self, who: Principal, name: str) -> bool:
        """Whether a handshake is not refused."""
        try:
            self.connect(who, name)
        except ParleyError:
            return False
        return True


def test_no_more_connections_than_slots_until_one_is_given_back(
    table: Table, ann: Principal
) -> None:
    gateway = Gateway(table, subject=2)
    gateway.connect(ann, "a")
    gateway.connect(ann, "b")
    with pytest.raises(ParleyError) as refused:
        gateway.connect(ann, "c")
    assert (refused.value.code, refused.value.retryable) == ("rate_limited", True)
    assert refused.value.limit is not None
    assert (refused.value.limit.name, refused.value.limit.value) == ("connections", 2)
    gateway.disconnect("a")
    gateway.connect(ann, "c")


def test_taking_and_giving_back_can_be_repeated(table: Table, ann: Principal) -> None:
    gateway = Gateway(table, subject=2)
    for _ in range(3):
        gateway.connect(ann, "a")
    gateway.connect(ann, "b")
    connection = gateway.connections.get_connection("a")
    assert connection is not None
    for _ in range(3):
        gateway.slots.return_slots("a", connection)
    gateway.connect(ann, "c")
    assert not gateway.let_in(ann, "d")


def test_a_slot_is_given_back_in_whichever_shard_it_was_taken(
    table: Table, ann: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_lease, "SHARD_LEASES", 3)
    gateway, limit = Gateway(table, tenant=10), 10
    assert connection_lease.Shards(limit).count == 4
    names = [f"{ann.tenant}-{number}" for number in range(limit)]
    for name in names:
        gateway.connect(ann, name)
    assert not gateway.let_in(ann, "another")
    for name in names:
        gateway.disconnect(name)
    for name in names:
        gateway.connect(ann, f"{name} again")


def test_a_connection_whose_end_was_never_told_is_over_after_its_two_hours(
    table: Table, ann: Principal
) -> None:
    gateway = Gateway(table, subject=2)
    for name, age_s in (("lost", LEASE_S), ("young", LEASE_S - 60)):
        gateway.connect(ann, name, age_s=age_s)
        gateway.connections.bind(name, ann.session("s"), "m")
    gateway.connect(ann, "new")
    assert not gateway.let_in(ann, "another")


def test_a_connection_that_was_lost_before_its_init_gives_its_slot_up_when_it_is_needed(
    table: Table, ann: Principal
) -> None:
    gateway = Gateway(table, subject=2)
    gateway.connect(ann, "talks", age_s=600)
    gateway.connections.bind("talks", ann.session("s"), "m")
    gateway.connect(ann, "lost", age_s=LOST_AFTER_S)
    gateway.connect(ann, "new")
    assert not gateway.let_in(ann, "another"), "the one that talks keeps its slot"


def test_a_connection_that_may_still_begin_keeps_its_slot(table: Table, ann: Principal) -> None:
    gateway = Gateway(table, subject=1)
    gateway.connect(ann, "slow", age_s=LOST_AFTER_S - 10)
    assert not gateway.let_in(ann, "another")


def test_a_slot_that_the_end_of_a_connection_did_not_give_back_is_found_when_it_is_needed(
    table: Table, ann: Principal
) -> None:
    gateway = Gateway(table, subject=1)
    gateway.connect(ann, "talked", age_s=LOST_AFTER_S)
    gateway.connections.bind("talked", ann.session("s"), "m")
    assert gateway.connections.remove("talked"), "and then the function failed"
    gateway.connect(ann, "new")


def test_a_flood_of_handshakes_searches_a_full_shard_once(
    table: Table, client: Any, ann: Principal
) -> None:
    gateway, atomic = Gateway(table, subject=1), AtomicClient(client)
    gateway.connect(ann, "talks", age_s=600)
    gateway.connections.bind("talks", ann.session("s"), "m")
    gateway.slots = ConnectionSlots(
        atomic.table, ConnectionStore(atomic.table), LimitRules(Share(1))
    )
    assert not any(gateway.let_in(ann, f"flood{number}") for number in range(20))
    assert atomic.calls["BatchGetItem"] == 1


def test_a_tenant_s_slots_are_for_all_its_subjects(table: Table, ann: Principal) -> None:
    gateway, ben = Gateway(table, subject=2, tenant=2), Principal(ann.tenant, "ben")
    gateway.connect(ann, "a")
    gateway.connect(ben, "b")
    with pytest.raises(ParleyError, match="2 connections are open already") as refused:
        gateway.connect(ann, "c")
    assert refused.value.limit is not None
    assert refused.value.limit.scope == "tenant"
    gateway.disconnect("b")
    gateway.connect(ann, "c")
    with pytest.raises(ParleyError, match="of yours") as refused:
        gateway.connect(ann, "d")
    gateway.connect(Principal(ann.tenant + "other", "ann"), "e")


def test_those_whom_nobody_can_tell_apart_are_not_one_subject(table: Table) -> None:
    gateway = Gateway(table, subject=1)
    for name in ("a", "b", "c"):
        gateway.connect(ANONYMOUS, name)


def test_of_many_at_once_as_many_get_in_as_there_are_slots(client: Any, ann: Principal) -> None:
    atomic = AtomicClient(client)
    gateway = Gateway(Table(client, "table"), subject=5)
    slots = ConnectionSlots(atomic.table, ConnectionStore(atomic.table), LimitRules(Share(5)))
    for old in range(5):
        slots.take_slots(ann, f"old{old}", gateway.at_ms - LEASE_S * 1000)
    let_in: list[str] = []

    def connect(name: str) -> None:
        try:
            slots.take_slots(ann, name, gateway.at_ms)
        except ParleyError:
            return
        let_in.append(name)

    threads = [threading.Thread(target=connect, args=(f"c{n}",)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(let_in) == 5


def test_without_a_limit_nothing_is_written(ann: Principal) -> None:
    nowhere = Table(None, "table")  # type: ignore[arg-type]  # never asked
    slots = ConnectionSlots(nowhere, ConnectionStore(nowhere), LimitRules(Share(), Share()))
    assert slots.take_slots(ann, "a", 0) == {}
    slots.return_slots("a", Connection(ann))
