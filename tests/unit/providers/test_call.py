"""One call: by each provider's own rules, and handed over to another vendor."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.errors import Cause, FailureKind, ProviderError
from parley.providers.call import ProviderCall
from parley.providers.candidates import Candidate
from parley.providers.circuit_breaker import OPENS_AFTER, CircuitBreaker
from parley.providers.errors import make_failure
from parley.providers.hedging import TakeLead
from parley.providers.rules import CallRules
from tests.unit.fakes import broken, until

SOON = CallRules(retry_delays_s=(0.0, 0.0))
ONCE = CallRules(repeatable=False, retry_delays_s=(0.0, 0.0))
Outcome = ProviderError | str | asyncio.Event | None
"""What an attempt comes to: a failure, an answer, an answer when it may, or silence for ever."""


class WatchedCircuit(CircuitBreaker):
    """A circuit that remembers what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.failures: list[ProviderError] = []
        self.successes = 0

    def record_failure(self, error: ProviderError, now_s: float) -> None:
        self.failures.append(error)
        super().record_failure(error, now_s)

    def record_success(self) -> None:
        self.successes += 1
        super().record_success()


class Vendor:
    """A provider whose attempts come to what a test says; then they answer with its name."""

    def __init__(self, name: str, *outcomes: Outcome, rules: CallRules = SOON) -> None:
        self.name = name
        self.outcomes = [*outcomes]
        self.rules = rules
        self.asked = 0
        self.circuit = WatchedCircuit()

    @property
    def failures(self) -> list[ProviderError]:
        """What its circuit was told of it."""
        return self.circuit.failures

    @property
    def successes(self) -> int:
        """How often its circuit was told that it answered."""
        return self.circuit.successes

    async def answer(self) -> str:
        outcome = self.outcomes[self.asked] if self.asked < len(self.outcomes) else self.name
        self.asked += 1
        await asyncio.sleep(0)
        if isinstance(outcome, Exception):
            raise outcome
        if isinstance(outcome, asyncio.Event):
            await outcome.wait()
            return self.name
        if outcome is None:
            await asyncio.Event().wait()
        return str(outcome)


class Calling:
    """A call to some vendors whose answer is owed, and what was told of it."""

    def __init__(
        self, *vendors: Vendor, timeout_s: float = 30.0, hedge_after_s: float = 20.0
    ) -> None:
        self.told: list[ProviderError] = []
        self.call: ProviderCall[Vendor] = ProviderCall(
            "reply_failed",
            [Candidate(vendor, vendor.circuit) for vendor in vendors],
            timeout_s=timeout_s,
            hedge_after_s=hedge_after_s,
            on_failover=self.told.append,
        )
        self.call.owed.set()

    async def attempt(self, asked: Candidate[Vendor], take_lead: TakeLead) -> str:
        answer = await asked.provider.answer()
        take_lead()
        return answer

    async def run(self, attempt: Callable[..., Awaitable[str]] | None = None) -> str:
        async with asyncio.timeout(10):
            return await self.call.run(
                attempt or self.attempt, is_repeatable=lambda: not self.call.begun.is_set()
            )


def unsent(reason: str = "connection_refused") -> ProviderError:
    """A failure to connect."""
    return make_failure("reply_failed", "unavailable", cause=Cause("llm", reason, "Check it."))


def answered_with(status: int) -> ProviderError:
    """A failure that an HTTP answer tells."""
    cause = Cause("llm", "down", "It is down.", "h", status)
    return make_failure("reply_failed", "unavailable", cause=cause)


def opened(vendor: Vendor) -> Vendor:
    """The vendor, with its circuit open."""
    for _ in range(OPENS_AFTER):
        vendor.circuit.record_failure(broken("unavailable"), time.monotonic())
    vendor.failures.clear()
    return vendor


# --- the rules of one ---------------------------------------------------------------


