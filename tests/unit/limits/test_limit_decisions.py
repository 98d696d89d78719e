"""Buckets, quotas, slots and rates: nothing but numbers in and decisions out."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.limits.connection_lease import (
    LEASE_S,
    LOOK_AGAIN_S,
    LOST_AFTER_S,
    SHARD_LEASES,
    TRIES,
    Held,
    Shards,
    lease_name,
)
from parley.limits.message_rates import (
    BYTES_PER_S,
    CHUNKS_PER_S,
    MAX_CONNECTIONS,
    TELL_AGAIN_S,
    ConnectionRate,
    MessageRates,
    TooFast,
)
from parley.limits.rules import NO_LIMITS, LimitRules, Share, list_accounts, list_session_accounts
from parley.limits.token_bucket import (
    DAY_MS,
    DailyQuota,
    Taken,
    TokenBucket,
    Wait,
    bucket_per_minute,
)
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
        decision = bucket.take_tokens(state, now)
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
        taken = bucket.take_tokens(state, now)
        assert isinstance(taken, Taken)
        state = taken.full_at_ms
    wait = bucket.take_tokens(state, now + more % interval_ms)
    assert isinstance(wait, Wait)
    later = now + more % interval_ms + wait.ms
    assert isinstance(bucket.take_tokens(state, later), Taken)
    assert isinstance(bucket.take_tokens(state, later - 1), Wait)


@pytest.mark.parametrize(
    ("per_minute", "interval_ms", "burst"), [(1, 60_000, 1), (30, 2_000, 10), (7, 8_572, 2)]
)
def test_a_third_of_a_minute_s_turns_may_come_at_once(
    per_minute: int, interval_ms: int, burst: int
) -> None:
    assert bucket_per_minute(per_minute) == TokenBucket(interval_ms, burst)
    assert bucket_per_minute(per_minute, 50) == TokenBucket(interval_ms, 50)


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


CONNECTION_ID = "L0SM9cOFvHcCIhw="
"""As long as API Gateway's are."""


@given(st.integers(1, 3_000))
def test_the_shards_have_room_for_the_limit_together_and_each_for_what_one_write_unit_holds(
    limit: int,
) -> None:
    shards = Shards(limit)
    rooms = [shards.capacity(shard) for shard in range(shards.count)]
    assert sum(rooms) == limit
    assert max(rooms) <= SHARD_LEASES
    assert min(rooms) >= 1


def test_a_full_shard_is_an_item_of_one_write_unit() -> None:
    """Sizes as "DynamoDB Item sizes and formats" says: UTF-8, and a byte for each of a set."""
    lease = lease_name(CONNECTION_ID, 1_800_000_000_000)
    names = ("pk", "sk", "leases", "expires_at", "looked_at")
    keys = "LIMIT#a-tenant-of-usual-length/auth0%7C5f7c8ec7c33c6c004bbafe82" + "CONNECTIONS#000"
    size = sum(map(len, names)) + len(keys) + 2 * 7 + 3 + SHARD_LEASES * (len(lease) + 1)
    assert size <= 1024


@given(st.integers(1, 3_000), st.text(min_size=1, max_size=16))
def test_a_connection_tries_some_shards_each_once_and_always_the_same(
    limit: int, name: str
) -> None:
    shards = Shards(limit)
    order = shards.list_candidates(name)
    assert order == Shards(limit).list_candidates(name)
    assert len(set(order)) == len(order) == min(TRIES, shards.count)
    assert set(order) <= set(range(shards.count))


@pytest.mark.parametrize("limit", [10, 100, 360])
def test_of_a_limit_that_all_tries_reach_every_slot_is_found(limit: int) -> None:
    assert filled(limit) == limit


@pytest.mark.parametrize(("limit", "at_least"), [(1_000, 0.93), (3_000, 0.93)])
def test_of_a_large_limit_nearly_every_slot_is_found_before_somebody_is_refused(
    limit: int, at_least: float
) -> None:
    assert at_least * limit <= filled(limit) <= limit


def filled(limit: int) -> int:
    """How many connections are let in before the first is refused."""
    shards, held = Shards(limit), [0] * Shards(limit).count
    for number in itertools.count():
        for shard in shards.list_candidates(f"connection-{number}="):
            if held[shard] < shards.capacity(shard):
                held[shard] += 1
                break
        else:
            return number
    raise AssertionError


def test_a_lease_ends_with_the_connection_s_two_hours() -> None:
    held = Held([lease_name("old", 1_000_000), lease_name("young", 2_000_000)])
    assert held.list_ended(1_000 + LEASE_S - 1) == frozenset()
    assert held.list_ended(1_000 + LEASE_S) == {lease_name("old", 1_000_000)}


@pytest.mark.parametrize(
    ("now_s", "looked_at_s", "doubtful"),
    [
        (1_000 + LOST_AFTER_S - 1, 0, False),
        (1_000 + LOST_AFTER_S, 0, True),
        (1_000 + LOST_AFTER_S, 1_000 + LOST_AFTER_S - LOOK_AGAIN_S + 1, False),
        (1_000 + LOST_AFTER_S, 1_000 + LOST_AFTER_S - LOOK_AGAIN_S, True),
    ],
)
def test_a_connection_is_doubtful_once_its_init_would_have_been_answered(
    now_s: int, looked_at_s: int, doubtful: bool
) -> None:
    lease = lease_name("c#1", 1_000_000)
    assert Held([lease], looked_at_s).find_doubtful(now_s) == ({"c#1": lease} if doubtful else {})


