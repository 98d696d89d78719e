"""Who runs a turn, its inbox and its undelivered events."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from parley.audio.heard import Heard, heard_text
from parley.aws.failures import ServiceError
from parley.clock import now_ms
from parley.ids import new_ulid
from parley.principal import SessionRef
from parley.storage import turns as turns_module
from parley.storage.inbox_entries import ChunkEntry, EndEntry, InterruptEntry
from parley.storage.item_codec import StoredFrame, TurnAttempt, turn_key
from parley.storage.table import BATCH_ITEMS, Table
from parley.storage.turns import TurnStore
from tests.unit.billed import BilledClient
from tests.unit.memory import own


@pytest.fixture
def turns(table: Table) -> TurnStore:
    return TurnStore(table, 600)


@pytest.fixture
def session() -> SessionRef:
    """A session of the test's own."""
    return own(new_ulid())


def claimed(
    turns: TurnStore,
    session: SessionRef,
    owner: str,
    turn_id: str = "t",
    *,
    attempt: int | None = None,
    received_at_ms: int | None = None,
) -> TurnAttempt | None:
    at_ms = now_ms() if received_at_ms is None else received_at_ms
    return turns.acquire_lease(session, turn_id, owner, attempt=attempt, received_at_ms=at_ms)


# --- claims ---------------------------------------------------------------------------------


@pytest.mark.parametrize("attempt", [None, 1])
def test_of_many_that_claim_one_turn_one_gets_it(
    turns: TurnStore, session: SessionRef, attempt: int | None
) -> None:
    claims = [claimed(turns, session, owner, attempt=attempt) for owner in ("a", "b", "a")]
    assert [claim is not None for claim in claims] == [True, False, False]
    turn = turns.get_turn(session, "t")
    assert turn is not None
    assert turn.running
    assert turn.attempt == claims[0]
    assert turn.attempt.number == 1
    assert turn.attempt.started_ms == pytest.approx(now_ms(), abs=5_000)