async def test_a_provider_has_the_time_that_its_rules_give_it() -> None:
    slow = CallRules(timeout_s=5.0, hedge_after_s=5.0)
    ready = asyncio.Event()
    vendor = Vendor("slow", ready, rules=slow)
    # It answers when the deployment's own limits have passed, and not before.
    asyncio.get_running_loop().call_later(0.2, ready.set)
    calling = Calling(vendor, timeout_s=0.05, hedge_after_s=0.02)
    assert (await calling.run(), vendor.asked) == ("slow", 1)


async def test_rules_do_not_shorten_what_the_deployment_gives() -> None:
    ready = asyncio.Event()
    vendor = Vendor("slow", ready, rules=CallRules(timeout_s=0.01, hedge_after_s=0.01))
    # It answers when its own limits have passed.
    asyncio.get_running_loop().call_later(0.1, ready.set)
    assert (await Calling(vendor).run(), vendor.asked) == ("slow", 1)


async def test_a_provider_s_own_delays_count() -> None:
    vendor = Vendor("x", *[broken("unavailable")] * 9, rules=CallRules(retry_delays_s=(0.0,) * 4))
    with pytest.raises(ProviderError):
        await Calling(vendor).run()
    assert vendor.asked == 5


@pytest.mark.parametrize(
    "reason",
    ["host_not_found", "connection_refused", "unreachable", "tls_failed", "connect_timeout"],
)
async def test_a_provider_that_acts_is_asked_again_if_nothing_has_reached_it(reason: str) -> None:
    vendor = Vendor("workflow", unsent(reason), rules=ONCE)
    assert await Calling(vendor).run() == "workflow"
    assert vendor.asked == 2


@pytest.mark.parametrize(
    "error", [broken("unavailable"), broken("rate_limited"), answered_with(500), broken("timeout")]
)
async def test_a_provider_that_acts_is_never_asked_twice(error: ProviderError) -> None:
    vendor = Vendor("workflow", error, rules=ONCE)
    with pytest.raises(ProviderError):
        await Calling(vendor).run()
    assert vendor.asked == 1


async def test_a_provider_that_acts_is_never_hedged() -> None:
    vendor, other = Vendor("workflow", None, rules=ONCE), Vendor("other")
    with pytest.raises(ProviderError) as raised:
        await Calling(vendor, other, timeout_s=0.2, hedge_after_s=0.01).run()
    assert raised.value.kind == "timeout"
    assert (vendor.asked, other.asked) == (1, 0), "it may still act"


# --- two vendors --------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    ["unavailable", "rate_limited", "unauthorized", "refused", "invalid", "empty", "timeout"],
)
async def test_what_fails_goes_to_the_other_vendor_at_once(kind: FailureKind) -> None:
    first = Vendor("first", broken(kind), rules=CallRules(retry_delays_s=(60.0,)))
    second = Vendor("second")
    calling = Calling(first, second)
    assert await calling.run() == "second"
    assert (first.asked, second.asked, calling.call.retries) == (1, 1, 1)
    assert calling.call.failed_over
    assert [error.kind for error in calling.told] == [kind]
    assert ([e.kind for e in first.failures], second.failures) == ([kind], [])
    assert (first.successes, second.successes) == (0, 1)


async def test_what_a_filter_holds_back_is_not_asked_of_another() -> None:
    first, second = Vendor("first", broken("filtered")), Vendor("second")
    with pytest.raises(ProviderError):
        await Calling(first, second).run()
    assert second.asked == 0


async def test_a_vendor_that_stalls_is_raced_by_the_other_one() -> None:
    first, second = Vendor("first", None), Vendor("second")
    calling = Calling(first, second, hedge_after_s=0.02)
    assert await calling.run() == "second"
    assert (first.asked, second.asked, calling.call.retries) == (1, 1, 1)
    assert [error.kind for error in calling.told] == ["timeout"]
    assert [error.kind for error in first.failures] == ["timeout"]


async def test_a_vendor_that_wins_the_race_after_all_has_not_failed() -> None:
    ready = asyncio.Event()
    first, second = Vendor("first", ready), Vendor("second", None)
    calling = Calling(first, second, hedge_after_s=0.02)
    running = asyncio.create_task(calling.run())
    await until(lambda: second.asked)
    ready.set()
    assert await running == "first"
    assert not calling.call.failed_over
    assert calling.told == []
    assert (first.successes, first.failures) == (1, [])
    assert (second.successes, second.failures) == (0, []), "it had no time"


