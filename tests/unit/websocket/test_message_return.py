"""What a client that comes back is sent, over an in-memory table."""

from __future__ import annotations

from typing import Any

import pytest

from parley.limits.request_rates import RequestRates
from parley.limits.rules import LimitRules, Share
from parley.principal import Principal, SessionRef
from parley.protocol.messages import (
    Error,
    Pong,
    Ready,
    ReplyText,
    ServerEvent,
    SessionEnded,
    TurnEnd,
    encode,
)
from parley.sessions.recovery import Recovery
from parley.storage.inbox_entries import ResumeEntry
from parley.storage.item_codec import StoredFrame, turn_key
from parley.storage.table import Table
from parley.websocket import resume
from tests.unit.door import Door
from tests.unit.memory import own


def frame(turn_id: str, seq: int, started_ms: int = 1_000, attempt: int = 1) -> StoredFrame:
    event = ReplyText(turn_id, seq, f"{turn_id} {seq}", attempt=attempt)
    return StoredFrame(turn_id, started_ms, attempt, seq, encode(event))


def back(door: Door, old: Ready, connection: str = "c2", **received: Any) -> list[ServerEvent]:
    """Come back over another connection; what is posted to it after `ready`."""
    asked: dict[str, Any] = {"session_id": old.session_id, "resume_token": old.resume_token}
    if received:
        asked["received"] = received
    door.ready(connection, **asked)
    ready, *rest = door.to(connection)
    assert isinstance(ready, Ready)
    return rest


def test_a_running_turn_is_told_where_its_client_is_and_what_it_has(door: Door) -> None:
    old = door.ready()
    door.store.acquire_lease(own(old.session_id), "t", "me")
    door.store.set_active_turn(own(old.session_id), "t", door.now_ms)
    back(door, old, turn_id="t", seq=3, attempt=2)
    (entry,) = door.store.inboxes.read_inbox(own(old.session_id), "t", 1)
    assert isinstance(entry, ResumeEntry)
    assert (entry.connection_id, entry.endpoint) == ("c2", "https://x/dev")
    assert (entry.attempt, entry.seq) == (2, 3)


def test_of_a_turn_that_the_client_has_not_seen_it_has_nothing(door: Door) -> None:
    old = door.ready()
    door.store.set_active_turn(own(old.session_id), "newer", door.now_ms)
    back(door, old, turn_id="older", seq=3)
    entries = [
        door.store.inboxes.read_inbox(own(old.session_id), turn, 1)[0]
        for turn in ("newer", "older")
    ]
    assert [getattr(entry, "seq", None) for entry in entries] == [0, 3]


def test_what_was_stored_is_sent_in_order_and_only_what_is_missing(door: Door) -> None:
    old = door.ready()
    stored = [frame("t", 2), frame("t", 3), frame("t", 10), frame("u", 1, started_ms=2_000)]
    door.store.put_undelivered(own(old.session_id), stored)
    sent = back(door, old, turn_id="t", seq=2)
    assert [(e.turn_id, e.seq) for e in sent if isinstance(e, ReplyText)] == [
        ("t", 3),
        ("t", 10),
        ("u", 1),
    ]


def test_what_has_arrived_is_forgotten_and_what_may_not_have_is_kept(door: Door) -> None:
    old = door.ready()
    door.store.acquire_lease(own(old.session_id), "u", "me")
    earlier = door.store.turns[own(old.session_id), "u"].attempt.started_ms - 5_000
    later = earlier + 10_000
    stored = [frame("t", 9, earlier), frame("u", 2, earlier + 5_000), frame("v", 1, later)]
    door.store.put_undelivered(own(old.session_id), stored)
    back(door, old, turn_id="u", seq=2)
    assert [f.turn_id for f in door.store.list_undelivered(own(old.session_id))] == ["v"]


def test_another_attempt_s_numbers_say_nothing(door: Door) -> None:
    old = door.ready()
    stored = [frame("t", 1, attempt=1), frame("t", 1, attempt=2), frame("t", 2, attempt=2)]
    door.store.put_undelivered(own(old.session_id), stored)
    sent = back(door, old, turn_id="t", seq=5, attempt=2)
    assert sent == []
    door.store.put_undelivered(own(old.session_id), stored)
    sent = back(door, door.to("c2")[0], "c3", turn_id="t", seq=5, attempt=1)  # type: ignore[arg-type]  # it is `ready`
    assert [e.attempt for e in sent if isinstance(e, ReplyText)] == [2, 2]


def test_a_client_that_has_nothing_gets_everything(door: Door) -> None:
    old = door.ready()
    door.store.put_undelivered(own(old.session_id), [frame("t", seq) for seq in (1, 2, 3)])
    assert len(back(door, old)) == 3


def test_a_client_that_goes_again_loses_nothing(door: Door) -> None:
    old = door.ready()
    door.store.put_undelivered(own(old.session_id), [frame("t", seq) for seq in (1, 2, 3)])
    post = door.post

    def gone_after_ready(endpoint: str, connection_id: str, data: bytes) -> None:
        post(endpoint, connection_id, data)
        door.gone = True

    door.post = gone_after_ready  # type: ignore[method-assign,assignment]  # the connection breaks
    assert back(door, old) == []
    assert len(list(door.store.list_undelivered(own(old.session_id)))) == 3


def test_the_older_connection_is_told_and_closed(door: Door) -> None:
    old = door.ready()
    back(door, old)
    assert door.to("c")[-1] == SessionEnded(old.session_id, "replaced")
    assert door.closed == [("https://x/dev", "c")]


