"""The table's conditional writes, on moto's DynamoDB in this process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from parley.inbox import ChunkEntry, EndEntry, InterruptEntry
from parley.items import FinishedTurn, Session
from parley.protocol import Message, Metrics, Settings, Word
from parley.store import Store

IDLE_S = 600


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """One table for all tests: each uses a session of its own."""
    with mock_aws():
        found = boto3.client(
            "dynamodb",
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
        found.create_table(
            TableName="table",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "S"},
            ],
            KeySchema=[
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
        )
        yield found


@pytest.fixture
def store(client: Any) -> Store:
    return Store(client, "table", IDLE_S)


@pytest.fixture
def session(store: Store, request: pytest.FixtureRequest) -> Session:
    """A session that is there, named after the test."""
    found = Session(request.node.name, "hash-1", "c1", Settings(voice="v", speed=0.9), "active")
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
    assert store.session(session.session_id) == session
    assert store.session("nosuch") is None


def test_of_two_that_use_one_token_one_gets_the_session(store: Store, session: Session) -> None:
    # both have read the session, with the token's hash in it, before either writes
    assert store.resume_session(session, "c7", "hash-7")
    assert not store.resume_session(session, "c8", "hash-8")
    now = store.session(session.session_id)
    assert now is not None
    assert (now.connection_id, now.token_hash) == ("c7", "hash-7")


def test_a_session_that_ended_cannot_be_resumed(store: Store, session: Session) -> None:
    assert store.end_session(session.session_id) is None
    assert not store.resume_session(session, "c2", "hash-2")
    now = store.session(session.session_id)
    assert now is not None
    assert now.status == "ended"


def test_ending_a_session_names_the_turn_that_was_claimed_last(
    store: Store, session: Session
) -> None:
    store.set_active_turn(session.session_id, "t1")
    store.set_active_turn(session.session_id, "t2")
    assert store.end_session(session.session_id) == "t2"


def test_settings_replace_the_older_ones(store: Store, session: Session) -> None:
    store.put_settings(session.session_id, Settings(language="de"))
    now = store.session(session.session_id)
    assert now is not None
    assert now.settings == Settings(language="de")


def test_nothing_makes_half_a_session(store: Store, client: Any) -> None:
    store.put_settings("never-opened", Settings(speed=1.0))
    store.set_active_turn("never-opened", "t")
    store.set_heard("never-opened", "MESSAGE#1", "x")
    store.finish_turn("never-opened", "t", reason="completed")
    assert item(client, "SESSION#never-opened") == {}
    assert item(client, "TURN#never-opened#t") == {}


# --- the conversation ---------------------------------------------------------------------


def test_a_conversation_is_the_session_and_its_last_messages_oldest_first(
    store: Store, session: Session
) -> None:
    for turn in range(1, 6):
        # the reply is written first: the key orders them, not the time of writing
        store.put_message(session.session_id, turn, said(f"t{turn}", "assistant"), Metrics())
        store.put_message(session.session_id, turn, said(f"t{turn}", "user"), None)
    found, history = store.conversation(session.session_id, 3)
    assert found == session
    assert [(m.turn_id, m.role) for m in history] == [
        ("t4", "assistant"),
        ("t5", "user"),
        ("t5", "assistant"),
    ]
    assert [m.started_ms for m in history] == [4, 5, 5]


def test_a_conversation_without_messages_is_the_session(store: Store, session: Session) -> None:
    store.put_message(session.session_id, 1, said("t1", "user"), None)
    assert store.conversation(session.session_id, 0) == (session, [])
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


# --- turns ----------------------------------------------------------------------------------


def test_of_many_that_claim_one_turn_one_gets_it(store: Store, session: Session) -> None:
    claims = [store.claim_turn(session.session_id, "t", owner) for owner in ("a", "b", "a")]
    assert claims == [True, False, False]
    assert store.turn_state(session.session_id, "t") == "running"


def test_one_turn_id_in_two_sessions_is_two_turns(store: Store) -> None:
    assert store.claim_turn("session-a", "t", "x")
    assert store.claim_turn("session-b", "t", "x")


def test_a_finished_turn_keeps_its_words_and_its_place(store: Store, session: Session) -> None:
    words = [Word("One", 0, 200), Word("two.", 250, 600)]
    store.claim_turn(session.session_id, "t", "me")
    store.finish_turn(
        session.session_id, "t", reason="completed", message_key="MESSAGE#1", words=words
    )
    assert store.turn_state(session.session_id, "t") == FinishedTurn(words, "MESSAGE#1")
    assert store.turn_state(session.session_id, "nosuch") is None
    assert not store.claim_turn(session.session_id, "t", "me"), "it never runs again"


# --- the inbox ---------------------------------------------------------------------------------


def test_an_inbox_is_read_in_order_whatever_came_first(store: Store, session: Session) -> None:
    name = session.session_id
    store.put_interrupt(name, "t", InterruptEntry(12.5))
    store.put_end(name, "t", EndEntry(11, 99))
    for seq in (11, 2, 1, 10):
        store.put_chunk(name, "t", ChunkEntry(seq, bytes([seq, 255])))
    assert store.read_inbox(name, "t", 1) == [
        *(ChunkEntry(seq, bytes([seq, 255])) for seq in (1, 2, 10, 11)),
        EndEntry(11, 99),
        InterruptEntry(12.5),
    ]


def test_an_inbox_is_read_on_from_the_first_missing_chunk(store: Store, session: Session) -> None:
    for seq in (1, 2, 4):
        store.put_chunk(session.session_id, "t", ChunkEntry(seq, b"ab"))
    assert store.read_inbox(session.session_id, "t", 3) == [ChunkEntry(4, b"ab")]
    store.put_chunk(session.session_id, "t", ChunkEntry(3, b"cd"))
    assert store.read_inbox(session.session_id, "t", 3) == [
        ChunkEntry(3, b"cd"),
        ChunkEntry(4, b"ab"),
    ]


def test_an_inbox_of_more_than_a_page_is_read_to_its_end(store: Store, session: Session) -> None:
    for seq in range(1, 61):
        store.put_chunk(session.session_id, "t", ChunkEntry(seq, bytes(20_480)))
    entries = store.read_inbox(session.session_id, "t", 1)
    assert [entry.seq for entry in entries if isinstance(entry, ChunkEntry)] == [*range(1, 61)]


def test_an_inbox_is_never_another_turn_s(store: Store, session: Session) -> None:
    store.put_chunk(session.session_id, "t1", ChunkEntry(1, b"ab"))
    store.claim_turn(session.session_id, "t2", "me")
    assert store.read_inbox(session.session_id, "t2", 1) == []


def test_the_first_interruption_counts(store: Store, session: Session) -> None:
    store.put_interrupt(session.session_id, "t", InterruptEntry(None))
    store.put_interrupt(session.session_id, "t", InterruptEntry(900.0))
    assert store.read_inbox(session.session_id, "t", 1) == [InterruptEntry(None)]


@pytest.mark.parametrize("played_ms", [0.0, 1e-300, 0.1 + 0.2, 1234.5678, 86_400_000.0])
def test_any_time_that_the_protocol_allows_can_be_kept(
    store: Store, session: Session, played_ms: float
) -> None:
    store.put_interrupt(session.session_id, "t", InterruptEntry(played_ms))
    (entry,) = store.read_inbox(session.session_id, "t", 1)
    assert isinstance(entry, InterruptEntry)
    assert entry.played_ms == pytest.approx(played_ms, abs=0.001)


# --- what expires -----------------------------------------------------------------------------


def test_everything_but_the_history_expires(store: Store, session: Session, client: Any) -> None:
    name = session.session_id
    store.add_connection(name)
    store.bind_connection(name, name)
    store.claim_turn(name, "t", "me")
    store.put_chunk(name, "t", ChunkEntry(1, b"ab"))
    store.put_end(name, "t", EndEntry(1, 1))
    store.put_interrupt(name, "t", InterruptEntry(1.0))
    store.finish_turn(name, "t", reason="completed")
    key = store.put_message(name, 1, said("t", "user"), None)
    pages = client.get_paginator("scan").paginate(TableName="table")
    found = [i for page in pages for i in page["Items"] if name in i["pk"]["S"]]
    assert len(found) == 7
    assert [i["sk"]["S"] for i in found if "expires_at" not in i] == [key]


def test_a_turn_keeps_its_session_from_expiring(client: Any, session: Session) -> None:
    later = Store(client, "table", IDLE_S * 10)
    before = int(item(client, f"SESSION#{session.session_id}")["expires_at"]["N"])
    later.set_active_turn(session.session_id, "t")
    after = int(item(client, f"SESSION#{session.session_id}")["expires_at"]["N"])
    assert after >= before + IDLE_S * 9


def test_a_table_that_fails_is_not_taken_for_a_condition(client: Any) -> None:
    lost = Store(client, "no-such-table")
    with pytest.raises(ClientError):
        lost.claim_turn("s", "t", "me")
    with pytest.raises(ClientError):
        lost.bind_connection("c", "s")
    with pytest.raises(ClientError):
        lost.put_interrupt("s", "t", InterruptEntry(1.0))