def test_a_write_whose_answer_was_lost_counts(
    turns: TurnStore, table: Table, session: SessionRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("put", "update"):
        write = getattr(table, name)

        def repeated(*arguments: Any, write: Any = write, **options: Any) -> Any:
            write(*arguments, **options)
            return write(*arguments, **options)  # as botocore does after a time-out

        monkeypatch.setattr(table, name, repeated)
    assert claimed(turns, session, "me", attempt=1) is not None
    assert turns.finish_turn(session, "t", "me", reason="completed")
    again = claimed(turns, session, "next", attempt=2)
    assert again is not None
    assert again.number == 2


def test_one_turn_id_in_two_sessions_is_two_turns(turns: TurnStore) -> None:
    assert claimed(turns, own("session-a"), "x")
    assert claimed(turns, own("session-b"), "x")


@pytest.mark.parametrize("reason", ["completed", "interrupted"])
@pytest.mark.parametrize("attempt", [None, 1])
def test_a_turn_that_ended_well_does_not_run_again(
    turns: TurnStore, session: SessionRef, reason: Any, attempt: int | None
) -> None:
    parts = [Heard("", 0), Heard("One", 200), Heard(" two.", 600)]
    claimed(turns, session, "me")
    assert turns.finish_turn(
        session, "t", "me", reason=reason, message_key="MESSAGE#1", parts=parts
    )
    turn = turns.get_turn(session, "t")
    assert turn is not None
    assert (turn.state, turn.parts, turn.message_key) == (reason, parts, "MESSAGE#1")
    assert claimed(turns, session, "other", attempt=attempt) is None


def test_of_a_turn_from_before_its_words_are_read(
    turns: TurnStore, table: Table, session: SessionRef
) -> None:
    claimed(turns, session, "me")
    turns.finish_turn(session, "t", "me", reason="completed")
    words = '[["One",0,200],["two.",250,600]]'
    table.update(
        turn_key(session, "t"),
        "SET words = :words REMOVE parts",
        "attribute_exists(pk)",
        {},
        {":words": {"S": words}},
    )
    turn = turns.get_turn(session, "t")
    assert turn is not None
    assert [heard_text(turn.parts, ms) for ms in (0, 200, 599, 600)] == [
        "", "One", "One", "One two.",
    ]  # fmt: skip


def test_a_turn_that_failed_runs_again_when_it_is_asked_for_again(
    turns: TurnStore, session: SessionRef
) -> None:
    asked_at = now_ms() - 10
    first = claimed(turns, session, "a", received_at_ms=asked_at)
    turns.finish_turn(session, "t", "a", reason="failed")
    assert claimed(turns, session, "b", received_at_ms=asked_at) is None, "the same request again"
    again = claimed(turns, session, "c", received_at_ms=now_ms() + 1)
    assert first is not None
    assert again == TurnAttempt(2, first.started_ms)


def test_an_attempt_runs_once_however_often_it_is_asked_for(
    turns: TurnStore, session: SessionRef
) -> None:
    claimed(turns, session, "a", attempt=1)
    assert claimed(turns, session, "b") is None, "the first still runs"
    turns.finish_turn(session, "t", "a", reason="failed")
    assert claimed(turns, session, "c", attempt=1) is None
    again = claimed(turns, session, "d", attempt=2)
    assert again is not None
    assert again.number == 2
    assert claimed(turns, session, "e", attempt=2) is None


def test_a_turn_whose_lease_has_run_out_may_be_claimed(
    turns: TurnStore, session: SessionRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns_module, "LEASE_S", -1.0)
    claimed(turns, session, "dead")
    assert claimed(turns, session, "same attempt", attempt=1) is None
    again = claimed(turns, session, "next")
    assert again is not None
    assert again.number == 2
    assert not turns.finish_turn(session, "t", "dead", reason="completed"), "no longer its own"
    assert not turns.renew_lease(session, "t", "dead")
    assert turns.renew_lease(session, "t", "next")


@pytest.mark.parametrize("reason", [None, "completed", "interrupted", "failed"])
def test_a_client_that_names_the_next_attempt_has_given_up_the_last_one(
    turns: TurnStore, session: SessionRef, reason: Any
) -> None:
    claimed(turns, session, "first")
    if reason is not None:
        turns.finish_turn(session, "t", "first", reason=reason)
    again = claimed(turns, session, "next", attempt=2)
    assert again is not None
    assert again.number == 2
    assert not turns.renew_lease(session, "t", "first")
    assert not turns.finish_turn(session, "t", "first", reason="interrupted")
    turn = turns.get_turn(session, "t")
    assert turn is not None
    assert (turn.state, turn.attempt.number) == ("running", 2)


@pytest.mark.parametrize("reason", [None, "completed", "failed"])
def test_an_attempt_that_nobody_runs_is_ended_with_those_before(
    turns: TurnStore, session: SessionRef, reason: Any
) -> None:
    claimed(turns, session, "first")
    if reason is not None:
        turns.finish_turn(session, "t", "first", reason=reason)
    ended = turns.fail_turn(session, "t", None, 2)
    assert ended is not None
    assert ended.number == 2
    assert not turns.finish_turn(session, "t", "first", reason="completed")
    assert claimed(turns, session, "late", attempt=2) is None
    assert claimed(turns, session, "next", attempt=3) is not None


@pytest.mark.parametrize("owner", ["dead", None])
def test_a_dead_turn_is_ended_once(
    turns: TurnStore, session: SessionRef, owner: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns_module, "LEASE_S", 60.0 if owner else -1.0)
    claim = claimed(turns, session, "dead")
    assert turns.fail_turn(session, "t", owner) == claim
    assert turns.fail_turn(session, "t", owner) is None
    assert not turns.renew_lease(session, "t", "dead")
    turn = turns.get_turn(session, "t")
    assert turn is not None
    assert turn.state == "failed"


@pytest.mark.parametrize("owner", ["somebody else", None])
def test_a_turn_that_somebody_runs_is_not_ended_for_him(
    turns: TurnStore, session: SessionRef, owner: str | None
) -> None:
    claimed(turns, session, "me")
    assert turns.fail_turn(session, "t", owner) is None
    assert turns.renew_lease(session, "t", "me")


def test_a_turn_that_never_began_is_ended_too_and_begins_no_more(
    turns: TurnStore, session: SessionRef
) -> None:
    asked_at = now_ms() - 10
    ended = turns.fail_turn(session, "t", None)
    assert ended is not None
    assert ended.number == 1
    assert claimed(turns, session, "late", received_at_ms=asked_at) is None
    assert claimed(turns, session, "late", attempt=1) is None
    assert claimed(turns, session, "again", received_at_ms=now_ms() + 1) is not None


def test_a_turn_that_ended_and_then_died_is_to_be_tried_again(
    turns: TurnStore, session: SessionRef
) -> None:
    claim = claimed(turns, session, "me")
    turns.finish_turn(session, "t", "me", reason="completed")
    assert turns.fail_turn(session, "t", "somebody else") is None
    assert turns.fail_turn(session, "t", None) is None, "it may still be delivering"
    assert turns.fail_turn(session, "t", "me") == claim
    again = claimed(turns, session, "next", attempt=2)
    assert again is not None


def test_an_attempt_that_died_before_it_was_claimed_is_ended(
    turns: TurnStore, session: SessionRef
) -> None:
    claimed(turns, session, "a", attempt=1)
    turns.finish_turn(session, "t", "a", reason="failed")
    ended = turns.fail_turn(session, "t", "dead", 2)
    assert ended is not None
    assert ended.number == 2
    assert turns.fail_turn(session, "t", "dead", 2) is None
    assert claimed(turns, session, "late", attempt=2) is None
    assert claimed(turns, session, "next", attempt=3) is not None


# --- undelivered events -------------------------------------------------------------------


def frame(seq: int, turn_id: str = "t", started_ms: int = 1_000, attempt: int = 1) -> StoredFrame:
    return StoredFrame(turn_id, started_ms, attempt, seq, f"frame {seq}".encode())


def test_what_was_not_delivered_comes_back_in_order(turns: TurnStore, session: SessionRef) -> None:
    later = frame(1, "aaa", started_ms=2_000)
    again = frame(1, attempt=2)
    turns.put_undelivered(session, [later, again, frame(10), frame(9)])
    assert list(turns.list_undelivered(session)) == [frame(9), frame(10), again, later]


def test_what_is_stored_of_a_turn_is_read_without_that_of_others(
    client: Any, session: SessionRef
) -> None:
    billed = BilledClient(client)
    turns = TurnStore(billed.table, 600)
    mine = [frame(1), frame(2), frame(1, attempt=2), frame(999_999, attempt=100)]
    others = [frame(1, "s"), frame(1, "t2"), frame(1, "t", 999), frame(1, "t", 1_001)]
    large = [replace(frame(seq, "u"), frame=bytes(20_000)) for seq in range(50)]
    turns.put_undelivered(session, mine + others + large)
    billed.bill.clear()
    assert turns.list_undelivered_of_turn(session, "t", 1_000) == mine
    assert billed.bill.reads == 1


def test_more_than_a_batch_is_kept_and_forgotten(turns: TurnStore, session: SessionRef) -> None:
    frames = [frame(seq) for seq in range(1, 2 * BATCH_ITEMS + 5)]
    turns.put_undelivered(session, frames)
    assert list(turns.list_undelivered(session)) == frames
    turns.delete_undelivered(session, frames[:-1])
    assert list(turns.list_undelivered(session)) == frames[-1:]


def test_events_of_many_pages_come_back(turns: TurnStore, session: SessionRef) -> None:
    frames = [StoredFrame("t", 1, 1, seq, bytes(40_000)) for seq in range(1, 61)]
    turns.put_undelivered(session, frames)
    assert [f.seq for f in turns.list_undelivered(session)] == [*range(1, 61)]


# --- the table --------------------------------------------------------------------------------


def test_everything_of_a_turn_expires(turns: TurnStore, session: SessionRef, table: Table) -> None:
    claimed(turns, session, "me")
    turns.inboxes.put_chunk(session, "t", ChunkEntry(1, b"ab"))
    turns.inboxes.put_end(session, "t", EndEntry(1, 1))
    turns.inboxes.put_interrupt(session, "t", InterruptEntry(1.0))
    turns.put_undelivered(session, [frame(1)])
    turns.finish_turn(session, "t", "me", reason="completed")
    found = [item for page in table.query_pages(f"SESSION#{session}", " ", "~") for item in page]
    assert len(found) == 5
    assert all("expires_at" in item for item in found)


def test_a_table_that_fails_is_not_taken_for_a_condition(client: Any) -> None:
    lost = TurnStore(Table(client, "no-such-table"))
    with pytest.raises(ServiceError):
        claimed(lost, own("s"), "me")
    with pytest.raises(ServiceError):
        lost.inboxes.put_interrupt(own("s"), "t", InterruptEntry(1.0))
    with pytest.raises(ServiceError):
        lost.put_undelivered(own("s"), [frame(1)])


# --- answers over HTTP ----------------------------------------------------------------------


def test_an_answer_is_kept_by_turn_and_attempt_in_its_order(
    turns: TurnStore, session: SessionRef
) -> None:
    frames = [b"%d" % number for number in range(BATCH_ITEMS + 5)]
    turns.put_answer(session, "t", 2, frames)
    turns.put_answer(session, "t", 1, [b"earlier"])
    turns.put_answer(session, "t2", 2, [b"another turn's"])
    assert turns.get_answer(session, "t", 2) == frames
    assert turns.get_answer(session, "t", 1) == [b"earlier"]
    assert turns.get_answer(session, "t", 3) == []
    assert list(turns.list_undelivered(session)) == [], "nobody who comes back is sent it"


def test_an_answer_is_not_given_after_its_time(
    turns: TurnStore, session: SessionRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns_module, "ANSWER_TTL_S", -1)
    turns.put_answer(session, "t", 1, [b"old"])
    assert turns.get_answer(session, "t", 1) == []
