"""Connections at once: taken at the handshake, given back at the end, healed by time."""

from __future__ import annotations

import itertools
import threading
import time
from typing import Any

import pytest

from parley.errors import ParleyError
from parley.limits.buckets import LEASE_S
from parley.limits.rules import LimitRules, Share
from parley.limits.slots import ConnectionSlots
from parley.principal import ANONYMOUS, Principal
from parley.table import Table
from tests.unit.atomic import AtomicClient

_names = itertools.count()


@pytest.fixture
def ann() -> Principal:
    """Somebody whom no other test knows."""
    return Principal(f"slots{next(_names)}", "ann")


def slots_of(table: Table, subject: int = 0, tenant: int = 0) -> ConnectionSlots:
    return ConnectionSlots(table, LimitRules(Share(subject), Share(tenant)))


def now_ms() -> int:
    return int(time.time() * 1000)


def test_no_more_connections_than_slots_until_one_is_given_back(
    table: Table, ann: Principal
) -> None:
    slots, at = slots_of(table, subject=2), now_ms()
    slots.take(ann, "a", at)
    slots.take(ann, "b", at)
    with pytest.raises(ParleyError) as refused:
        slots.take(ann, "c", at)
    assert (refused.value.code, refused.value.retryable) == ("rate_limited", True)
    assert refused.value.limit is not None
    assert (refused.value.limit.name, refused.value.limit.value) == ("connections", 2)
    slots.give_back(ann, "a", at)
    slots.take(ann, "c", at)


def test_taking_and_giving_back_can_be_repeated(table: Table, ann: Principal) -> None:
    slots, at = slots_of(table, subject=2), now_ms()
    for _ in range(3):
        slots.take(ann, "a", at)
    slots.take(ann, "b", at)
    for _ in range(3):
        slots.give_back(ann, "a", at)
    slots.take(ann, "c", at)
    with pytest.raises(ParleyError):
        slots.take(ann, "d", at)


def test_a_connection_whose_end_was_never_told_is_over_after_its_two_hours(
    table: Table, ann: Principal
) -> None:
    slots, at = slots_of(table, subject=2), now_ms()
    slots.take(ann, "lost", at - LEASE_S * 1000)
    slots.take(ann, "young", at - LEASE_S * 1000 + 60_000)
    slots.take(ann, "new", at)
    with pytest.raises(ParleyError):
        slots.take(ann, "another", at)


def test_a_tenant_s_slots_are_for_all_its_subjects(table: Table, ann: Principal) -> None:
    slots, at, ben = slots_of(table, subject=2, tenant=2), now_ms(), Principal(ann.tenant, "ben")
    slots.take(ann, "a", at)
    slots.take(ben, "b", at)
    with pytest.raises(ParleyError, match="2 connections are open already") as refused:
        slots.take(ann, "c", at)
    assert refused.value.limit is not None
    assert refused.value.limit.scope == "tenant"
    slots.give_back(ben, "b", at)
    slots.take(ann, "c", at)
    with pytest.raises(ParleyError, match="of yours") as refused:
        slots.take(ann, "d", at)
    slots.take(Principal(ann.tenant + "other", "ann"), "e", at)


def test_those_whom_nobody_can_tell_apart_are_not_one_subject(table: Table) -> None:
    slots, at = slots_of(table, subject=1), now_ms()
    for name in ("a", "b", "c"):
        slots.take(ANONYMOUS, name, at)


def test_of_many_at_once_as_many_get_in_as_there_are_slots(client: Any, ann: Principal) -> None:
    slots, at = slots_of(AtomicClient(client).table, subject=5), now_ms()
    for old in range(5):
        slots.take(ann, f"old{old}", at - LEASE_S * 1000)
    let_in: list[str] = []

    def connect(name: str) -> None:
        try:
            slots.take(ann, name, at)
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
    slots = slots_of(Table(None, "table"))  # type: ignore[arg-type]  # never asked
    slots.take(ann, "a", 0)
    slots.give_back(ann, "a", 0)