# --- whose --------------------------------------------------------------------------------


def test_a_subject_has_an_account_of_its_own_and_shares_its_tenant_s() -> None:
    rules, principal = LimitRules(), Principal("acme/x", "ann#1")
    found = list_accounts(principal, rules)
    assert [(a.scope, a.pk, a.share) for a in found] == [
        ("subject", "LIMIT#acme%2Fx/ann%231", rules.subject),
        ("tenant", "LIMIT#acme%2Fx", rules.tenant),
    ]
    assert list_session_accounts(principal.session("s"), rules) == found


def test_those_whom_nobody_can_tell_apart_share_only_the_tenant_s() -> None:
    (only,) = list_accounts(ANONYMOUS, LimitRules())
    assert (only.scope, only.pk) == ("tenant", "LIMIT#default")


# --- messages -----------------------------------------------------------------------------

RATE, UTTERANCE_S = 20, 30


def test_a_whole_utterance_may_come_at_once_and_then_as_fast_as_the_rate() -> None:
    rate = ConnectionRate(RATE, UTTERANCE_S)
    size = BYTES_PER_S // CHUNKS_PER_S
    assert not any(rate.count_message(size, 0) for _ in range(CHUNKS_PER_S * UTTERANCE_S))
    for second in range(1, 60):
        assert not any(rate.count_message(size, second * 1000) for _ in range(CHUNKS_PER_S))


def test_too_many_messages_are_dropped_and_told_once_until_the_client_slows_down() -> None:
    rate = ConnectionRate(RATE, 1)
    found = [rate.count_message(10, 0) for _ in range(RATE + CHUNKS_PER_S + 5)]
    dropped = [verdict for verdict in found if verdict is not None]
    assert [verdict.tell for verdict in dropped] == [True, False, False, False, False]
    assert dropped[0] == TooFast("messages_per_second", RATE, 1000 / RATE, tell=True, close=False)
    assert rate.count_message(10, dropped[0].wait_ms) is None
    again = rate.count_message(10, dropped[0].wait_ms)
    assert again is not None
    assert again.tell is False


def test_audio_that_comes_quicker_than_anybody_speaks_is_dropped() -> None:
    rate = ConnectionRate(1000, 1)
    found = [rate.count_message(BYTES_PER_S // 4, 0) for _ in range(5)]
    assert found[:4] == [None] * 4
    assert found[4] == TooFast("bytes_per_second", BYTES_PER_S, 250, tell=True, close=False)


def test_who_slows_down_is_told_again_the_next_time() -> None:
    rate = ConnectionRate(1, 1)
    first = [rate.count_message(10, 0) for _ in range(20)]
    second = [rate.count_message(10, TELL_AGAIN_S * 1000 * 2) for _ in range(20)]
    for found in (first, second):
        assert [verdict.tell for verdict in found if verdict].count(True) == 1


def seconds_until_closed(messages_per_second: float) -> float | None:
    """When a connection that sends so many messages a second is closed, within five minutes."""
    rate = ConnectionRate(RATE, 1)
    for number in range(int(300 * messages_per_second)):
        at_s = number / messages_per_second
        verdict = rate.count_message(10, at_s * 1000)
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
    assert [rates.count_message("a", 1, 0) is None for _ in range(13)].count(True) == 11
    assert rates.count_message("b", 1, 0) is None
    for other in range(MAX_CONNECTIONS):
        rates.count_message(f"c{other}", 1, 0)
    assert rates.count_message("a", 1, 0) is None, "it has been forgotten"


def test_a_connection_starts_no_more_turns_than_one_person_could_have() -> None:
    rules = LimitRules(Share(turns_per_minute=30), messages_per_second=RATE, utterance_s=60)
    rates = MessageRates(rules)

    def ask(at_s: float) -> TooFast | None:
        assert rates.count_message("a", 10, at_s * 1000) is None
        return rates.count_call("turns_per_minute", "a", at_s * 1000)

    at_once = [ask(0) for _ in range(25)]
    assert at_once[:20] == [None] * 20
    assert at_once[20] == TooFast("turns_per_minute", 60, 1000, tell=True, close=False)
    assert [verdict.tell for verdict in at_once[21:] if verdict] == [False] * 4
    assert [ask(1 + n) for n in range(60)] == [None] * 60, "twice as many as it may have"
    assert rates.count_message("b", 10, 0) is None
    assert rates.count_call("turns_per_minute", "b", 0) is None, "another one's are counted apart"


@pytest.mark.parametrize(
    ("subject", "tenant", "may"), [(1, 600, 20), (0, 60, 40), (0, 0, 100)], ids=str
)
def test_how_many_turns_may_be_asked_for_at_once(subject: int, tenant: int, may: int) -> None:
    shares = Share(turns_per_minute=subject), Share(turns_per_minute=tenant)
    rates = MessageRates(LimitRules(*shares))
    for _ in range(100):
        rates.count_message("a", 10, 0)
    assert [rates.count_call("turns_per_minute", "a", 0) for _ in range(100)].count(None) == may


def test_without_a_limit_nothing_is_counted() -> None:
    rates = MessageRates(NO_LIMITS)
    assert not any(rates.count_message("a", 1_000_000, 0) for _ in range(10_000))
    assert not any(rates.count_call("turns_per_minute", "a", 0) for _ in range(10_000))
