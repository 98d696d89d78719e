"""One call to a provider for one turn: within its time, tried again, hedged, and handed over to
another vendor.

With one provider, a call that fails or stalls goes to the same provider again. With a second one it
goes to that at once: what one vendor suffers from, its next answer would share.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from parley.aio.deadline import owed_deadline, pause
from parley.aio.tasks import BackgroundClose
from parley.errors import ProviderError
from parley.providers.candidates import Candidate, Candidates, P
from parley.providers.errors import ProviderErrorCode, make_failure
from parley.providers.hedging import TakeLead, run_hedged
from parley.providers.retry import RetrySchedule

T = TypeVar("T")

Attempt = Callable[[Candidate[P], TakeLead], Awaitable[T]]
"""Makes one attempt at a candidate; see `TakeLead`."""


@dataclass(slots=True, eq=False)
class _Side(Generic[P]):
    """What has become of one candidate.

    Attributes:
        schedule: when it may be asked again.
        admitted: whether its circuit has let the call through.
        on_trial: whether it was let through an open one.
        asked: the how-manieth attempt of the call was the last one at it; 0 for none.
        running: how many attempts at it have neither answered nor failed.
        failed: whether it has failed, and nobody has decided yet whether it is asked again.
        over: whether it is not asked again.
        free_at_s: when it may be asked again.
        error: why it failed last.
    """

    candidate: Candidate[P]
    schedule: RetrySchedule
    admitted: bool = False
    on_trial: bool = False
    asked: int = 0
    running: int = 0
    failed: bool = False
    over: bool = False
    free_at_s: float = 0.0
    error: ProviderError | None = None


class ProviderCall(Generic[P]):
    """Calls providers until one answers, or until the time is over.

    Args:
        code: of the error that a failed call is.
        candidates: who may be asked, the one that is preferred first.
        timeout_s: how long an answer may be owed, over all attempts; a candidate's rules may give
            more. Whoever takes over after a failure has all of its time.
        hedge_after_s: how long an answer may be due until a second attempt runs in parallel; a
            candidate's rules may give more.
        whole: the whole answer must come within its time; otherwise its beginning.
        due: see below.
        on_failover: told why the preferred candidate failed when another one takes over.

    Attributes:
        owed: set when the answer is owed; before that, nobody waits.
        due: set when silence is worth a second attempt; `owed` itself unless a caller has another.
        begun: set when the first of the answer has come.
    """

    def __init__(
        self,
        code: ProviderErrorCode,
        candidates: Candidates[P],
        *,
        timeout_s: float,
        hedge_after_s: float,
        whole: bool = False,
        due: asyncio.Event | None = None,
        on_failover: Callable[[ProviderError], None] = lambda error: None,
    ) -> None:
        self._code: ProviderErrorCode = code
        self._sides = [_Side(each, RetrySchedule(each.rules.retry_delays_s)) for each in candidates]
        self._timeout_s = timeout_s
        self._hedge_after_s = hedge_after_s
        self._on_failover = on_failover
        self.owed = asyncio.Event()
        self.due = due or self.owed
        self.begun = asyncio.Event()
        self._answered = asyncio.Event() if whole else self.begun
        self._attempts = 0
        self._hedges = 0
        self._takeovers = 0
        self._told = False
        self._current = self._sides[0]
        self._leader: _Side[P] | None = None
        self._last_error: ProviderError | None = None

    @property
    def retries(self) -> int:
        """How often a provider was asked again, hedges and other vendors included."""
        again = sum(side.schedule.retries for side in self._sides)
        return again + self._hedges + self._takeovers

    @property
    def leader(self) -> Candidate[P] | None:
        """Who answers; None as long as nobody does."""
        return self._leader.candidate if self._leader else None

    @property
    def failed_over(self) -> bool:
        """Whether another candidate than the preferred one answers."""
        return self._leader is not None and self._leader is not self._sides[0]

    @property
    def unfailed(self) -> Candidates[P]:
        """Who has not failed, and could go on where the answer broke off."""
        return [side.candidate for side in self._sides if side.error is None]

    def timeout_of(self, candidate: Candidate[P]) -> float:
        """Return how long a candidate may stay silent, in s."""
        return max(self._timeout_s, candidate.rules.timeout_s)

    async def run(
        self,
        attempt: Attempt[P, T],
        *,
        is_repeatable: Callable[[], bool] = lambda: True,
        prepare: Callable[[], None] = lambda: None,
    ) -> T:
        """Call the providers. Return what the attempt that answers first returns.

        Args:
            attempt: makes one attempt.
            is_repeatable: whether an attempt that has failed may be followed by another.
            prepare: called before each attempt that is not a hedge.

        Raises:
            ProviderError: every attempt failed, the time is over, or no circuit is closed.
        """
        try:
            answer = await self._run(attempt, is_repeatable, prepare)
        except ProviderError:
            self._record_failures()
            raise
        except asyncio.CancelledError:
            # Before its answer has begun, a cancelled call says nothing about who is asked. What
            # has failed before it has failed, whoever answers and is interrupted.
            answers = (self._leader or self._current) if self.begun.is_set() else None
            if answers is not None:
                answers.candidate.breaker.record_success()
            self._record_failures(answers)
            raise
        winner = self._leader or self._current
        winner.candidate.breaker.record_success()
        self._record_failures(winner)
        return answer

    def give_up(self) -> None:
        """Note that no answer is wanted, whatever it would be. Cancel `run` then.

        A trial that has shown nothing is left to the next call.
        """
        if self.begun.is_set():
            return
        for side in self._sides:
            if side.on_trial and side.error is None:
                side.candidate.breaker.withdraw_trial()

    async def _run(
        self,
        attempt: Attempt[P, T],
        is_repeatable: Callable[[], bool],
        prepare: Callable[[], None],
    ) -> T:
        side = self._choose()
        if side is None:
            assert self._last_error is not None, "no circuit is closed"
            raise self._sides[0].error or self._last_error
        while True:
            try:
                async with owed_deadline(
                    self.owed, self._answered, self.timeout_of(side.candidate)
                ):
                    found = await self._try(side, attempt, is_repeatable, prepare)
            except TimeoutError:
                error = self._time_out()
                # What may still act must not be done by another one as well.
                acting = any(s.running and not s.candidate.rules.repeatable for s in self._sides)
                other = None if acting or not is_repeatable() else self._choose()
                if other is None:
                    raise error from None
                self._takeovers += 1
                side = other
                continue
            if not isinstance(found, _Side):
                return found[0]
            side = found

    async def _try(
        self,
        side: _Side[P],
        attempt: Attempt[P, T],
        is_repeatable: Callable[[], bool],
        prepare: Callable[[], None],
    ) -> tuple[T] | _Side[P]:
        """Return the answer, or who is to be asked for the first time and has its own time."""
        while True:
            self._current = side
            self._tell_of(side)
            prepare()
            try:
                return (await self._ask_hedged(side, attempt),)
            except ProviderError as error:
                # A time-out during the pause would hide why the attempts before it failed.
                self._last_error = error
                if not is_repeatable() or not self._may_go_on(error):
                    raise
                other = self._choose()
                if other is not None:
                    self._takeovers += 1
                    if not other.asked:
                        return other
                    side = other
                    continue
                free = self._choose_later()
                if free is None:
                    raise
                side = free
                await pause(side.free_at_s - time.monotonic(), self.owed)

    # --- who is asked -----------------------------------------------------------------

    def _choose(self) -> _Side[P] | None:
        """Return who can be asked at once and has not failed; None if there is nobody."""
        now_s = time.monotonic()
        return next((side for side in self._sides if self._is_free(side, now_s)), None)

    def _is_free(self, side: _Side[P], now_s: float) -> bool:
        if side.over or side.failed or side.running or side.free_at_s > now_s:
            return False
        if not side.admitted:
            refusal = side.candidate.breaker.refuse_call(self._code, now_s)
            if refusal is not None:
                self._last_error = side.error = refusal
                side.over = True
                return False
            side.admitted, side.on_trial = True, side.candidate.breaker.is_open
        return True

    def _choose_later(self) -> _Side[P] | None:
        """Return who can be asked again first, after a pause; None if there is nobody."""
        now_s = time.monotonic()
        for side in self._sides:
            if side.failed and not side.over and side.error is not None:
                side.failed = False
                delay_s = side.schedule.delay_after(side.error, owed=self.owed.is_set())
                side.over = delay_s is None
                side.free_at_s = now_s + (delay_s or 0.0)
        waiting = [side for side in self._sides if not side.over]
        return min(waiting, key=lambda side: side.free_at_s) if waiting else None

    def _may_go_on(self, error: ProviderError) -> bool:
        """Return whether anybody may be asked after this failure."""
        # A filter's verdict is the answer: another vendor is not asked to be less strict.
        acting = error.may_still_act and not self._current.candidate.rules.repeatable
        return not acting and error.kind != "filtered"

    async def _ask_hedged(self, side: _Side[P], attempt: Attempt[P, T]) -> T:
        async def first(take_lead: TakeLead) -> T:
            return await self._ask(side, attempt, take_lead)

        async def second(take_lead: TakeLead) -> T:
            return await self._ask(self._choose_hedge(side), attempt, take_lead)

        rules = side.candidate.rules
        if not rules.repeatable:
            return await first(lambda: True)
        return await run_hedged(
            first,
            self.due,
            max(self._hedge_after_s, rules.hedge_after_s),
            self._count_hedge,
            second,
            outlives_timeout=len(self._sides) > 1,
        )

    def _choose_hedge(self, side: _Side[P]) -> _Side[P]:
        """Return who is asked while another one stalls: another vendor, or the same one again."""
        now_s = time.monotonic()
        for other in self._sides:
            # The one that loses has been asked in vain, which must do no harm.
            harmless = other.candidate.rules.repeatable
            if other is not side and harmless and self._is_free(other, now_s):
                return other
        return side

    async def _ask(self, side: _Side[P], attempt: Attempt[P, T], take_lead: TakeLead) -> T:
        def lead() -> bool:
            if not take_lead():
                return False
            self._leader = side
            self._tell_of(side)
            return True

        self._attempts += 1
        side.asked = self._attempts
        side.running += 1  # of an attempt that is cancelled, it stays: it was silent
        try:
            answer = await attempt(side.candidate, lead)
        except ProviderError as error:
            side.running -= 1
            side.error, side.failed = error, True
            if not side.candidate.rules.repeatable and not error.cause.nothing_sent:
                side.over = True
            raise
        side.running -= 1
        return answer

    def _count_hedge(self) -> None:
        self._hedges += 1

    # --- what is told of it -----------------------------------------------------------

    def _time_out(self) -> ProviderError:
        cause = self._last_error.cause if self._last_error else None
        error = make_failure(self._code, "timeout", cause=cause)
        for side in self._sides:
            if side.asked and not side.over:
                side.error, side.over = error, True
        self._last_error = error
        return error

    def _tell_of(self, side: _Side[P]) -> None:
        """Tell, once, that another candidate than the preferred one is asked or answers."""
        if side is not self._sides[0] and not self._told:
            self._told = True
            self._on_failover(self._sides[0].error or make_failure(self._code, "timeout"))

    def _record_failures(self, winner: _Side[P] | None = None) -> None:
        """Record why those failed that were asked, but for the one that answered in the end.

        Silence until one that was asked later answers is a failure too.
        """
        now_s = time.monotonic()
        answered = self._leader.asked if self._leader else 0
        for side in self._sides:
            error = side.error
            if error is None and 0 < side.asked < answered:
                error = make_failure(self._code, "timeout")
            if error is not None and side.asked and side is not winner:
                side.candidate.breaker.record_failure(error, now_s)


class Stream(Protocol):
    """One utterance or one reply on its way through a provider."""

    async def finish(self) -> None:
        """Say that nothing more will be sent."""

    async def close(self) -> None:
        """Close the connection. Never raise."""


S = TypeVar("S", bound=Stream)


class StreamDeadline:
    """The deadline by which a stream must have said something."""

    def __init__(self, timeout: asyncio.Timeout, timeout_s: float) -> None:
        self._timeout = timeout
        self._timeout_s = timeout_s

    @property
    def is_set(self) -> bool:
        """Whether there is one."""
        return self._timeout.when() is not None

    def restart(self) -> None:
        """Give the stream all of its time from now on."""
        self._timeout.reschedule(asyncio.get_running_loop().time() + self._timeout_s)

    def clear(self) -> None:
        """Let the stream be silent: nothing is owed."""
        self._timeout.reschedule(None)


async def exchange(
    stream: S,
    send: Callable[[S, StreamDeadline], Awaitable[None]],
    receive: Callable[[S, StreamDeadline], Awaitable[T]],
    *,
    code: ProviderErrorCode,
    timeout_s: float,
    background: BackgroundClose,
) -> T:
    """Send to a stream and receive from it in parallel; return what `receive` does.

    Args:
        send, receive: get the stream, and the deadline that they move.
        code: of the error that silence is.
        timeout_s: how long the stream may be silent once the deadline is set.
        background: closes the stream.

    Raises:
        ProviderError: the stream failed, or was silent for too long.
    """
    try:
        async with asyncio.timeout(None) as timeout:
            deadline = StreamDeadline(timeout, timeout_s)
            send_task = asyncio.ensure_future(send(stream, deadline))
            try:
                return await receive(stream, deadline)
            finally:
                # A sender that fails after the answer is complete must not cost the answer.
                send_task.cancel()
                with contextlib.suppress(asyncio.CancelledError, ProviderError):
                    await send_task
    except TimeoutError:
        raise make_failure(code, "timeout") from None
    finally:
        background.close(stream)
