"""A provider that is down is left alone for a while, then tried by one."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.errors import FailureKind, ProviderError
from parley.providers.call import ProviderCall
from parley.providers.candidates import Candidate
from parley.providers.circuit_breaker import (
    OPEN_S,
    OPENS_AFTER,
    WITHIN_S,
    CircuitBreaker,
)
from parley.providers.hedging import TakeLead
from parley.providers.rules import CallRules
from tests.unit.fakes import broken


def opened(at_s: float = 0.0, kind: FailureKind = "unavailable") -> CircuitBreaker:
    circuit = CircuitBreaker()
    for _ in range(OPENS_AFTER):
        circuit.record_failure(broken(kind), at_s)
    return circuit


@pytest.mark.parametrize("kind", ["unavailable", "timeout"])
def test_a_provider_that_is_down_is_not_called(kind: FailureKind) -> None:
    assert opened(kind=kind).admit_call(1.0) == OPEN_S - 1.0


@pytest.mark.parametrize("kind", ["unauthorized", "refused", "rate_limited", "invalid"])
def test_what_says_nothing_about_its_health_does_not_count(kind: FailureKind) -> None:
    assert opened(kind=kind).admit_call(1.0) == 0


def test_failures_that_are_long_past_do_not_count() -> None:
    circuit = CircuitBreaker()
    for n in range(3 * OPENS_AFTER):
        circuit.record_failure(broken("unavailable"), n * WITHIN_S / 3)
        assert circuit.admit_call(n * WITHIN_S / 3) == 0


def test_after_a_while_one_call_tries_and_the_others_wait() -> None:
    circuit = opened()
    assert circuit.admit_call(OPEN_S + 1) == 0
    assert circuit.admit_call(OPEN_S + 1) > 0
    circuit.record_success()
    assert circuit.admit_call(OPEN_S + 1) == 0


def test_a_trial_that_is_withdrawn_is_left_to_the_next_call() -> None:
    circuit = opened()
    assert circuit.admit_call(OPEN_S + 1) == 0
    circuit.withdraw_trial()
    assert circuit.admit_call(OPEN_S + 1) == 0
    assert circuit.admit_call(OPEN_S + 1) > 0


def test_a_trial_that_fails_opens_it_again() -> None:
    circuit = opened()
    circuit.admit_call(OPEN_S + 1)
    circuit.record_failure(broken("unavailable"), OPEN_S + 2)
    assert circuit.admit_call(OPEN_S + 3) == OPEN_S - 1


@given(st.lists(st.booleans(), max_size=30))
def test_it_opens_only_after_failures_in_a_row(outcomes: list[bool]) -> None:
    circuit, row = CircuitBreaker(), 0
    for good in outcomes:
        if row >= OPENS_AFTER:
            return
        assert circuit.admit_call(0.0) == 0
        if good:
            circuit.record_success()
        else:
            circuit.record_failure(broken("unavailable"), 0.0)
        row = 0 if good else row + 1
    assert (circuit.admit_call(0.0) > 0) == (row >= OPENS_AFTER)


class Endless:
    """A provider that is not tried again."""

    rules = CallRules(retry_delays_s=())


def guarded(circuit: CircuitBreaker) -> ProviderCall[Endless]:
    """A call to a provider with this circuit."""
    call = ProviderCall(
        "speech_failed", [Candidate(Endless(), circuit)], timeout_s=60, hedge_after_s=60
    )
    call.owed.set()
    return call


@pytest.mark.parametrize("begun", [False, True])
async def test_a_call_that_is_stopped_was_answered_if_its_answer_had_begun(begun: bool) -> None:
    circuit = opened(time.monotonic() - OPEN_S - 1)
    calling = asyncio.Event()
    call = guarded(circuit)

    async def attempt(_asked: Candidate[Endless], _take_lead: TakeLead) -> None:
        if begun:
            call.begun.set()
        calling.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(call.run(attempt))
    await calling.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (circuit.admit_call(time.monotonic()) == 0) == begun


async def test_an_answer_that_breaks_off_is_a_failure() -> None:
    circuit = CircuitBreaker()
    for _ in range(OPENS_AFTER):
        call = guarded(circuit)

        async def attempt(
            _asked: Candidate[Endless],
            take_lead: TakeLead,
            call: ProviderCall[Endless] = call,
        ) -> None:
            take_lead()
            call.begun.set()
            raise broken("unavailable")

        with pytest.raises(ProviderError):
            await call.run(attempt)
    assert circuit.admit_call(time.monotonic()) > 0


async def test_a_call_that_is_not_made_says_when_to_try_again() -> None:
    calls = 0

    async def attempt(_asked: Candidate[Endless], _take_lead: TakeLead) -> None:
        nonlocal calls
        calls += 1
        raise broken("unavailable")

    circuit = CircuitBreaker()
    for _ in range(OPENS_AFTER):
        with pytest.raises(ProviderError):
            await guarded(circuit).run(attempt)
    with pytest.raises(ProviderError) as raised:
        await guarded(circuit).run(attempt)
    assert calls == OPENS_AFTER
    assert raised.value.retryable
    assert 0 < (raised.value.retry_after_ms or 0) <= OPEN_S * 1000
