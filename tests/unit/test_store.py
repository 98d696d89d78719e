"""Connections, sessions and histories, on moto's DynamoDB in this process."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from parley.items import Session
from parley.protocol import Message, Metrics, Settings
from parley.store import Store
from parley.table import Table

IDLE_S = 600


@pytest.fixture
def store(table: Table) -> Store:
    return Store(table, IDLE_S)


@pytest.fixture
def session(store: Store, request: pytest.FixtureRequest) -> Session:
    """A session that is there, named after the test."""
    found = Session(
        request.node.name,
        "hash-1",
        "c1",
        Settings(voice="v", speed=0.9),
        "active",
        None,
        "https://x",
    )
    store.put_session(found)
    return found


def item(client: Any, pk: str, sk: str = "META") -> dict[str, Any]:
    found: dict[str, Any] = client.get_item(
        TableName="table", Key={"pk": {"S": pk}, "sk": {"S": sk}}
    ).get("Item", {})
    return found


def said(turn_id: str, role: str, text: str = "x", heard: str | None = None) -> Message:
    return Message("user" if role == "user" else "assistant", text, turn_id, heard)


# --- connections and sessions -----------------------------------------------------------


def test_a_connection_is_bound_once_and_to_one_session(store: Store) -> None:
    store.add_connection("bound")
    assert store.session_of("bound") is None
    assert store.bind_connection("bound", "first")
    assert not store.bind_connection("bound", "second")
    assert store.session_of("bound") == "first"


def test_a_connection_that_is_gone_has_no_session(store: Store) -> None:
    store.add_connection("brief")
    store.bind_connection("brief", "s")
    store.remove_connection("brief")
    assert store.session_of("brief") is None


def test_a_session_comes_back_as_it_was(store: Store, session: Session) -> None:
    found = store.session(session.session_id)
    assert found is not None
    assert replace(found, expires_at=0) == session
    assert found.expires_at == pytest.approx(time.time() + IDLE_S, abs=5)
    assert not found.is_over(time.time())
    assert found.is_over(time.time() + IDLE_S + 5)
    assert store.session("nosuch") is None


def resumed(store: Store, session: Session, shown: str, new: str, to: str) -> Session | None:
    return store.resume_session(session.session_id, to, "https://y", shown_hash=shown, new_hash=new)


def test_a_resumed_session_is_on_its_new_connection(store: Store, session: Session) -> None:
    now = resumed(store, session, "hash-1", "hash-2", "c2")
    assert now is not None
    assert now == store.session(session.session_id)
    assert (now.connection_id, now.endpoint) == ("c2", "https://y")
    assert (now.token_hash, now.previous_hash) == ("hash-2", "hash-1")


def test_the_token_before_is_good_until_the_latest_is_shown(store: Store, session: Session) -> None:
    assert resumed(store, session, "hash-1", "hash-2", "c2")
    assert resumed(store, session, "hash-1", "hash-3", "c3"), "hash-2 never reached the client"
    assert resumed(store, session, "hash-3", "hash-4", "c4")
    assert resumed(store, session, "hash-1", "hash-5", "c5") is None
    assert resumed(store, session, "hash-2", "hash-5", "c5") is None


def test_a_session_that_ended_cannot_be_resumed(store: Store, session: Session) -> None:
    assert store.end_session(session.session_id) is None
    assert resumed(store, session, "hash-1", "hash-2", "c2") is None
    now = store.session(session.session_id)
    assert now is not None
    assert now.status == "ended"


def test_the_newest_turn_follows_the_one_before(store: Store, session: Session) -> None:
    first = store.set_active_turn(session.session_id, "t1", 1_000)
    second = store.set_active_turn(session.session_id, "t2", 2_000)
    assert first is not None
    assert second is not None
    assert (first.active_turn, second.active_turn) == (None, "t1")


def test_an_older_turn_that_comes_late_is_not_the_newest(store: Store, session: Session) -> None:
    store.set_active_turn(session.session_id, "newer", 2_000)
    assert store.set_active_turn(session.session_id, "older", 1_000) is None
    now = store.session(session.session_id)
    assert now is not None
    assert now.active_turn == "newer"


def test_ending_a_session_names_the_turn_that_was_claimed_last(
    store: Store, session: Session
) -> None:
    store.set_active_turn(session.session_id, "t1", 1)
    store.set_active_turn(session.session_id, "t2", 2)
    assert store.end_session(session.session_id) == "t2"


def test_settings_replace_the_older_ones(store: Store, session: Session) -> None:
    store.put_settings(session.session_id, Settings(language="de"))
    now = store.session(session.session_id)
    assert now is not None
    assert now.settings == Settings(language="de")


def test_nothing_makes_half_a_session(store: Store, client: Any) -> None:
    store.put_settings("never-opened", Settings(speed=1.0))
    store.set_active_turn("never-opened", "t", 1)
    assert store.end_session("never-opened") is None
    store.set_heard("never-opened", "MESSAGE#1", "x")
    assert item(client, "SESSION#never-opened") == {}


# --- the conversation ---------------------------------------------------------------------


def test_a_conversation_is_the_session_and_its_last_messages_oldest_first(
    store: Store, session: Session
) -> None:
    for turn in range(1, 6):
        # the reply is written first: the key orders them, not the time of writing
        store.put_message(session.session_id, turn, said(f"t{turn}", "assistant"), Metrics())
        store.put_message(session.session_id, turn, said(f"t{turn}", "user"), None)
    found, history = store.conversation(session.session_id, 3)
    assert found == store.session(session.session_id)
    assert [(m.turn_id, m.role) for m in history] == [
        ("t4", "assistant"),
        ("t5", "user"),
        ("t5", "assistant"),
    ]
    assert [m.started_ms for m in history] == [4, 5, 5]


def test_a_conversation_without_messages_is_the_session(store: Store, session: Session) -> None:
    store.put_message(session.session_id, 1, said("t1", "user"), None)
    found = store.session(session.session_id)
    assert store.conversation(session.session_id, 0) == (found, [])
    assert store.conversation("nosuch", 5) == (None, [])


def test_a_conversation_can_begin_at_a_turn(store: Store, session: Session) -> None:
    for turn in (1, 2, 3):
        store.put_message(session.session_id, turn, said(f"t{turn}", "user"), None)
    _, history = store.conversation(session.session_id, 40, "MESSAGE#000000000000002#")
    assert [m.turn_id for m in history] == ["t2", "t3"]


def test_what_was_heard_is_noted_on_the_reply(store: Store, session: Session) -> None:
    key = store.put_message(session.session_id, 1, said("t1", "assistant", "One two."), None)
    store.set_heard(session.session_id, key, "")
    _, (message,) = store.conversation(session.session_id, 1)
    assert (message.text, message.heard) == ("One two.", "")


def test_a_message_keeps_any_text(store: Store, session: Session) -> None:
    text = "\0 \u2028 ‮ 🙂 " + "é" * 5000
    store.put_message(session.session_id, 1, said("t1", "user", text), None)
    assert store.conversation(session.session_id, 1)[1][0].text == text


# --- what expires -----------------------------------------------------------------------------


def test_a_turn_keeps_its_session_from_expiring(
    client: Any, table: Table, session: Session
) -> None:
    later = Store(table, IDLE_S * 10)
    before = int(item(client, f"SESSION#{session.session_id}")["expires_at"]["N"])
    later.set_active_turn(session.session_id, "t", 1)
    after = int(item(client, f"SESSION#{session.session_id}")["expires_at"]["N"])
    assert after >= before + IDLE_S * 9


def test_a_table_that_fails_is_not_taken_for_a_condition(client: Any) -> None:
    lost = Store(Table(client, "no-such-table"))
    with pytest.raises(ClientError):
        lost.bind_connection("c", "s")
    with pytest.raises(ClientError):
        lost.put_session(Session("s", "", "c", Settings(), "active"))
