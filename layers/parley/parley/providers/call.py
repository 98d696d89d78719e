"""One call to a provider for one turn: guarded, within its time, tried again, and hedged."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from parley.aio.deadline import owed_deadline, pause
from parley.aio.tasks import BackgroundClose
from parley.errors import ProviderError
from parley.providers.circuit_breaker import CircuitBreaker, guard_call
from parley.providers.errors import ProviderErrorCode, make_failure
from parley.providers.hedging import TakeLead, run_hedged
from parley.providers.retry import RetrySchedule

T = TypeVar("T")


class ProviderCall:
    """Calls a provider until it answers, or until its time is over.

    Args:
        code: of the error that a failed call is.
        breaker: says whether the provider is called at all.
        timeout_s: how long an answer may be owed, over all attempts.
        hedge_after_s: how long an answer may be due until a second attempt runs in parallel.
        whole: the whole answer must come within `timeout_s`; otherwise its beginning.

    Attributes:
        owed: set when the answer is owed; before that, nobody waits.
        due: set when silence is worth a second attempt; `owed` itself unless a caller has another.
        begun: set when the first of the answer has come.
    """

    def __init__(
        self,
        code: ProviderErrorCode,
        breaker: CircuitBreaker,
        *,
        timeout_s: float,
        hedge_after_s: float,
        whole: bool = False,
        due: asyncio.Event | None = None,
    ) -> None:
        self._code: ProviderErrorCode = code
        self._breaker = breaker
        self._timeout_s = timeout_s
        self._hedge_after_s = hedge_after_s
        self.owed = asyncio.Event()
        self.due = due or self.owed
        self.begun = asyncio.Event()
        self._answered = asyncio.Event() if whole else self.begun
        self._schedule = RetrySchedule()
        self._hedges = 0
        self._last_error: ProviderError | None = None

    @property
    def retries(self) -> int:
        """How often the provider was asked again, hedges included."""
        return self._schedule.retries + self._hedges

    async def run(
        self,
        attempt: Callable[[TakeLead], Awaitable[T]],
        *,
        is_repeatable: Callable[[], bool] = lambda: True,
        prepare: Callable[[], None] = lambda: None,
    ) -> T:
        """Call the provider. Return what the attempt that answers first returns.

        Args:
            attempt: makes one attempt; see `TakeLead`.
            is_repeatable: whether an attempt that has failed may be followed by another.
            prepare: called before each attempt that is not a hedge.

        Raises:
            ProviderError: every attempt failed, the time is over, or the circuit is open.
        """

        async def call() -> T:
            try:
                async with owed_deadline(self.owed, self._answered, self._timeout_s):
                    return await self._try(attempt, is_repeatable, prepare)
            except TimeoutError:
                cause = self._last_error.cause if self._last_error else None
                raise make_failure(self._code, "timeout", cause=cause) from None

        return await guard_call(self._breaker, self._code, call, self.begun.is_set)

    async def _try(
        self,
        attempt: Callable[[TakeLead], Awaitable[T]],
        is_repeatable: Callable[[], bool],
        prepare: Callable[[], None],
    ) -> T:
        while True:
            prepare()
            try:
                return await run_hedged(attempt, self.due, self._hedge_after_s, self._count_hedge)
            except ProviderError as error:
                # A time-out during the pause would hide why the attempts before it failed.
                self._last_error = error
                if not is_repeatable():
                    raise
                delay_s = self._schedule.delay_after(error, owed=self.owed.is_set())
                if delay_s is None:
                    raise
                await pause(delay_s, self.owed)

    def _count_hedge(self) -> None:
        self._hedges += 1


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
