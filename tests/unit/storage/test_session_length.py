"""A session can be resumed for as long as it may last, and no longer."""

from __future__ import annotations

import time

import pytest

from parley.ids import new_ulid, ulid_ms
from parley.protocol.messages import NO_SETTINGS
from parley.storage.item_codec import Session
from parley.storage.sessions import SessionStore
from tests.unit.memory import own
from tests.unit.memory_dynamodb import MemoryDynamoDB


def test_a_ulid_says_when_it_was_made() -> None:
    assert ulid_ms(new_ulid(1_700_000_000_123)) == 1_700_000_000_123


@pytest.mark.parametrize("text", ["", "s", "x" * 26, "0" * 27])
def test_what_is_no_ulid_says_nothing(text: str) -> None:
    assert ulid_ms(text) is None


@pytest.mark.parametrize(("opened_s_ago", "over"), [(0, False), (590, False), (601, True)])
def test_a_session_is_over_when_it_has_lasted_too_long(opened_s_ago: int, over: bool) -> None:
    now_s = time.time()
    store = SessionStore(MemoryDynamoDB().table, max_session_s=600)
    ref = own(new_ulid(round((now_s - opened_s_ago) * 1000)))
    session = Session(ref, "", "c", NO_SETTINGS, "active")
    store.put_session(session)
    store.set_active_turn(ref, "t", round(now_s * 1000))
    found = store.get_session(ref)
    assert found is not None
    assert found.is_over(now_s) is over
    assert found.is_over(now_s + 700)