def test_a_connection_that_is_gone_is_not_closed_again(door: Door) -> None:
    old = door.ready()
    door.closed.append(("https://x/dev", "c"))
    back(door, old)
    assert door.closed == [("https://x/dev", "c")]


def test_asking_for_a_turn_that_runs_changes_nothing(door: Door) -> None:
    session = own(door.ready().session_id)
    door.store.acquire_lease(session, "t", "me")
    assert door.send("ping", sent_at=1, turn_id="t") == Pong(1)
    assert door.store.turns[session, "t"].state == "running"


@pytest.mark.parametrize("claimed", [True, False])
def test_asking_for_a_turn_that_died_or_never_began_ends_it(door: Door, claimed: bool) -> None:
    session = own(door.ready().session_id)
    if claimed:
        door.store.acquire_lease(session, "t", "dead")
        door.store.change_item(turn_key(session, "t"), lease_until=0)
    before = len(door.posts)
    door.send("ping", sent_at=1, turn_id="t")
    error, end, pong = [event for _, _, event in door.posts[before:]]
    assert isinstance(error, Error)
    assert isinstance(end, TurnEnd)
    assert pong == Pong(1)
    assert (error.turn_id, error.seq, error.retryable) == ("t", 0, True)
    assert (end.turn_id, end.seq, end.attempt) == ("t", 0, 1)
    assert (end.reason, end.code, end.retryable) == ("failed", "internal", True)


def test_asking_for_a_turn_that_has_ended_gets_what_is_stored_of_it(door: Door) -> None:
    session = own(door.ready().session_id)
    door.store.acquire_lease(session, "t", "me")
    door.store.finish_turn(session, "t", "me", reason="completed")
    door.store.change_item(turn_key(session, "t"), started_at=1_000)
    door.store.put_undelivered(session, [frame("t", 4), frame("u", 1)])
    before = len(door.posts)
    door.send("ping", sent_at=1, turn_id="t")
    first, pong = [event for _, _, event in door.posts[before:]]
    assert isinstance(first, ReplyText)
    assert (first.turn_id, first.seq) == ("t", 4)
    assert pong == Pong(1)


@pytest.mark.parametrize("reason", [None, "completed"])
def test_asking_for_an_attempt_that_nobody_runs_ends_it_whatever_is_left_of_the_last_one(
    door: Door, reason: Any
) -> None:
    session = own(door.ready().session_id)
    door.store.acquire_lease(session, "t", "me")
    if reason is not None:
        door.store.finish_turn(session, "t", "me", reason=reason)
        door.store.put_undelivered(session, [frame("t", 4)])
    before = len(door.posts)
    door.send("ping", sent_at=1, turn_id="t", attempt=2)
    error, end, pong = [event for _, _, event in door.posts[before:]]
    assert isinstance(error, Error)
    assert isinstance(end, TurnEnd)
    assert (error.attempt, error.seq) == (2, 0)
    assert (end.attempt, end.seq, end.reason, end.retryable) == (2, 0, "failed", True)
    assert pong == Pong(1)


def missed(table: Table, who: Principal, per_minute: int, frames: int) -> tuple[Door, SessionRef]:
    """A session of somebody who has missed so many events of one turn."""
    rules = LimitRules(Share(sessions_per_minute=per_minute), Share(sessions_per_minute=600))
    door = Door(requests=RequestRates(table, rules))
    door.connect("c", who)
    ref = who.session(door.ready().session_id)
    door.store.acquire_lease(ref, "t", "me")
    door.store.finish_turn(ref, "t", "me", reason="completed")
    door.store.change_item(turn_key(ref, "t"), started_at=1_000)
    door.store.put_undelivered(ref, [frame("t", seq) for seq in range(1, frames + 1)])
    return door, ref


def replayed(door: Door) -> int:
    """How many events somebody gets who asks for the turn."""
    before = len(door.posts)
    door.send("ping", sent_at=1, turn_id="t")
    *events, pong = [event for _, _, event in door.posts[before:]]
    assert pong == Pong(1)
    assert all(isinstance(event, ReplyText) for event in events)
    return len(events)


def test_who_has_it_sent_again_and_again_is_not_for_long(table: Table) -> None:
    door, ref = missed(table, Principal("acme", "asks-again"), 9, 3)  # three sessions at once
    door.store.change_item(turn_key(ref, "t"), lease_until=0)  # nobody delivers it any more
    assert [replayed(door) for _ in range(5)] == [3, 3, 0, 0, 0]
    assert door.store.turns[ref, "t"].state == "completed", "what is stored of it stays good"


def test_many_events_count_as_more_than_one_session_that_is_resumed(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "REPLAY_EVENTS", 4)
    door, ref = missed(table, Principal("acme", "has-missed"), 12, 30)  # four at once
    assert replayed(door) == 12, "one was opened, three are left"
    assert replayed(door) == 0
    assert len([*door.store.list_undelivered(ref)]) == 30, "the rest is kept for another time"


def test_asking_for_a_turn_needs_a_session(door: Door) -> None:
    assert door.refused("ping", sent_at=1, turn_id="t").code == "not_initialised"


def test_a_dead_turn_s_end_waits_for_a_client_that_is_away(door: Door) -> None:
    session = own(door.ready().session_id)
    attempt = door.store.acquire_lease(session, "t", "dead")
    door.gone = True
    assert Recovery(door.store, door.store, door.post).end_dead_turn(session, "t", "dead")
    (stored,) = door.store.list_undelivered(session)
    assert attempt is not None
    assert (stored.turn_id, stored.seq, stored.started_ms) == ("t", 0, attempt.started_ms)
