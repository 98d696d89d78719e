"""Sessions opened and transcripts read, counted in a table that many functions write to at once."""

from __future__ import annotations

import itertools
import threading
from typing import Any

import pytest

from parley.errors import ParleyError
from parley.limit import Limit
from parley.limits.request_rates import RequestRates
from parley.limits.rules import NO_LIMITS, LimitRules, RequestKind, Share
from parley.limits.token_bucket import bucket_per_minute
from parley.principal import ANONYMOUS, Principal
from parley.storage.table import Table
from tests.unit.atomic import AtomicClient

_names = itertools.count()


class Clock:
    """A time that a test moves, in ms since the epoch."""

    def __init__(self) -> None:
        self.now = 1_800_000_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def atomic(client: Any) -> AtomicClient:
    return AtomicClient(client)


def somebody(tenant: str | None = None) -> Principal:
    """Somebody whom no other test knows."""
    return Principal(tenant or f"asks{next(_names)}", f"subject{next(_names)}")


def refused(rates: RequestRates, who: Principal, kind: RequestKind = "sessions") -> ParleyError:
    with pytest.raises(ParleyError) as caught:
        rates.count_request(who, kind)
    return caught.value


@pytest.mark.parametrize(
    ("kind", "words"), [("sessions", "open or resume"), ("reads", "transcripts")]
)
def test_a_request_too_many_is_refused_until_it_is_said_to_be_taken(
    atomic: AtomicClient, clock: Clock, kind: RequestKind, words: str
) -> None:
    rules = LimitRules(Share(sessions_per_minute=9, reads_per_minute=9))
    rates, ann = RequestRates(atomic.table, rules, clock), somebody()
    for _ in range(3):
        rates.count_request(ann, kind)
    clock.now += 100
    error = refused(rates, ann, kind)
    assert (error.code, error.retryable) == ("rate_limited", True)
    assert error.retry_after_ms == bucket_per_minute(9).interval_ms - 100
    assert error.limit == Limit(f"{kind}_per_minute", 9, "subject")
    assert words in error.message
    clock.now += error.retry_after_ms
    rates.count_request(ann, kind)
    refused(rates, ann, kind)


@pytest.mark.parametrize(
    ("shares", "at_once", "limit"),
    [
        ((Share(turns_per_minute=6), Share()), 4, Limit("interrupts_per_minute", 12, "subject")),
        ((Share(), Share(turns_per_minute=3)), 2, Limit("interrupts_per_minute", 6, "tenant")),
    ],
)
def test_turns_may_be_interrupted_twice_as_often_as_they_may_be_asked_for(
    atomic: AtomicClient, clock: Clock, shares: tuple[Share, Share], at_once: int, limit: Limit
) -> None:
    rates, ann = RequestRates(atomic.table, LimitRules(*shares), clock), somebody()
    for _ in range(at_once):
        rates.count_request(ann, "interrupts")
    error = refused(rates, ann, "interrupts")
    assert error.limit == limit
    assert "turns to interrupt a minute" in error.message


def test_sessions_and_reads_and_people_are_counted_apart(
    atomic: AtomicClient, clock: Clock
) -> None:
    rules = LimitRules(Share(sessions_per_minute=3, reads_per_minute=3))
    rates, ann = RequestRates(atomic.table, rules, clock), somebody()
    rates.count_request(ann, "sessions")
    rates.count_request(ann, "reads")
    rates.count_request(somebody(ann.tenant), "sessions")
    refused(rates, ann)


def test_as_many_sessions_as_there_are_connections_may_come_back_together(
    atomic: AtomicClient, clock: Clock
) -> None:
    rules = LimitRules(Share(connections=7, sessions_per_minute=6))
    rates, ann = RequestRates(atomic.table, rules, clock), somebody()
    for _ in range(7):
        rates.count_request(ann, "sessions")
    refused(rates, ann)


@pytest.mark.parametrize(
    ("rules", "scope"),
    [
        (LimitRules(Share(sessions_per_minute=3), Share(sessions_per_minute=600)), "subject"),
        (LimitRules(Share(), Share(sessions_per_minute=3)), "tenant"),
    ],
)
def test_one_account_is_asked_by_one_write(
    atomic: AtomicClient, clock: Clock, rules: LimitRules, scope: str
) -> None:
    rates, ann = RequestRates(atomic.table, rules, clock), somebody()
    rates.count_request(ann, "sessions")
    assert atomic.calls == {"UpdateItem": 1}
    limit = refused(rates, ann).limit
    assert limit is not None
    assert limit.scope == scope


def test_whom_nobody_knows_shares_the_tenant_s(atomic: AtomicClient, clock: Clock) -> None:
    rules = LimitRules(Share(reads_per_minute=60), Share(reads_per_minute=3))
    rates = RequestRates(atomic.table, rules, clock)
    rates.count_request(ANONYMOUS, "reads")
    limit = refused(rates, ANONYMOUS, "reads").limit
    assert limit == Limit("reads_per_minute", 3, "tenant")


def test_without_a_limit_nothing_is_written() -> None:
    nowhere = Table(None, "table")  # type: ignore[arg-type]
    RequestRates(nowhere, NO_LIMITS).count_request(somebody(), "sessions")


@pytest.mark.parametrize("repeats", [False, True])
def test_however_many_ask_at_once_no_more_are_let_in_than_the_bucket_has(
    atomic: AtomicClient, clock: Clock, repeats: bool
) -> None:
    rates = RequestRates(atomic.table, LimitRules(Share(sessions_per_minute=15)), clock)
    ann, let_in = somebody(), list[int]()
    atomic.repeats = repeats

    def ask(number: int) -> None:
        try:
            rates.count_request(ann, "sessions")
        except ParleyError:
            return
        let_in.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(let_in) <= 5
    if not repeats:
        assert len(let_in) == 5, "a free place stays empty"


def test_what_is_kept_goes_when_nobody_asks(
    atomic: AtomicClient, client: Any, clock: Clock
) -> None:
    rates, ann = (
        RequestRates(atomic.table, LimitRules(Share(reads_per_minute=3)), clock),
        somebody(),
    )
    rates.count_request(ann, "reads")
    key = {"pk": {"S": f"LIMIT#{ann.key}"}, "sk": {"S": "READS"}}
    item = client.get_item(TableName="table", Key=key)["Item"]
    assert int(item["expires_at"]["N"]) * 1000 == clock.now + 3_600_000
