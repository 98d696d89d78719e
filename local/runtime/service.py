"""The Lambda service: functions by name, environments as there is concurrency, retries.

Invoking is in-process for the gateway and through `local.runtime.invoke_api` for boto3.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
import uuid
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from local.runtime.environment import Environment, Log
from local.runtime.runtime_api import Result
from local.template.model import Function

LATEST = "$LATEST"
PUBLISHED = "1"
"""The version that a template publishes; it is never published again here."""
IDLE_S = 300.0
"""How long an unused environment is kept."""
CONCURRENCY = 1000
"""A new account's limit ("Lambda quotas")."""
MAX_ENVIRONMENTS = 32
"""Processes of one function: one machine is not a region. What comes beyond waits."""
MAX_STARTING = max(2, os.cpu_count() or 2)
RETRY_DELAY_S = 1.0
"""Lambda waits one minute before the first retry of an asynchronous invocation and two
before the second; here it waits a second, so that one can watch it."""


class Throttled(Exception):
    """All the concurrency there is, is in use (HTTP 429 on AWS)."""


class UnknownFunction(Exception):
    """There is no such function, or it has no such alias."""


class Pool:
    """The environments of one version of a function.

    An invocation takes an idle environment, or waits for the first that becomes free or
    has started. Environments start as many at a time as the machine has cores: more would
    only be slower, all of them.

    Args:
        version: `$LATEST` or a published one.
        room: how many invocations may run or wait, shared with other pools.
    """

    def __init__(
        self,
        function: Function,
        version: str,
        endpoints: Mapping[str, str],
        log: Log,
        room: asyncio.Semaphore,
    ) -> None:
        self.function = function
        self.version = version
        self._endpoints = endpoints
        self._log = log
        self._room = room
        self._idle: list[Environment] = []
        self._busy: set[Environment] = set()
        self._waiting: deque[asyncio.Future[Environment | Result]] = deque()
        self._starting: set[asyncio.Task[None]] = set()

    async def prewarm(self, count: int) -> None:
        """Start environments before they are needed."""
        for _ in range(count):
            self._start_one()
        await asyncio.gather(*self._starting)

    async def invoke(self, event: bytes, *, arn: str, wait: bool) -> Result:
        """Run one invocation.

        Args:
            wait: whether to wait for concurrency rather than be throttled.

        Raises:
            Throttled: there is none.
        """
        if not wait and self._room.locked():
            raise Throttled(self.function.name)
        async with self._room:
            environment = await self._acquire()
            if isinstance(environment, Result):
                return environment
            self._busy.add(environment)
            try:
                return await environment.invoke(event, str(uuid.uuid4()), arn)
            finally:
                self._busy.discard(environment)
                if environment.alive:
                    self._give(environment)
                else:
                    await environment.stop()
                    self._start_more()  # there is room for another now

    async def end_idle(self) -> None:
        """End environments that have not been used for a while."""
        limit = time.monotonic() - IDLE_S
        old = [environment for environment in self._idle if environment.last_used_s < limit]
        self._idle = [environment for environment in self._idle if environment not in old]
        await asyncio.gather(*(environment.stop() for environment in old))

    async def stop(self) -> None:
        """End all environments."""
        starting = list(self._starting)
        for task in starting:
            task.cancel()
        await asyncio.gather(*starting, return_exceptions=True)
        environments = [*self._idle, *self._busy]
        self._idle.clear()
        await asyncio.gather(*(environment.stop() for environment in environments))

    async def _acquire(self) -> Environment | Result:
        """An environment, or the error of one that could not initialise."""
        while self._idle:
            environment = self._idle.pop()  # the one used last, as Lambda does it
            if environment.alive:
                return environment
            await environment.stop()  # it died between invocations
        waiting: asyncio.Future[Environment | Result] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        self._start_more()
        return await waiting

    def _start_more(self) -> None:
        wanted = sum(not waiting.done() for waiting in self._waiting)
        while (
            len(self._starting) < min(wanted, MAX_STARTING)
            and len(self._idle) + len(self._busy) + len(self._starting) < MAX_ENVIRONMENTS
        ):
            self._start_one()

    def _start_one(self) -> None:
        task = asyncio.create_task(self._start())
        self._starting.add(task)
        task.add_done_callback(self._started)

    def _started(self, task: asyncio.Task[None]) -> None:
        self._starting.discard(task)
        if not task.cancelled():
            self._start_more()

    async def _start(self) -> None:
        environment = Environment(self.function, self.version, self._endpoints, self._log)
        try:
            error = await environment.start()
        except BaseException:
            await environment.stop()
            raise
        if error is not None:
            self._log(self.function.logical_id, f"init failed: {error.payload.decode()}")
        self._give(environment if error is None else error)

    def _give(self, found: Environment | Result) -> None:
        """Hand an environment, or the error of one, to whoever waits."""
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(found)
                return
        if isinstance(found, Environment):
            self._idle.append(found)


