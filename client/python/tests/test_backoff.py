"""When the client tries again: plain numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley_client.backoff import Backoff
from parley_client.options import Reconnect


def longest(low: float, high: float) -> float:
    assert low == 0.0
    return high


def delays(backoff: Backoff) -> list[float]:
    row = []
    while (delay_s := backoff.next_delay_s()) is not None:
        row.append(delay_s)
    return row


def test_the_ceiling_doubles_up_to_the_cap_and_then_there_is_an_end() -> None:
    policy = Reconnect(attempts=8)
    assert delays(Backoff(policy, longest)) == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_by_default_there_are_five_attempts() -> None:
    assert len(delays(Backoff(Reconnect(), longest))) == 5


def test_a_delay_is_drawn_from_nothing_to_the_ceiling() -> None:
    backoff = Backoff(Reconnect(attempts=1_000, base_s=1.0, cap_s=1.0))
    row = delays(backoff)
    assert min(row) < 0.1
    assert max(row) > 0.9
    assert all(0.0 <= delay_s <= 1.0 for delay_s in row)


@pytest.mark.parametrize(("lasted_s", "left"), [(4.9, 3), (5.0, 5), (7_200.0, 5)])
def test_attempts_are_counted_anew_only_after_a_stable_connection(
    lasted_s: float, left: int
) -> None:
    backoff = Backoff(Reconnect(stable_s=5.0), longest)
    backoff.next_delay_s()
    backoff.next_delay_s()
    backoff.lost(lasted_s)
    assert len(delays(backoff)) == left


@given(attempts=st.integers(0, 3_000), base_s=st.floats(0.001, 5), cap_s=st.floats(5, 60))
def test_no_number_of_attempts_exceeds_the_cap(attempts: int, base_s: float, cap_s: float) -> None:
    row = delays(Backoff(Reconnect(attempts=attempts, base_s=base_s, cap_s=cap_s), longest))
    assert len(row) == attempts
    assert all(delay_s <= cap_s for delay_s in row)
    assert row == sorted(row)
