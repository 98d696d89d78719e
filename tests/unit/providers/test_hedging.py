"""A stalled attempt gets a second one beside it; whichever answers first goes on, alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from parley.errors import FailureKind, ProviderError
from parley.providers.hedging import TakeLead, run_hedged
from tests.unit.fakes import broken, until

Step = Callable[[TakeLead], Awaitable[str]]


class Race:
    """Attempts that do as a test says, and what became of them."""

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.started = 0
        self.cancelled = 0
        self.hedges = 0
        self.owed = asyncio.Event()

    async def attempt(self, take_lead: TakeLead) -> str:
        step = self.steps[self.started]
        self.started += 1
        try:
            return await step(take_lead)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    def _on_hedge(self) -> None:
        self.hedges += 1

    async def run(self, after_s: float = 0.02) -> str:
        async with asyncio.timeout(5):
            return await run_hedged(self.attempt, self.owed, after_s, self._on_hedge)


async def stalls(take_lead: TakeLead) -> str:
    await asyncio.Event().wait()
    return "never"


def answers(text: str, after_s: float = 0.0) -> Step:
    async def step(take_lead: TakeLead) -> str:
        await asyncio.sleep(after_s)
        return text if take_lead() else "lost"

    return step


def fails(kind: FailureKind, after_s: float = 0.0, *, takes_lead: bool = False) -> Step:
    async def step(take_lead: TakeLead) -> str:
        await asyncio.sleep(after_s)
        if takes_lead:
            take_lead()
            await asyncio.sleep(0.1)
        raise broken(kind)

    return step


async def test_an_attempt_that_answers_in_time_is_alone() -> None:
    race = Race(answers("one"))
    race.owed.set()
    assert await race.run(after_s=5) == "one"
    assert (race.started, race.hedges) == (1, 0)


async def test_a_stalled_attempt_gets_a_second_one_that_answers() -> None:
    race = Race(stalls, answers("two"))
    race.owed.set()
    assert await race.run() == "two"
    assert (race.started, race.hedges, race.cancelled) == (2, 1, 1)


async def test_the_first_may_still_win() -> None:
    race = Race(answers("one", 0.06), answers("two", 5))
    race.owed.set()
    assert await race.run() == "one"
    assert race.cancelled == 1


async def test_nothing_is_hedged_before_an_answer_is_owed() -> None:
    race = Race(stalls, answers("two"))
    running = asyncio.create_task(race.run())
    await asyncio.sleep(0.1)
    assert race.started == 1
    race.owed.set()
    assert await running == "two"


async def test_an_attempt_that_has_begun_to_answer_is_never_hedged() -> None:
    async def slowly(take_lead: TakeLead) -> str:
        take_lead()
        await asyncio.sleep(0.1)
        return "one"

    race = Race(slowly, answers("two"))
    race.owed.set()
    assert await race.run() == "one"
    assert race.started == 1


async def test_one_that_fails_leaves_it_to_the_other() -> None:
    async def fails_beside_another(_take_lead: TakeLead) -> str:
        await until(lambda: race.started == 2)
        raise broken("unavailable")

    race = Race(fails_beside_another, answers("two", 0.1))
    race.owed.set()
    assert await race.run() == "two"


async def test_a_failure_before_the_hedge_is_a_failure() -> None:
    race = Race(fails("unavailable"), answers("two"))
    race.owed.set()
    with pytest.raises(ProviderError):
        await race.run(after_s=1)
    assert race.started == 1


@pytest.mark.parametrize(
    "steps",
    [
        (fails("unavailable", 0.05), fails("refused", 0.05)),
        (fails("timeout", 0.05), answers("two", 5)),
        (fails("unavailable", 0.03, takes_lead=True), answers("two", 5)),
    ],
    ids=["both fail", "the time is over", "it had begun to answer"],
)
async def test_what_no_attempt_can_mend_is_raised(steps: tuple[Step, ...]) -> None:
    race = Race(*steps)
    race.owed.set()
    with pytest.raises(ProviderError):
        await race.run()


async def test_whoever_is_cancelled_leaves_nothing_behind() -> None:
    race = Race(stalls, stalls)
    race.owed.set()
    running = asyncio.create_task(race.run())
    await until(lambda: race.started == 2)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert race.cancelled == 2
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_attempt_that_answers_in_the_same_moment_as_the_leader_has_lost() -> None:
    answered = asyncio.Event()

    async def leads(take_lead: TakeLead) -> str:
        await answered.wait()
        assert take_lead()
        await asyncio.sleep(0.01)  # the rest of its answer
        return "all of it"

    async def loses(take_lead: TakeLead) -> str:
        answered.set()
        await asyncio.sleep(0)  # the other one is first by a hair
        return "mine" if take_lead() else "lost"

    race = Race(leads, loses)
    race.owed.set()
    assert await race.run() == "all of it"