@dataclass(frozen=True, slots=True)
class Target:
    """What a reference to a function means: a version of it, and the ARN it goes by."""

    function: Function
    version: str
    arn: str


class LambdaService:
    """All functions of a stack.

    Args:
        endpoints: environment variables with credentials and endpoints.
        concurrency: of the account, shared by the functions that reserve none.
    """

    def __init__(
        self,
        functions: Iterable[Function],
        endpoints: Mapping[str, str],
        log: Log,
        concurrency: int = CONCURRENCY,
    ) -> None:
        self._functions = {function.name: function for function in functions}
        self._endpoints = endpoints
        self._log = log
        self._room = asyncio.Semaphore(concurrency)
        self._reserved = {
            function.name: asyncio.Semaphore(function.reserved_concurrency)
            for function in self._functions.values()
            if function.reserved_concurrency is not None
        }
        self._pools: dict[tuple[str, str], Pool] = {}
        self._events: set[asyncio.Task[None]] = set()
        self._cleaning: asyncio.Task[None] | None = None

    async def start(self, prewarm: int) -> None:
        """Start `prewarm` environments of every function, of its published version if any."""
        self._cleaning = asyncio.create_task(self._clean())
        pools = [
            self._pool(function, PUBLISHED if function.published else LATEST)
            for function in self._functions.values()
        ]
        await asyncio.gather(*(pool.prewarm(prewarm) for pool in pools))

    async def stop(self) -> None:
        """End everything that runs."""
        tasks = [*self._events, *([self._cleaning] if self._cleaning else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*(pool.stop() for pool in self._pools.values()))
        await asyncio.gather(*tasks, return_exceptions=True)

    async def invoke(self, reference: str, event: bytes) -> Result:
        """Invoke and wait.

        Raises:
            UnknownFunction: there is none of that name, ARN or alias.
            Throttled: its concurrency is used up.
        """
        target = self.find(reference)
        pool = self._pool(target.function, target.version)
        return await pool.invoke(event, arn=target.arn, wait=False)

    def invoke_later(self, reference: str, event: bytes) -> None:
        """Invoke asynchronously: queued, and tried again when it fails.

        Raises:
            UnknownFunction: there is none of that name, ARN or alias.
        """
        task = asyncio.create_task(self._run_later(self.find(reference), event))
        self._events.add(task)
        task.add_done_callback(self._events.discard)

    def find(self, reference: str) -> Target:
        """What a name, `name:alias` or ARN means.

        Raises:
            UnknownFunction: there is none of that name, ARN or alias.
        """
        name, _, qualifier = reference.rsplit(":function:", 1)[-1].partition(":")
        function = self._functions.get(name)
        if function is None:
            raise UnknownFunction(f"Function not found: {reference}")
        arn = function.arn + (f":{qualifier}" if qualifier else "")
        if qualifier in ("", LATEST):
            return Target(function, LATEST, arn)
        if qualifier not in function.aliases and not (
            function.published and qualifier == PUBLISHED
        ):
            raise UnknownFunction(f"Function not found: {arn}")
        return Target(function, PUBLISHED if function.published else LATEST, arn)

    def _pool(self, function: Function, version: str) -> Pool:
        key = (function.name, version)
        if key not in self._pools:
            room = self._reserved.get(function.name, self._room)
            self._pools[key] = Pool(function, version, self._endpoints, self._log, room)
        return self._pools[key]

    async def _run_later(self, target: Target, event: bytes) -> None:
        pool = self._pool(target.function, target.version)
        for attempt in range(target.function.retries + 1):
            if attempt:
                await asyncio.sleep(RETRY_DELAY_S * attempt)
            result = await pool.invoke(event, arn=target.arn, wait=True)
            if not result.error:
                return
        self._log(target.function.logical_id, f"asynchronous invocation failed: {target.arn}")

    async def _clean(self) -> None:
        while True:
            await asyncio.sleep(IDLE_S / 4)
            with contextlib.suppress(OSError):
                for pool in list(self._pools.values()):
                    await pool.end_idle()
