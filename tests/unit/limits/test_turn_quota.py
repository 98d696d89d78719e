"""Turns and seconds, counted in a table that many functions write to at the same time."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parley.aws.failures import ConnectTimedOut
from parley.limits.rules import LimitRules, Share
from parley.limits.token_bucket import DAY_MS, bucket_per_minute
from parley.limits.turn_quota import Meter
from parley.principal import ANONYMOUS, Principal, SessionRef
from tests.unit.atomic import AtomicClient

NOON_MS = 20_000 * DAY_MS + DAY_MS // 2
_names = itertools.count()


@pytest.fixture
def atomic(client: Any) -> AtomicClient:
    return AtomicClient(client)


class Clock:
    """A time that a test moves, in ms since the epoch."""

    def __init__(self) -> None:
        self.now = NOON_MS

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


MeterOf = Callable[..., Meter]


@pytest.fixture
def meter_of(atomic: AtomicClient, clock: Clock) -> MeterOf:
    def make(subject: Share | None = None, tenant: Share | None = None) -> Meter:
        rules = LimitRules(subject or Share(), tenant or Share())
        return Meter(atomic.table, rules, clock)

    return make


def somebody(tenant: str | None = None) -> SessionRef:
    """A session of somebody whom no other test knows."""
    return Principal(tenant or f"tenant{next(_names)}", f"subject{next(_names)}").session("s")


async def test_turns_are_admitted_until_the_bucket_is_empty_and_again_when_told(
    meter_of: MeterOf, clock: Clock
) -> None:
    meter, ref = meter_of(Share(turns_per_minute=9)), somebody()
    for _ in range(3):
        assert (await meter.admit_turn(ref, spoken=False)).refused is None
    clock.now += 100
    refused = (await meter.admit_turn(ref, spoken=False)).refused
    assert refused is not None
    assert (refused.code, refused.retryable) == ("rate_limited", True)
    assert refused.retry_after_ms == bucket_per_minute(9).interval_ms - 100
    assert refused.limit is not None
    assert (refused.limit.name, refused.limit.value, refused.limit.scope) == (
        "turns_per_minute",
        9,
        "subject",
    )
    assert "9 turns a minute" in refused.message
    clock.now += refused.retry_after_ms
    assert (await meter.admit_turn(ref, spoken=False)).refused is None
    assert (await meter.admit_turn(ref, spoken=False)).refused is not None


async def test_one_subject_s_turns_are_not_another_s(meter_of: MeterOf) -> None:
    meter, tenant = meter_of(Share(turns_per_minute=3)), f"tenant{next(_names)}"
    first, second = somebody(tenant), somebody(tenant)
    assert (await meter.admit_turn(first, spoken=False)).refused is None
    assert (await meter.admit_turn(first, spoken=False)).refused is not None
    assert (await meter.admit_turn(second, spoken=False)).refused is None


async def test_a_turn_that_the_tenant_has_no_room_for_costs_its_subject_none(
    meter_of: MeterOf, clock: Clock
) -> None:
    meter = meter_of(Share(turns_per_minute=3), Share(turns_per_minute=3))
    tenant = f"tenant{next(_names)}"
    first, second = somebody(tenant), somebody(tenant)
    assert (await meter.admit_turn(first, spoken=False)).refused is None
    refused = (await meter.admit_turn(second, spoken=False)).refused
    assert refused is not None
    assert refused.limit is not None
    assert refused.limit.scope == "tenant"
    alone = meter_of(Share(turns_per_minute=3))
    assert (await alone.admit_turn(second, spoken=False)).refused is None


async def test_a_subject_s_refusals_take_nothing_from_its_tenant_not_even_for_a_moment(
    meter_of: MeterOf, atomic: AtomicClient
) -> None:
    meter = meter_of(Share(turns_per_minute=3), Share(turns_per_minute=60))
    tenant = f"tenant{next(_names)}"
    greedy, modest = somebody(tenant), somebody(tenant)
    assert (await meter.admit_turn(greedy, spoken=False)).refused is None
    atomic.changed.clear()
    found = await asyncio.gather(*(meter.admit_turn(greedy, spoken=False) for _ in range(40)))
    assert {each.refused.limit.scope for each in found if each.refused and each.refused.limit} == {
        "subject"
    }
    assert f"LIMIT#{tenant}" not in atomic.changed
    assert (await meter.admit_turn(modest, spoken=False)).refused is None


@pytest.mark.parametrize("broken", ["tenant", "subject"])
async def test_a_turn_that_cannot_be_counted_everywhere_is_counted_nowhere(
    broken: str, meter_of: MeterOf, atomic: AtomicClient
) -> None:
    meter = meter_of(Share(turns_per_minute=3), Share(turns_per_minute=3))  # one at once
    ref = somebody()
    owner = ref.rpartition("/")[0]
    atomic.broken = f"LIMIT#{owner if broken == 'subject' else owner.partition('/')[0]}"
    with pytest.raises(ConnectTimedOut):
        await meter.admit_turn(ref, spoken=False)
    atomic.broken = ""
    assert (await meter.admit_turn(ref, spoken=False)).refused is None


async def test_a_turn_that_is_given_back_can_be_taken_again(meter_of: MeterOf) -> None:
    meter, ref = meter_of(Share(turns_per_minute=3)), somebody()
    admission = await meter.admit_turn(ref, spoken=False)
    await meter.return_turn(admission)
    assert (await meter.admit_turn(ref, spoken=False)).refused is None
    assert (await meter.admit_turn(ref, spoken=False)).refused is not None


@given(
    per_minute=st.integers(3, 30),
    callers=st.integers(2, 10),
    used=st.integers(0, 4),
    repeats=st.booleans(),
)
@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_however_many_ask_at_once_no_more_are_admitted_than_the_bucket_has(
    meter_of: MeterOf,
    atomic: AtomicClient,
    per_minute: int,
    callers: int,
    used: int,
    repeats: bool,
) -> None:
    meter, ref = meter_of(Share(turns_per_minute=per_minute)), somebody()
    atomic.repeats = repeats

    async def ask(times: int) -> int:
        found = await asyncio.gather(*(meter.admit_turn(ref, spoken=False) for _ in range(times)))
        return sum(admission.refused is None for admission in found)

    before = asyncio.run(ask(used))
    admitted = before + asyncio.run(ask(callers))
    burst = int(bucket_per_minute(per_minute).burst)
    assert admitted <= burst
    if not repeats:
        assert admitted == min(burst, used + callers), "a free place stays empty"


@pytest.mark.parametrize(
    ("share", "spoken", "name"),
    [
        (Share(audio_s_per_day=60), True, "audio_seconds_per_day"),
        (Share(speech_s_per_day=60), True, "speech_seconds_per_day"),
        (Share(speech_s_per_day=60), False, "speech_seconds_per_day"),
        (Share(0, 30, 60, 60), True, "audio_seconds_per_day"),
    ],
)
async def test_a_day_s_seconds_are_used_up_and_come_back_at_midnight(
    meter_of: MeterOf, clock: Clock, share: Share, spoken: bool, name: str
) -> None:
    meter, ref = meter_of(tenant=share), somebody()
    await meter.charge_turn(ref, 59_999, 59_999)
    assert (await meter.admit_turn(ref, spoken=spoken)).refused is None, "something is left"
    await meter.charge_turn(ref, 20_000, 20_000)
    refused = (await meter.admit_turn(ref, spoken=spoken)).refused
    assert refused is not None
    assert (refused.code, refused.retryable) == ("quota_exceeded", True)
    assert refused.retry_after_ms == DAY_MS // 2
    assert refused.limit is not None
    assert (refused.limit.name, refused.limit.value, refused.limit.scope) == (name, 60, "tenant")
    clock.now += DAY_MS // 2
    assert (await meter.admit_turn(ref, spoken=spoken)).refused is None
    await meter.charge_turn(ref, 60_000, 60_000)
    assert (await meter.admit_turn(ref, spoken=spoken)).refused is not None


async def test_who_may_not_be_listened_to_any_more_may_still_type(meter_of: MeterOf) -> None:
    meter, ref = meter_of(Share(audio_s_per_day=1)), somebody()
    await meter.charge_turn(ref, 1000, 0)
    assert (await meter.admit_turn(ref, spoken=False)).refused is None
    assert (await meter.admit_turn(ref, spoken=True)).refused is not None


async def test_of_two_refusals_the_one_that_lasts_longer_is_told(meter_of: MeterOf) -> None:
    meter, ref = meter_of(Share(turns_per_minute=3), Share(speech_s_per_day=1)), somebody()
    await meter.charge_turn(ref, 0, 1000)
    await meter.admit_turn(ref, spoken=False)
    refused = (await meter.admit_turn(ref, spoken=False)).refused
    assert refused is not None
    assert refused.code == "quota_exceeded"


@pytest.mark.parametrize("repeats", [False, True])
async def test_charges_that_come_at_once_are_all_counted_and_repeated_writes_once(
    meter_of: MeterOf, atomic: AtomicClient, repeats: bool
) -> None:
    meter, ref = meter_of(Share(speech_s_per_day=60)), somebody()
    await meter.charge_turn(ref, 0, 1000)
    atomic.repeats = repeats
    await asyncio.gather(*(meter.charge_turn(ref, 0, 1000) for _ in range(58)))
    assert (await meter.admit_turn(ref, spoken=False)).refused is None
    await meter.charge_turn(ref, 0, 1000)
    assert (await meter.admit_turn(ref, spoken=False)).refused is not None


async def test_a_function_whose_clock_is_behind_at_midnight_charges_the_new_day(
    meter_of: MeterOf, clock: Clock
) -> None:
    meter, ref = meter_of(Share(speech_s_per_day=60)), somebody()
    clock.now += DAY_MS
    await meter.charge_turn(ref, 0, 30_000)
    clock.now -= DAY_MS
    await meter.charge_turn(ref, 0, 30_000)
    clock.now += DAY_MS
    assert (await meter.admit_turn(ref, spoken=False)).refused is not None


@pytest.mark.parametrize(
    ("subject", "tenant", "ref", "writes", "reads"),
    [
        (None, None, somebody(), 0, 0),
        (Share(turns_per_minute=30, speech_s_per_day=60), None, somebody(), 1, 0),
        (Share(0, 30, 60, 60), Share(0, 30, 60, 60), somebody(), 2, 0),
        (Share(0, 30, 60, 60), Share(0, 30, 60, 60), ANONYMOUS.session("s"), 1, 0),
        (Share(speech_s_per_day=60), None, somebody(), 0, 1),
    ],
)
async def test_a_turn_costs_one_write_for_each_account_and_none_without_limits(
    meter_of: MeterOf,
    atomic: AtomicClient,
    clock: Clock,
    subject: Share | None,
    tenant: Share | None,
    ref: SessionRef,
    writes: int,
    reads: int,
) -> None:
    meter = meter_of(subject, tenant)
    await meter.admit_turn(ref, spoken=False)
    await meter.charge_turn(ref, 1000, 1000)  # the first of a day, which finds no account
    clock.now += 60_000
    atomic.calls.clear()
    await meter.admit_turn(ref, spoken=False)
    assert (atomic.calls["UpdateItem"], atomic.calls["GetItem"]) == (writes, reads)
    atomic.calls.clear()
    await meter.charge_turn(ref, 1000, 1000)
    assert atomic.calls.total() == max(writes, reads)
    atomic.calls.clear()
    await meter.charge_turn(ref, 0, 0)
    assert atomic.calls.total() == 0, "nothing was used"


def test_what_is_kept_goes_when_nobody_talks(meter_of: MeterOf, client: Any, clock: Clock) -> None:
    meter, ref = meter_of(Share(turns_per_minute=3, speech_s_per_day=60)), somebody()
    asyncio.run(meter.admit_turn(ref, spoken=False))
    pk = f"LIMIT#{ref.rpartition('/')[0]}"
    item = client.get_item(TableName="table", Key={"pk": {"S": pk}, "sk": {"S": "USAGE"}})["Item"]
    assert int(item["expires_at"]["N"]) * 1000 == clock.now + 2 * DAY_MS
