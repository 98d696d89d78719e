"""The environments of one version of a function, as many as there is concurrency."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from samwire.faults.latency import Delays, Latency
from samwire.runtime.call import Call, Result
from samwire.runtime.environment import Environment, Surroundings
from samwire.runtime.free_processor import LOOK_S, FreeProcessor
from samwire.runtime.options import Preload
from samwire.runtime.packages import import_advice
from samwire.runtime.process_source import ProcessSource
from samwire.runtime.sources import Sources
from samwire.template.model import Function

IDLE_S = 300.0
"""How long an unused environment is kept."""
MAX_ENVIRONMENTS = 32
"""Processes of one function: one machine is not a region. What comes beyond waits."""
MOST_PATIENCE_S = 0.5
"""However long starts take: an invocation that has waited for so long has another one begun."""
AT_ONCE = 2
"""As many environments are started as soon as so many invocations come at once."""
_SAMPLES = 4
"""Invocations that count when it is told how long one takes."""
MAX_STARTING = max(2, os.cpu_count() or 2)


@dataclass(eq=False)
class _Waiting:
    """An invocation that waits for an environment."""

    found: asyncio.Future[Environment | Result]
    since_s: float = field(default_factory=time.monotonic)


class Pool:
    """The environments of one version of a function.

    An invocation takes an idle environment, or waits for the first that becomes free or
    has started. Environments start as many at a time as the machine has cores: more would
    only be slower, all of them. None starts as long as those that there are will be free sooner
    than it would be, going by what invocations and starts have taken lately. While no processor is
    free, another one would take time from those that run: beyond the first two, one starts each
    half second. When the sources
    have changed, those that run the old ones are ended, and new ones start.

    Args:
        version: `$LATEST` or a published one.
        sources: None if changes do not matter.
        preload: what environments do not import themselves.
        delays: how long AWS takes for what comes before an environment initialises.
    """

    def __init__(
        self,
        function: Function,
        version: str,
        around: Surroundings,
        sources: Sources | None,
        preload: Preload = Preload.DEFINITIONS,
        delays: Delays | None = None,
    ) -> None:
        self.function = function
        self.version = version
        self._around = around
        self._sources = sources
        self._processes = ProcessSource(
            function,
            json.dumps(around.hosts),
            preload,
            lambda line: around.log(function.logical_id, line),
        )
        self._delays = delays or Delays(Latency())
        self._idle: list[Environment] = []
        self._busy: set[Environment] = set()
        self._outdated: set[Environment] = set()
        self._waiting: deque[_Waiting] = deque()
        self._starting: dict[asyncio.Task[None], Environment] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._stopped = False
        self._run_s = 0.0
        """What an invocation takes, lately."""
        self._start_s = 0.0
        """What the last start took, as far as an invocation waits for it."""
        self._processor = FreeProcessor()
        self._look: asyncio.TimerHandle | None = None
        self._began_s = 0.0
        """When the last start began."""

    async def prewarm(self, count: int) -> None:
        """Start environments before they are needed: one, and then the others like it.

        What further ones are forked from starts meanwhile.
        """
        for number in range(count):
            self._start_one()
            if number == 0:
                await asyncio.gather(*self._starting)
        await asyncio.gather(*self._starting)
        if count:
            self._processes.prepare()

    async def invoke(self, call: Call) -> Result:
        """Run one invocation."""
        self._reload()
        environment = await self._acquire()
        if isinstance(environment, Result):
            return environment
        began = time.monotonic()
        try:
            result = await environment.invoke(call)
            self._run_s += (time.monotonic() - began - self._run_s) / _SAMPLES
            if (advised := self._advised(result)).advice:
                self._around.log(self.function.logical_id, advised.advice)
            return advised
        finally:
            self._busy.discard(environment)
            if environment.alive and environment not in self._outdated:
                self._give(environment)
            else:
                self._outdated.discard(environment)
                self._end(environment)
                self._start_more()  # there is room for another now

    def renew(self) -> None:
        """Use none of the environments there are for another invocation."""
        for environment in self._idle:
            self._end(environment)
        self._idle.clear()
        self._outdated |= self._busy | set(self._starting.values())
        self._processes.renew()

    async def kill_running(self) -> int:
        """Kill the environments that run an invocation; return how many."""
        return sum([await environment.kill_running() for environment in list(self._busy)])

    def end_idle(self) -> None:
        """End environments that have not been used for a while."""
        limit = time.monotonic() - IDLE_S
        for environment in [found for found in self._idle if found.last_used_s < limit]:
            self._idle.remove(environment)
            self._end(environment)

    async def stop(self) -> None:
        """End all environments; what waits for one is cancelled."""
        self._stopped = True
        if self._look is not None:
            self._look.cancel()
        for waiting in self._waiting:
            waiting.found.cancel()
        starting = list(self._starting)
        for task in starting:
            task.cancel()
        await asyncio.gather(*starting, return_exceptions=True)
        environments = [*self._idle, *self._busy]
        self._idle.clear()
        await asyncio.gather(*(environment.stop() for environment in environments))
        while self._ending:
            await asyncio.gather(*self._ending)
        await self._processes.stop()

    def _reload(self) -> None:
        changed = self._sources.changed() if self._sources is not None else []
        if not changed:
            return
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        self._around.log(
            self.function.logical_id, f"{changed[0]}{more} changed: new environments from now on"
        )
        self.renew()

    async def _acquire(self) -> Environment | Result:
        """Return an environment, busy from now on, or the error of one that could not
        initialise."""
        while self._idle:
            environment = self._idle.pop()  # the one used last, as Lambda does it
            if environment.alive:
                self._busy.add(environment)
                return environment
            self._end(environment)  # it died between invocations
        loop = asyncio.get_running_loop()
        waiting = _Waiting(loop.create_future())
        self._waiting.append(waiting)
        self._start_more()
        overdue = loop.call_later(self._start_s, self._start_more)
        try:
            return await waiting.found
        except asyncio.CancelledError:
            if waiting.found.done() and not waiting.found.cancelled():
                found = waiting.found.result()
                if isinstance(found, Environment):
                    self._busy.discard(found)
                self._give(found)
            raise
        finally:
            overdue.cancel()

    def _start_more(self) -> None:
        if self._stopped:
            return
        waiting = [each for each in self._waiting if not each.found.done()]
        wanted = len(waiting)
        if not waiting:
            return
        if self._are_soon_free(waiting):
            # Nobody waits for it. The next two messages of a connection run at once, as on AWS.
            if len(self._idle) + len(self._busy) + len(self._starting) < AT_ONCE:
                self._start_one()
            return
        while (
            len(self._starting) < min(wanted, MAX_STARTING)
            and len(self._idle) + len(self._busy) + len(self._starting) < MAX_ENVIRONMENTS
        ):
            if not self._would_help():
                self._look_again_later()
                return
            self._start_one()

    def _look_again_later(self) -> None:
        if self._look is None:
            self._look = asyncio.get_running_loop().call_later(LOOK_S, self._look_again)

    def _look_again(self) -> None:
        self._look = None
        self._start_more()

    def _would_help(self) -> bool:
        """Return whether another environment would do more than take time from those that run."""
        if len(self._busy) + len(self._starting) < AT_ONCE or self._processor.is_there():
            return True
        return time.monotonic() - self._began_s >= MOST_PATIENCE_S

    def _are_soon_free(self, waiting: Sequence[_Waiting]) -> bool:
        """Return whether nobody would wait for less time if another environment were started."""
        has_waited_s = time.monotonic() - waiting[0].since_s
        takes_s = self._run_s * len(waiting)
        return has_waited_s < self._start_s and takes_s < self._start_s * len(self._busy)

    def _start_one(self) -> None:
        self._began_s = time.monotonic()
        environment = Environment(self.function, self.version, self._around, self._processes)
        task = asyncio.create_task(self._start(environment))
        self._starting[task] = environment
        task.add_done_callback(self._started)

    def _started(self, task: asyncio.Task[None]) -> None:
        self._starting.pop(task)
        if not task.cancelled():
            self._start_more()

    async def _start(self, environment: Environment) -> None:
        began = time.monotonic()
        try:
            if delay_s := self._delays.next_s("cold_start_ms"):
                await asyncio.sleep(delay_s)
            error = await environment.start()
            self._start_s = min(time.monotonic() - began, MOST_PATIENCE_S)
        except Exception as problem:  # the machine's: no file, port or room for another
            await environment.stop()
            error = Result.failure("ServiceException", f"No environment can start: {problem}")
        except BaseException:
            await environment.stop()
            raise
        if environment in self._outdated:  # what it could not initialise may be mended by now
            self._outdated.discard(environment)
            self._end(environment)
            return
        if error is not None:
            error = self._advised(error)
            self._around.log(self.function.logical_id, f"init failed: {error.payload.decode()}")
            if error.advice:
                self._around.log(self.function.logical_id, error.advice)
        self._give(environment if error is None else error)

    def _advised(self, result: Result) -> Result:
        return replace(result, advice=import_advice(self.function, result))

    def _give(self, found: Environment | Result) -> None:
        """Hand an environment, or the error of one, to the next that waits."""
        while self._waiting:
            waiting = self._waiting.popleft().found
            if not waiting.done():
                if isinstance(found, Environment):
                    # Now, and not when who waits goes on: until then it would count as none.
                    self._busy.add(found)
                waiting.set_result(found)
                return
        if isinstance(found, Environment):
            self._idle.append(found)

    def _end(self, environment: Environment) -> None:
        """End an environment without anybody waiting for it."""
        task = asyncio.create_task(environment.stop())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
