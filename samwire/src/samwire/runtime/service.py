"""The Lambda service: functions by name, version and alias; concurrency; asynchronous events.

Invoking is in-process for the gateway and through `samwire.runtime.invoke_api` for boto3.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from samwire.faults.faults import Faults
from samwire.faults.latency import Delays
from samwire.faults.plan import Plan
from samwire.runtime.call import Call, Result
from samwire.runtime.concurrency import Concurrency, Throttled
from samwire.runtime.destinations import AwsSender
from samwire.runtime.environment import Surroundings
from samwire.runtime.event_queue import EventQueue, QueuedEvent
from samwire.runtime.options import ServiceOptions
from samwire.runtime.pool import IDLE_S, Pool
from samwire.runtime.sources import Folders
from samwire.template.model import LATEST, EventInvoke, Function

PUBLISHED = "1"
"""The version that a template publishes; it is never published again here."""

__all__ = ["LambdaService", "Target", "Throttled", "UnknownFunction"]


class UnknownFunction(LookupError):
    """There is no such function, or it has no such alias."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a reference to a function means: a version of it, and the ARN it goes by.

    Attributes:
        qualifier: the alias or version that was asked for; `$LATEST` for none.
    """

    function: Function
    version: str
    arn: str
    qualifier: str


class LambdaService:
    """All functions of a stack.

    Raises:
        OverReserved: the functions reserve more concurrency than the account has.
    """

    def __init__(
        self,
        functions: Iterable[Function],
        around: Surroundings,
        options: ServiceOptions | None = None,
        faults: Faults | None = None,
    ) -> None:
        self._functions = {function.name: function for function in functions}
        self._around = around
        self._options = options or ServiceOptions()
        self._faults = faults or Faults(Plan(), lambda _kind, _to: None)
        self._concurrency = Concurrency(
            self._options.concurrency,
            {
                function.name: function.reserved_concurrency
                for function in self._functions.values()
                if function.reserved_concurrency is not None
            },
        )
        self._pools: dict[tuple[str, str], Pool] = {}
        self._delays = Delays(self._options.latency)
        self._folders = Folders()
        send = AwsSender(around.endpoints, self.invoke_later)
        self._queue = EventQueue(send, self._options.retry_delay_s)
        self._clean_task: asyncio.Task[None] | None = None

    async def start(self, prewarm: int, only: Collection[str] = ()) -> None:
        """Start `prewarm` environments of every function, of its published version if any.

        Args:
            only: logical ids of the functions that get them; empty for all.
        """
        self._clean_task = asyncio.create_task(self._clean())
        pools = [
            self._pool(function, PUBLISHED if function.published else LATEST)
            for function in self._functions.values()
            if not only or function.logical_id in only
        ]
        await asyncio.gather(*(pool.prewarm(prewarm) for pool in pools))

    async def stop(self) -> None:
        """End everything that runs."""
        if self._clean_task is not None:
            self._clean_task.cancel()
        stopping = [self._queue.stop(), *(pool.stop() for pool in self._pools.values())]
        await asyncio.gather(*stopping)

    async def invoke(
        self, reference: str, event: bytes, *, request_id: str = "", client_context: str = ""
    ) -> Result:
        """Invoke and wait.

        Args:
            request_id: made up if it is empty.
            client_context: JSON that the caller adds.

        Raises:
            UnknownFunction: there is none of that name, ARN or alias.
            Throttled: its concurrency is used up.
        """
        target = self.find(reference)
        if delay_s := self._delays.next_s("invoke_ms"):
            await asyncio.sleep(delay_s)
        call = Call(event, target.arn, client_context=client_context)
        return await self._run(target, replace(call, request_id=request_id or call.request_id))

    def invoke_later(self, reference: str, event: bytes) -> str:
        """Invoke asynchronously: queued, and tried again when it fails.

        Returns:
            the request id, which all attempts share.

        Raises:
            UnknownFunction: there is none of that name, ARN or alias.
        """
        target = self.find(reference)
        function = target.function
        trouble = self._faults.event(function.logical_id, function.name)
        queued = QueuedEvent(
            call=Call(event, target.arn),
            arn=f"{function.arn}:{target.qualifier}",
            version=target.version,
            settings=function.event_invokes.get(target.qualifier, EventInvoke()),
            dead_letter=function.dead_letter,
            run=lambda call: self._run(target, call),
            log=lambda line: self._around.log(function.logical_id, line),
            never=self._concurrency.reserves_none(function.name),
            delay_s=trouble.delay_s + self._delays.next_s("event_ms"),
        )
        for _ in range(trouble.copies):
            self._queue.put(queued)
        return queued.call.request_id

    def renew(self, function: str = "") -> None:
        """Have every invocation from now on meet a new environment, as Lambda may at any time.

        What runs goes on to its end.

        Args:
            function: logical id or name; all functions if it is empty.

        Raises:
            UnknownFunction: there is none of that name.
        """
        names = {each.name for each in self._meant(function)}
        for (name, _version), pool in self._pools.items():
            if name in names:
                pool.renew()

    async def kill_running(self, function: str) -> int:
        """Kill a function in the middle of its invocations.

        Args:
            function: logical id or name.

        Returns:
            How many invocations there were.

        Raises:
            UnknownFunction: there is none of that name.
        """
        names = {each.name for each in self._meant(function)}
        pools = [pool for (name, _version), pool in self._pools.items() if name in names]
        return sum([await pool.kill_running() for pool in pools])

    def set_variables(self, function: str, variables: Mapping[str, str]) -> None:
        """Give a function other variables, and new environments that have them.

        Args:
            function: logical id or name.
            variables: by name; those that are not named stay.

        Raises:
            UnknownFunction: there is none of that name.
        """
        for each in self._meant(function):
            each.environment.update(variables)
        self.renew(function)

    def _meant(self, function: str) -> list[Function]:
        meant = [f for f in self._functions.values() if function in ("", f.logical_id, f.name)]
        if not meant:
            raise UnknownFunction(f"Function not found: {function}")
        return meant

    def find(self, reference: str) -> Target:
        """Return what a name, `name:alias` or ARN means.

        Raises:
            UnknownFunction: there is none of that name, ARN or alias.
        """
        name, _, qualifier = reference.rsplit(":function:", 1)[-1].partition(":")
        function = self._functions.get(name)
        if function is None:
            raise UnknownFunction(f"Function not found: {reference}")
        arn = function.arn + (f":{qualifier}" if qualifier else "")
        if qualifier in ("", LATEST):
            return Target(function, LATEST, arn, LATEST)
        if qualifier not in function.aliases and not (
            function.published and qualifier == PUBLISHED
        ):
            raise UnknownFunction(f"Function not found: {arn}")
        version = PUBLISHED if function.published else LATEST
        return Target(function, version, arn, qualifier)

    async def _run(self, target: Target, call: Call) -> Result:
        function = target.function
        trouble = self._faults.call(function.logical_id, function.name)
        if trouble.throttled:
            raise Throttled("CallerRateLimitExceeded")
        with self._concurrency.one(function.name):
            pool = self._pool(function, target.version)
            return await pool.invoke(replace(call, kill_after_s=trouble.kill_after_s))

    def _pool(self, function: Function, version: str) -> Pool:
        key = (function.name, version)
        if key not in self._pools:
            options = self._options
            folders = [function.code, *function.layers]
            sources = self._folders.sources(folders) if options.reload else None
            self._pools[key] = Pool(
                function, version, self._around, sources, options.preload, self._delays
            )
        return self._pools[key]

    async def _clean(self) -> None:
        while True:
            await asyncio.sleep(IDLE_S / 4)
            for pool in list(self._pools.values()):
                pool.end_idle()
