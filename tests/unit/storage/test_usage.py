"""What a session has used: each attempt counts once, wherever it is kept."""

from __future__ import annotations

import pytest

from parley.protocol.messages import Message, Metrics, Usage
from parley.storage import usage as usage_module
from parley.storage.session_reader import SessionReader
from parley.storage.sessions import SessionStore
from parley.storage.table import Table
from tests.unit.memory import REF, MemoryStore

FIRST = Metrics(heard_ms=1_000, spoken_chars=20, input_tokens=7, output_tokens=3, posts=4)
SECOND = Metrics(heard_ms=500, input_tokens=1, tokens_estimated=True, table_reads=9, total_ms=80.0)


@pytest.fixture
def store() -> MemoryStore:
    found = MemoryStore()
    found.open_session()
    return found


def put_reply(store: SessionStore, turn_id: str, metrics: Metrics, attempt: int = 1) -> str:
    reply = Message("assistant", "Hi.", turn_id)
    return store.put_message(REF, 1_000, reply, metrics, None, attempt)


def test_nothing_was_used_at_first(store: MemoryStore) -> None:
    assert store.usage.read(REF) == Usage()


def test_the_use_of_replies_and_of_attempts_without_one_is_added_up(store: MemoryStore) -> None:
    put_reply(store, "t1", FIRST)
    store.usage.put(REF, "t2", 1, SECOND)
    assert store.usage.read(REF) == Usage(
        turns=2,
        heard_ms=1_500,
        spoken_chars=20,
        input_tokens=8,
        output_tokens=3,
        tokens_estimated=True,
        posts=4,
        table_reads=9,
    )


def test_a_write_that_is_repeated_counts_once(store: MemoryStore) -> None:
    for _ in range(3):
        put_reply(store, "t1", FIRST)
        store.usage.put(REF, "t1", 1, FIRST)
        store.usage.put(REF, "t1", 2, FIRST)
    found = store.usage.read(REF)
    assert found is not None
    assert (found.turns, found.heard_ms) == (1, 2_000)


def test_a_reply_that_is_deleted_leaves_what_it_used(store: MemoryStore) -> None:
    put_reply(store, "t1", FIRST)
    store.forget_reply(REF, 1_000, "t1")
    put_reply(store, "t1", SECOND, attempt=2)
    found = store.usage.read(REF)
    assert found is not None
    assert (found.turns, found.heard_ms, found.input_tokens) == (1, 1_500, 8)


def test_who_reads_the_transcript_reads_the_use(store: MemoryStore) -> None:
    put_reply(store, "t1", FIRST)
    store.usage.put(REF, "t2", 1, SECOND)
    table: Table = store.client.table
    conversation = SessionReader(table).read_conversation(REF)
    assert conversation is not None
    assert conversation.usage == store.usage.read(REF)


def test_an_erasure_deletes_it(store: MemoryStore) -> None:
    store.usage.put(REF, "t1", 1, FIRST)
    store.sweep_session(REF)
    assert store.usage.read(REF) == Usage()


def test_no_sum_is_read_of_a_history_without_end(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage_module, "MAX_PAGES", 1)
    put_reply(store, "t1", FIRST)
    assert store.usage.read(REF) is None


def test_metrics_of_an_older_version_count_as_far_as_they_go(store: MemoryStore) -> None:
    put_reply(store, "t1", Metrics(audio_ms=70, posts=2))
    assert store.usage.read(REF) == Usage(turns=1, audio_ms=70, posts=2)
