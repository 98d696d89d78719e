"""Buckets, quotas, slots and rates: nothing but numbers in and decisions out."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.limits.buckets import (
    DAY_MS,
    LEASE_S,
    DailyQuota,
    Slots,
    Taken,
    TokenBucket,
    Wait,
    bucket_per_minute,
    lease_of,
)
from parley.limits.rates import (
    BYTES_PER_S,
    CHUNKS_PER_S,
    MAX_CONNECTIONS,
    TELL_AGAIN_S,
    ConnectionRate,
    MessageRates,
    TooFast,
)
from parley.limits.rules import NO_LIMITS, LimitRules, accounts_of, accounts_of_session
from parley.principal import ANONYMOUS, Principal

# --- the token bucket -----------------------------------------------------------------


@given(
    st.integers(1, 5_000),
    st.integers(1, 20),
    st.lists(st.integers(0, 4_000), min_size=1, max_size=60),
)
def test_no_span_of_time_has_more_turns_than_the_burst_and_what_came_back_in_it(
    interval_ms: int, burst: int, pauses_ms: list[int]
) -> None:
    bucket, state = TokenBucket(interval_ms, burst), 0.0
    taken_at: list[int] = []
    for now in itertools.accumulate(pauses_ms, initial=1_000_000):
        decision = bucket.take(state, now)
        if isinstance(decision, Taken):
            state = decision.full_at_ms
            taken_at.append(now)
    for first, last in itertools.combinations_with_replacement(range(len(taken_at)), 2):
        span_ms = taken_at[last] - taken_at[first]
        assert last - first + 1 <= burst + span_ms / interval_ms


@given(st.integers(1, 5_000), st.integers(1, 20), st.integers(0, 30))
def test_who_is_told_to_wait_gets_a_turn_after_just_so_long(
    interval_ms: int, burst: int, more: int
) -> None:
    bucket, now, state = TokenBucket(interval_ms, burst), 1_000_000, 0.0
    for _ in range(burst):
        taken = bucket.take(state, now)
        assert isinstance(taken, Taken)
        state = taken.full_at_ms
    wait = bucket.take(state, now + more % interval_ms)
    assert isinstance(wait, Wait)
    later = now + more % interval_ms + wait.ms
    assert isinstance(bucket.take(state, later), Taken)
    assert isinstance(bucket.take(state, later - 1), Wait)


@pytest.mark.parametrize(
    ("per_minute", "interval_ms", "burst"), [(1, 60_000, 1), (30, 2_000, 10), (7, 8_572, 2)]
)
def test_a_third_of_a_minute_s_turns_may_come_at_once(
    per_minute: int, interval_ms: int, burst: int
) -> None:
    assert bucket_per_minute(per_minute) == TokenBucket(interval_ms, burst)


# --- the day ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("used_ms", "now_ms", "wait_ms"),
    [
        (0, 5, None),
        (59_999, 5, None),
        (60_000, 5 * DAY_MS, DAY_MS),
        (90_000, 6 * DAY_MS - 1, 1),
    ],
)
def test_a_quota_that_is_used_up_comes_back_at_midnight(
    used_ms: int, now_ms: int, wait_ms: int | None
) -> None:
    assert DailyQuota(60_000).wait_ms(used_ms, now_ms) == wait_ms


# --- connections ------------------------------------------------------------------------


@given(st.integers(1, 5), st.lists(st.tuples(st.integers(0, 9), st.integers(0, LEASE_S))))
def test_there_are_never_more_leases_than_slots(
    limit: int, arrivals: list[tuple[int, int]]
) -> None:
    slots, held, now_s = Slots(limit), frozenset[str](), 1_000_000
    for name, pause_s in arrivals:
        now_s += pause_s
        lease = lease_of(str(name), now_s * 1000)
        decision = slots.take(held, lease, now_s)
        alive = frozenset(other for other in held if int(other.partition("#")[0]) > now_s)
        assert (decision is None) == (len(alive | {lease}) > limit)
        if decision is not None:
            assert decision == (alive | {lease}, held - alive)
            held = decision[0]
        assert len(held) <= limit


def test_a_lease_that_is_held_is_taken_again_without_a_slot() -> None:
    lease = lease_of("c", 1_000)
    assert Slots(1).take([lease], lease, 1) == (frozenset([lease]), frozenset())


# --- whose --------------------------------------------------------------------------------


def test_a_subject_has_an_account_of_its_own_and_shares_its_tenant_s() -> None:
    rules, principal = LimitRules(), Principal("acme/x", "ann#1")
    found = accounts_of(principal, rules)
    assert [(a.scope, a.pk, a.share) for a in found] == [
        ("subject", "LIMIT#acme%2Fx/ann%231", rules.subject),
        ("tenant", "LIMIT#acme%2Fx", rules.tenant),
    ]
    assert accounts_of_session(principal.session("s"), rules) == found


def test_those_whom_nobody_can_tell_apart_share_only_the_tenant_s() -> None:
    (only,) = accounts_of(ANONYMOUS, LimitRules())
    assert (only.scope, only.pk) == ("tenant", "LIMIT#default")


# --- messages -----------------------------------------------------------------------------

RATE, UTTERANCE_S = 20, 30


def test_a_whole_utterance_may_come_at_once_and_then_as_fast_as_the_rate() -> None:
    rate = ConnectionRate(RATE, UTTERANCE_S)
    size = BYTES_PER_S // CHUNKS_PER_S
    assert not any(rate.take(size, 0) for _ in range(CHUNKS_PER_S * UTTERANCE_S))
    for second in range(1, 60):
        assert not any(rate.take(size, second * 1000) for _ in range(CHUNKS_PER_S))


def test_too_many_messages_are_dropped_and_told_once_until_the_client_slows_down() -> None:
    rate = ConnectionRate(RATE, 1)
    found = [rate.take(10, 0) for _ in range(RATE + CHUNKS_PER_S + 5)]
    dropped = [verdict for verdict in found if verdict is not None]
    assert [verdict.tell for verdict in dropped] == [True, False, False, False, False]
    assert dropped[0] == TooFast("messages_per_second", RATE, 1000 / RATE, tell=True, close=False)
    assert rate.take(10, dropped[0].wait_ms) is None
    again = rate.take(10, dropped[0].wait_ms)
    assert again is not None
    assert again.tell is False


def test_audio_that_comes_quicker_than_anybody_speaks_is_dropped() -> None:
    rate = ConnectionRate(1000, 1)
    found = [rate.take(BYTES_PER_S // 4, 0) for _ in range(5)]
    assert found[:4] == [None] * 4
    assert found[4] == TooFast("bytes_per_second", BYTES_PER_S, 250, tell=True, close=False)


def test_who_slows_down_is_told_again_the_next_time() -> None:
    rate = ConnectionRate(1, 1)
    first = [rate.take(10, 0) for _ in range(20)]
    second = [rate.take(10, TELL_AGAIN_S * 1000 * 2) for _ in range(20)]
    for found in (first, second):
        assert [verdict.tell for verdict in found if verdict].count(True) == 1


def seconds_until_closed(messages_per_second: float) -> float | None:
    """When a connection that sends so many messages a second is closed, within five minutes."""
    rate = ConnectionRate(RATE, 1)
    for number in range(int(300 * messages_per_second)):
        at_s = number / messages_per_second
        verdict = rate.take(10, at_s * 1000)
        if verdict is not None and verdict.close:
            return at_s
    return None


def test_a_connection_that_goes_on_flooding_is_closed() -> None:
    closed_s = seconds_until_closed(10 * RATE)
    assert closed_s is not None
    assert 10 < closed_s < 15
    assert seconds_until_closed(1.9 * RATE) is None


def test_connections_are_counted_apart_and_the_latest_are_remembered() -> None:
    rates = MessageRates(LimitRules(messages_per_second=1, utterance_s=1))
    assert [rates.take("a", 1, 0) is None for _ in range(13)].count(True) == 11
    assert rates.take("b", 1, 0) is None
    for other in range(MAX_CONNECTIONS):
        rates.take(f"c{other}", 1, 0)
    assert rates.take("a", 1, 0) is None, "it has been forgotten"


def test_without_a_limit_nothing_is_counted() -> None:
    rates = MessageRates(NO_LIMITS)
    assert not any(rates.take("a", 1_000_000, 0) for _ in range(10_000))