async def test_a_vendor_that_acts_does_not_race() -> None:
    first = Vendor("first", None, None, rules=SOON)
    workflow = Vendor("workflow", rules=ONCE)
    calling = Calling(first, workflow, timeout_s=0.3, hedge_after_s=0.02)
    assert await calling.run() == "workflow"
    assert workflow.asked == 1
    assert first.asked == 2, "it was raced by itself, and given up"


async def test_a_vendor_that_is_down_is_passed_over() -> None:
    first, second = opened(Vendor("first")), Vendor("second")
    calling = Calling(first, second)
    assert await calling.run() == "second"
    assert (first.asked, calling.call.retries) == (0, 0)
    assert [error.cause.reason for error in calling.told] == ["not_called"]
    assert first.failures == []


async def test_where_both_are_down_nobody_is_called() -> None:
    first, second = opened(Vendor("first")), opened(Vendor("second"))
    with pytest.raises(ProviderError) as raised:
        await Calling(first, second).run()
    assert raised.value.cause.reason == "not_called"
    assert (first.asked, second.asked) == (0, 0)


async def test_a_second_that_is_down_leaves_the_first_as_if_alone() -> None:
    first = Vendor("first", broken("unavailable"))
    second = opened(Vendor("second"))
    assert await Calling(first, second).run() == "first"
    assert (first.asked, second.asked) == (2, 0)


async def test_two_that_fail_are_asked_in_turn() -> None:
    first = Vendor("first", *[broken("unavailable")] * 2)
    second = Vendor("second", *[broken("unavailable")] * 9)
    calling = Calling(first, second)
    assert await calling.run() == "first"
    assert (first.asked, second.asked) == (3, 2)
    assert len(second.failures) == 1, "a call is one failure, however often it was tried"


async def test_who_takes_over_late_has_all_of_its_time() -> None:
    ready = asyncio.Event()
    first = Vendor("first", None, rules=SOON)
    second = Vendor("second", ready)
    calling = Calling(first, second, timeout_s=0.4, hedge_after_s=60)
    began = time.monotonic()
    running = asyncio.create_task(calling.run())
    await until(lambda: second.asked)
    # Later than the first one's time, and earlier than its own.
    asyncio.get_running_loop().call_later(0.2, ready.set)
    assert await running == "second"
    assert time.monotonic() - began > 0.5


async def test_who_takes_over_from_a_late_failure_has_all_of_its_time() -> None:
    class Late(Vendor):
        async def answer(self) -> str:
            await asyncio.sleep(0.6)  # how long it takes to fail
            return await super().answer()

    first, second = Late("first", broken("refused")), Late("second")
    assert await Calling(first, second, timeout_s=1.0).run() == "second"


@pytest.mark.parametrize(
    ("error", "asks_other"),
    [
        (unsent(), True),
        (answered_with(500), True),
        (answered_with(504), False),
        (answered_with(502), False),
        (broken("unavailable"), False),
        (broken("timeout"), False),
        (broken("empty"), True),
        (broken("refused"), True),
    ],
)
async def test_after_one_that_acts_another_is_asked_only_if_it_has_failed_for_certain(
    error: ProviderError, asks_other: bool
) -> None:
    workflow, other = Vendor("workflow", error, rules=ONCE), Vendor("other")
    if asks_other:
        assert await Calling(workflow, other).run() == "other"
    else:
        with pytest.raises(ProviderError):
            await Calling(workflow, other).run()
    assert workflow.asked == 1
    assert other.asked == asks_other


