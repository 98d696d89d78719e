"""The inbox of a turn."""

from __future__ import annotations

import time

import pytest

from parley.clock import now_ms
from parley.ids import new_ulid
from parley.principal import SessionRef
from parley.storage.inbox_entries import (
    AckEntry,
    BegunEntry,
    ChunkEntry,
    EndEntry,
    InterruptEntry,
    PauseEntry,
    ResumeEntry,
    ToolResultEntry,
)
from parley.storage.inboxes import InboxStore
from parley.storage.table import Table
from parley.storage.turns import TurnStore
from tests.unit.memory import own


@pytest.fixture
def inboxes(table: Table) -> InboxStore:
    return InboxStore(table)


@pytest.fixture
def session() -> SessionRef:
    """A session of the test's own."""
    return own(new_ulid())


def test_an_inbox_is_read_in_order_whatever_came_first(
    inboxes: InboxStore, session: SessionRef
) -> None:
    inboxes.put_interrupt(session, "t", InterruptEntry(12.5))
    inboxes.put_end(session, "t", EndEntry(11, 99))
    for seq in (11, 2, 1, 10):
        inboxes.put_chunk(session, "t", ChunkEntry(seq, bytes([seq, 255])))
    assert inboxes.read_inbox(session, "t", 1) == [
        *(ChunkEntry(seq, bytes([seq, 255])) for seq in (1, 2, 10, 11)),
        EndEntry(11, 99),
        InterruptEntry(12.5),
    ]


def test_an_inbox_is_read_on_from_the_first_missing_chunk(
    inboxes: InboxStore, session: SessionRef
) -> None:
    for seq in (1, 2, 4):
        inboxes.put_chunk(session, "t", ChunkEntry(seq, b"ab"))
    assert inboxes.read_inbox(session, "t", 3) == [ChunkEntry(4, b"ab")]
    inboxes.put_chunk(session, "t", ChunkEntry(3, b"cd"))
    assert inboxes.read_inbox(session, "t", 3) == [
        ChunkEntry(3, b"cd"),
        ChunkEntry(4, b"ab"),
    ]


def test_an_inbox_of_more_than_a_page_is_read_to_its_end(
    inboxes: InboxStore, session: SessionRef
) -> None:
    for seq in range(1, 61):
        inboxes.put_chunk(session, "t", ChunkEntry(seq, bytes(20_480)))
    entries = inboxes.read_inbox(session, "t", 1)
    assert [entry.seq for entry in entries if isinstance(entry, ChunkEntry)] == [*range(1, 61)]


def test_an_inbox_is_never_another_turn_s(
    inboxes: InboxStore, table: Table, session: SessionRef
) -> None:
    inboxes.put_chunk(session, "t1", ChunkEntry(1, b"ab"))
    TurnStore(table).acquire_lease(session, "t2", "me", attempt=1, received_at_ms=0)
    assert inboxes.read_inbox(session, "t2", 1) == []


def test_an_interruption_that_comes_before_its_turn_is_read_alone(
    inboxes: InboxStore, session: SessionRef
) -> None:
    assert inboxes.list_interruptions(session, "t") == []
    inboxes.put_chunk(session, "t", ChunkEntry(1, b"\0\0"))
    inboxes.put_interrupt(session, "t2", InterruptEntry(1.0, 1_000))
    assert inboxes.list_interruptions(session, "t") == []
    inboxes.put_interrupt(session, "t", InterruptEntry(12.5, 1_000))
    assert inboxes.list_interruptions(session, "t") == [InterruptEntry(12.5, 1_000)]


@pytest.mark.parametrize(
    ("came", "kept"),
    [
        ([10_000], [10_000]),
        ([10_000, 10_000], [10_000]),
        ([10_000, 10_001], [10_000, 10_001]),
        ([10_000, 12_500, 11_000], [10_000, 12_500]),
        ([10_000, 11_000, 12_500], [10_000, 12_500]),
        ([10_000, 9_000], [10_000]),
    ],
)
def test_the_first_interruption_and_the_newest_are_kept(
    inboxes: InboxStore, session: SessionRef, came: list[int], kept: list[int]
) -> None:
    for received_at_ms in came:
        played_ms = None if received_at_ms == 10_000 else received_at_ms / 8
        inboxes.put_interrupt(session, "t", InterruptEntry(played_ms, received_at_ms))
    found = [InterruptEntry(None if at == 10_000 else at / 8, at) for at in kept]
    assert inboxes.list_interruptions(session, "t") == found
    assert inboxes.read_inbox(session, "t", 1) == found


def test_the_first_interruption_counts(inboxes: InboxStore, session: SessionRef) -> None:
    inboxes.put_interrupt(session, "t", InterruptEntry(None))
    inboxes.put_interrupt(session, "t", InterruptEntry(900.0))
    assert inboxes.read_inbox(session, "t", 1) == [InterruptEntry(None)]


