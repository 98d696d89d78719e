"""An erasure that a turn keeps from being finished, and that nobody asks for again."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from parley.ids import new_ulid, token_hash
from parley.principal import Principal, SessionRef
from parley.protocol.messages import Message, Settings
from parley.sessions.erasure import Erasure
from parley.storage.inbox_entries import InterruptEntry
from parley.storage.item_codec import Session
from parley.storage.recordings import Recordings
from parley.storage.session_reader import SessionReader
from parley.storage.sessions import SessionStore
from parley.storage.table import Table
from parley.storage.turns import TurnStore

OWNER = Principal("acme", "ada")


@pytest.fixture
def ref() -> SessionRef:
    return OWNER.session(new_ulid())


def partition(client: Any, pk: str) -> list[str]:
    """The sort keys of a partition."""
    found = client.query(
        TableName="table",
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": pk}},
    )
    return [item["sk"]["S"] for item in found["Items"]]


def test_what_was_said_before_is_gone_although_a_turn_does_not_stop(
    client: Any, table: Table, ref: SessionRef
) -> None:
    s3 = boto3.client(
        "s3", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    s3.create_bucket(Bucket="bucket")
    store, turns, recordings = (
        SessionStore(table),
        TurnStore(table),
        Recordings(lambda: s3, "bucket"),
    )
    store.put_session(Session(ref, token_hash("token"), "c", Settings(), "active"))
    store.put_message(ref, 1, Message("user", "Said before.", "t1"), None)
    recordings.put(ref, "t1", "user", b"\0\0", 8_000)
    turns.acquire_lease(ref, "t2", "dead", attempt=1, received_at_ms=1)

    assert not Erasure(store, turns, recordings).erase(ref, wait_s=0)

    kept = partition(client, f"SESSION#{ref}")
    assert sorted(kept) == ["META", "TURN#t2#IN#interrupt", "TURN#t2#META"]
    assert isinstance(turns.inboxes.read_inbox(ref, "t2", 1)[0], InterruptEntry)
    assert partition(client, f"OWNER#{OWNER.key}") == []
    assert SessionReader(table).list_newest(OWNER, 10) == ([], "")
    assert "Contents" not in s3.list_objects_v2(Bucket="bucket")
