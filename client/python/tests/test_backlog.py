"""What waits for a connection: order and bounds."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley_client import QueueFull
from parley_client.backlog import Backlog
from parley_client.encoder import encode
from parley_client.messages import ClientMessage, UserMessage


def message(size: int) -> ClientMessage:
    """A message of so many bytes, at least 47."""
    said: UserMessage = {"type": "user_message", "turn_id": "t", "text": ""}
    said["text"] = "x" * (size - len(encode(said)))
    return said


def drain(backlog: Backlog) -> list[ClientMessage]:
    waiting = []
    while (first := backlog.first) is not None:
        waiting.append(first)
        backlog.drop_first()
    return waiting


@given(st.lists(st.integers(47, 100)))
def test_what_fits_comes_out_in_order_and_what_does_not_is_refused(sizes: list[int]) -> None:
    backlog = Backlog(max_messages=5, max_bytes=250)
    kept: deque[int] = deque()
    for size in sizes:
        fits = len(kept) < 5 and sum(kept) + size <= 250
        try:
            backlog.add(message(size))
        except QueueFull:
            assert not fits
        else:
            assert fits
            kept.append(size)
    assert len(backlog) == len(kept)
    assert [len(encode(waiting)) for waiting in drain(backlog)] == list(kept)


def test_room_that_was_freed_can_be_used_again() -> None:
    backlog = Backlog(max_messages=1, max_bytes=60)
    for _ in range(3):
        backlog.add(message(60))
        backlog.drop_first()
    assert backlog.first is None


def test_what_must_not_be_refused_is_taken_beyond_the_bounds() -> None:
    backlog = Backlog(max_messages=1, max_bytes=60)
    backlog.add(message(60))
    backlog.add(message(52), always=True)
    assert len(backlog) == 2
    with pytest.raises(QueueFull, match=r"2 messages \(112 bytes\) wait for one already"):
        backlog.add(message(52))


def test_bytes_are_counted_as_they_are_sent() -> None:
    backlog = Backlog(max_messages=9, max_bytes=51)
    said: UserMessage = {"type": "user_message", "turn_id": "t", "text": "ääää"}
    assert len(encode(said)) == 51 < len(encode(said).encode())
    with pytest.raises(QueueFull):
        backlog.add(said)


def test_a_message_is_known_by_itself_and_not_by_its_content() -> None:
    backlog = Backlog(max_messages=9, max_bytes=100)
    one, same = message(60), message(60)
    backlog.add(one)
    assert backlog.holds(one)
    assert not backlog.holds(same)