@pytest.mark.parametrize("played_ms", [0.0, 1e-300, 0.1 + 0.2, 1234.5678, 86_400_000.0])
def test_any_time_that_the_protocol_allows_can_be_kept(
    inboxes: InboxStore, session: SessionRef, played_ms: float
) -> None:
    inboxes.put_interrupt(session, "t", InterruptEntry(played_ms))
    (entry,) = inboxes.read_inbox(session, "t", 1)
    assert isinstance(entry, InterruptEntry)
    assert entry.played_ms == pytest.approx(played_ms, abs=0.001)


@pytest.mark.parametrize(
    "order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
)
def test_the_newest_pause_counts_and_its_end_comes_after_it(
    inboxes: InboxStore, session: SessionRef, order: tuple[int, ...]
) -> None:
    news = [PauseEntry(1, 4), PauseEntry(1, is_over=True), PauseEntry(2, 7)]
    for place in order:
        inboxes.put_pause(session, "t", news[place])
    assert inboxes.read_inbox(session, "t", 1) == [news[2]]
    inboxes.put_pause(session, "t", PauseEntry(2, is_over=True))
    inboxes.put_pause(session, "t", news[2])
    assert inboxes.read_inbox(session, "t", 1) == [PauseEntry(2, 0, is_over=True)]


def test_an_end_keeps_the_pause_that_it_names(inboxes: InboxStore, session: SessionRef) -> None:
    inboxes.put_end(session, "t", EndEntry(11, 99, 3))
    assert inboxes.read_inbox(session, "t", 1) == [EndEntry(11, 99, 3)]


def test_what_was_acknowledged_only_grows(inboxes: InboxStore, session: SessionRef) -> None:
    inboxes.put_ack(session, "t", AckEntry(1, 7))
    inboxes.put_ack(session, "t", AckEntry(1, 3))
    assert inboxes.read_inbox(session, "t", 1) == [AckEntry(1, 7)]
    inboxes.put_ack(session, "t", AckEntry(1, 9))
    assert inboxes.read_inbox(session, "t", 50) == [AckEntry(1, 9)]


def test_an_ack_of_the_next_attempt_takes_the_place_of_the_last_one_s(
    inboxes: InboxStore, session: SessionRef
) -> None:
    inboxes.put_ack(session, "t", AckEntry(1, 7))
    inboxes.put_ack(session, "t", AckEntry(2, 3))
    inboxes.put_ack(session, "t", AckEntry(1, 9))
    assert inboxes.read_inbox(session, "t", 1) == [AckEntry(2, 3)]


def test_the_newest_attempt_counts(inboxes: InboxStore, session: SessionRef) -> None:
    inboxes.put_begun(session, "t", BegunEntry(3))
    inboxes.put_begun(session, "t", BegunEntry(2))
    assert inboxes.read_inbox(session, "t", 1) == [BegunEntry(3)]


def test_the_newest_connection_counts(inboxes: InboxStore, session: SessionRef) -> None:
    newest = ResumeEntry("c2", "https://y", 1, 4, 2_000)
    inboxes.put_resume(session, "t", newest)
    inboxes.put_resume(session, "t", ResumeEntry("c1", "https://x", 1, 2, 1_000))
    assert inboxes.read_inbox(session, "t", 1) == [newest]


def test_the_next_attempt_is_not_told_what_the_last_one_was(
    inboxes: InboxStore, session: SessionRef
) -> None:
    inboxes.put_chunk(session, "t", ChunkEntry(1, b"ab"))
    inboxes.put_end(session, "t", EndEntry(1, 1))
    inboxes.put_ack(session, "t", AckEntry(1, 7))
    asked_at_ms = now_ms() + 1
    time.sleep(0.003)
    inboxes.put_resume(session, "t", ResumeEntry("c2", "https://y", 1, 4, 2_000))
    inboxes.clear_controls(session, "t", asked_at_ms)
    assert inboxes.read_inbox(session, "t", 1) == [
        ChunkEntry(1, b"ab"),
        ResumeEntry("c2", "https://y", 1, 4, 2_000),
    ]


def test_results_that_nobody_waits_for_are_not_read_again_and_again(
    inboxes: InboxStore, session: SessionRef
) -> None:
    inboxes.put_ack(session, "t", AckEntry(1, 7))
    for n in range(20):
        inboxes.put_tool_result(session, "t", ToolResultEntry(f"s.t.0.{n}", "x" * 8_000))
    assert inboxes.read_inbox(session, "t", 1) == [AckEntry(1, 7)]
    found = inboxes.get_tool_result(session, "t", "s.t.0.3")
    assert found == ToolResultEntry("s.t.0.3", "x" * 8_000)
    assert inboxes.get_tool_result(session, "t", "s.t.1.3") is None