async def test_a_vendor_that_lost_the_race_can_go_on_where_the_other_breaks_off() -> None:
    ready = asyncio.Event()
    first, second = Vendor("first", ready), Vendor("second", None)
    calling = Calling(first, second, hedge_after_s=0.02)

    async def breaks_off(asked: Candidate[Vendor], take_lead: TakeLead) -> str:
        await asked.provider.answer()
        take_lead()
        calling.call.begun.set()
        raise broken("unavailable")

    running = asyncio.create_task(calling.run(breaks_off))
    await until(lambda: second.asked)
    ready.set()
    with pytest.raises(ProviderError):
        await running
    assert [each.provider for each in calling.call.unfailed] == [second]
    assert (len(first.failures), second.failures) == (1, [])


async def test_an_answer_that_breaks_off_is_not_begun_again() -> None:
    first, second = Vendor("first"), Vendor("second")
    calling = Calling(first, second)

    async def breaks_off(_asked: Candidate[Vendor], take_lead: TakeLead) -> str:
        take_lead()
        calling.call.begun.set()
        raise broken("unavailable")

    with pytest.raises(ProviderError):
        await calling.run(breaks_off)
    assert len(first.failures) == 1
    assert [each.provider for each in calling.call.unfailed] == [second]


@pytest.mark.parametrize("begins", [False, True])
async def test_who_has_failed_has_failed_though_the_user_interrupts_the_other(
    begins: bool,
) -> None:
    first, second = Vendor("first", broken("unavailable")), Vendor("second")
    calling = Calling(first, second)

    async def answers_at_length(asked: Candidate[Vendor], take_lead: TakeLead) -> str:
        await asked.provider.answer()
        if begins:
            take_lead()
            calling.call.begun.set()
        await asyncio.Event().wait()
        return ""

    running = asyncio.create_task(calling.run(answers_at_length))
    await until(lambda: second.asked and (calling.call.begun.is_set() or not begins))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ([error.kind for error in first.failures], second.failures) == (["unavailable"], [])
    assert (first.successes, second.successes) == (0, int(begins))


async def test_who_was_silent_has_failed_though_the_user_interrupts_the_other() -> None:
    first, second = Vendor("first", None), Vendor("second")
    calling = Calling(first, second, hedge_after_s=0.02)

    async def answers_at_length(asked: Candidate[Vendor], take_lead: TakeLead) -> str:
        await asked.provider.answer()
        take_lead()
        calling.call.begun.set()
        await asyncio.Event().wait()
        return ""

    running = asyncio.create_task(calling.run(answers_at_length))
    await until(calling.call.begun.is_set)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [error.kind for error in first.failures] == ["timeout"]
    assert (first.successes, second.successes) == (0, 1)


KINDS: Any = st.sampled_from(["unavailable", "rate_limited", "refused", "invalid", "empty"])
OUTCOMES = st.lists(
    st.one_of(KINDS.map(broken), st.just(unsent()), st.sampled_from([500, 504]).map(answered_with)),
    max_size=6,
)


@given(OUTCOMES, OUTCOMES, st.sampled_from([SOON, ONCE]), st.sampled_from([SOON, ONCE]))
async def test_whatever_fails_nobody_that_acts_is_asked_twice_and_the_call_ends(
    of_first: list[ProviderError],
    of_second: list[ProviderError],
    first_rules: CallRules,
    second_rules: CallRules,
) -> None:
    first = Vendor("first", *of_first, rules=first_rules)
    second = Vendor("second", *of_second, rules=second_rules)
    calling = Calling(first, second)
    try:
        answer = await calling.run()
    except ProviderError:
        answer = ""
    for vendor in (first, second):
        reached = [
            outcome
            for outcome in vendor.outcomes[: vendor.asked]
            if isinstance(outcome, ProviderError) and not outcome.cause.nothing_sent
        ]
        answered = vendor.asked > len(vendor.outcomes)
        if not vendor.rules.repeatable:
            assert len(reached) + answered <= 1
        assert vendor.asked <= 3
        assert len(vendor.failures) + vendor.successes <= 1
        assert vendor.successes == (answer == vendor.name)
    assert first.asked >= 1
    assert calling.call.failed_over == (answer == "second")
    if not of_first:
        assert (answer, second.asked) == ("first", 0)
