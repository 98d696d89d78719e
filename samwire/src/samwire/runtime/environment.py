"""One execution environment: a process that runs one invocation at a time.

It is frozen when it waits for an event and thawed to take one, as on Lambda: what a handler
leaves in the background does not go on.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from samwire.runtime.call import LOG_TAIL_BYTES, Call, Result
from samwire.runtime.memory import MemoryWatch
from samwire.runtime.platform_log import (
    OUT_OF_MEMORY,
    TIMED_OUT,
    PlatformLog,
    Report,
    timestamp,
)
from samwire.runtime.process import FunctionProcess
from samwire.runtime.process_source import ProcessSource
from samwire.runtime.processor_share import ProcessorShare
from samwire.runtime.runtime_api import Invocation, RuntimeApi
from samwire.runtime.variables import function_variables
from samwire.template.model import Function

INIT_TIMEOUT_S = 10.0
"""How long Lambda lets an environment initialise ("Lambda execution environments")."""
MAX_RESPONSE_BYTES = 6 * 1024 * 1024 + 100
"""The most that a function may return ("Lambda quotas")."""
MAX_KEPT_LINES = 200
MAX_KEPT_CHARACTERS = 8192
"""How much of an invocation's log is kept for who asks for it: so many lines, of each so much."""
_OF_THE_RUNTIME = ("Runtime.ExitError", OUT_OF_MEMORY, TIMED_OUT)

Log = Callable[[str, str], None]
"""Takes a function's name and a line of its log."""
Observe = Callable[[str, Mapping[str, Any]], None]
"""Takes the kind of something that happened, and what is known of it."""


@dataclass(frozen=True)
class Surroundings:
    """What the environments of a stack share.

    Attributes:
        endpoints: credentials and endpoints, besides the function's own variables.
        folder: where environments have their temporary files.
        log: told what functions print.
        observe: told of invocations.
        freeze: whether an environment stands still between invocations.
        limit_memory: whether one that uses more than its function's `MemorySize` is killed.
        limit_processor: whether invocations get the share of a processor that its memory buys.
        hosts: address and port that a host name of AWS leads to in the functions' processes.
    """

    endpoints: Mapping[str, str]
    folder: Path
    log: Log
    observe: Observe = lambda _kind, _fields: None
    freeze: bool = True
    limit_memory: bool = True
    limit_processor: bool = False
    hosts: Mapping[str, tuple[str, int]] = field(default_factory=dict)


@dataclass
class _RunningCall:
    """The invocation that runs."""

    call: Call
    began_s: float = field(default_factory=time.monotonic)
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=MAX_KEPT_LINES))

    @property
    def tail(self) -> bytes:
        return "\n".join([*self.lines, ""]).encode()[-LOG_TAIL_BYTES:]


class Environment:
    """A Lambda execution environment.

    Args:
        function: what it runs.
        version: of the function, `$LATEST` or a published one.
        processes: where its process comes from.
    """

    def __init__(
        self, function: Function, version: str, around: Surroundings, processes: ProcessSource
    ) -> None:
        self._function = function
        self._version = version
        self._processes = processes
        self._around = around
        self._platform = PlatformLog(function.log_format)
        self._api = RuntimeApi(self._freeze)
        self._id = uuid.uuid4().hex
        self._temporary = around.folder / f"tmp-{self._id}"
        self._process: FunctionProcess | None = None
        self._memory: MemoryWatch
        self._running: _RunningCall | None = None
        self._init_ms: float | None = None
        self._is_stopping = False
        self.last_used_s = time.monotonic()

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.alive and not self._is_stopping

    async def start(self) -> Result | None:
        """Start the process and have it initialise; an error if it cannot."""
        began = time.monotonic()
        address = await self._api.start()
        self._temporary.mkdir(parents=True)
        variables = function_variables(
            self._function,
            self._version,
            self._id,
            self._around.endpoints,
            address,
            self._temporary,
        )
        try:
            self._process = await self._processes.start(variables, self._around.folder, self._say)
        except OSError as problem:
            await self.stop()
            return Result.failure("Runtime.InvalidEntrypoint", str(problem))
        limit_mb = self._function.memory_mb if self._around.limit_memory else None
        self._memory = MemoryWatch(self._process.pid, limit_mb)
        error = await self._initialised(self._process)
        self._init_ms = (time.monotonic() - began) * 1000
        if error is not None:
            await self.stop()
        return error

    async def invoke(self, call: Call) -> Result:
        """Run one invocation to its end, its timeout or its crash."""
        process = self._process
        assert process is not None
        running = self._running = _RunningCall(call)
        process.thaw()
        cold = self._init_ms is not None
        self._say(self._platform.start(call.request_id, self._version))
        self._observe("invocation_started", cold=cold, event=call.event.decode(errors="replace"))
        invoke_task = asyncio.create_task(self._api.invoke(self._invocation(call)))
        ends = [invoke_task, asyncio.create_task(process.wait())]
        ends.append(asyncio.create_task(self._memory.until_exceeded()))
        if self._around.limit_processor:
            ends.append(asyncio.create_task(self._share(process)))
        if call.kill_after_s is not None:
            ends.append(asyncio.create_task(_kill(process, call.kill_after_s)))
        try:
            await asyncio.wait(
                ends, timeout=self._function.timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
            result = await self._ended(invoke_task.result() if invoke_task.done() else None)
        finally:
            for task in ends:
                task.cancel()
        result = replace(result, log=self._report(running, result))
        self._running = None
        self.last_used_s = time.monotonic()
        self._freeze()
        return result

    async def kill_running(self) -> bool:
        """Kill the process in the middle of its invocation; return whether there is one."""
        if self._running is None or self._process is None:
            return False
        await self._process.kill()
        return True

    async def stop(self) -> None:
        """Kill the process."""
        self._is_stopping = True
        if self._process is not None:
            await self._process.kill()
        await self._api.close()
        await asyncio.to_thread(shutil.rmtree, self._temporary, ignore_errors=True)

    def _freeze(self) -> None:
        """Stand still, if the runtime client waits and nothing is about to be handed to it.

        Its request for the next event may come before or after the last invocation is done
        with here, and even after the next has begun.
        """
        waits = self._api.next_asked.is_set() and self._running is None
        if waits and self._around.freeze and self._process is not None:
            self._process.freeze()

    async def _share(self, process: FunctionProcess) -> None:
        """Keep a process at its share; does not end by itself."""
        memory_mb = self._function.memory_mb
        await ProcessorShare(process.pid, memory_mb, process.pause, process.go_on).keep()
        await asyncio.Event().wait()

    def _invocation(self, call: Call) -> Invocation:
        trace = uuid.uuid4().hex
        return Invocation(
            request_id=call.request_id,
            event=call.event,
            deadline_ms=int((time.time() + self._function.timeout_s) * 1000),
            arn=call.arn,
            trace_id=f"Root=1-{int(time.time()):08x}-{trace[:24]};Parent={trace[16:]};Sampled=0",
            client_context=call.client_context,
        )

    async def _initialised(self, process: FunctionProcess) -> Result | None:
        waits = [
            asyncio.create_task(self._api.next_asked.wait()),
            asyncio.create_task(self._api.init_failed.wait()),
            asyncio.create_task(process.wait()),
        ]
        try:
            await asyncio.wait(
                waits, timeout=INIT_TIMEOUT_S * 2, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for wait in waits:
                wait.cancel()
        if self._api.init_error is not None:
            return self._api.init_error
        if process.status is not None:
            return Result.failure(
                "Runtime.ExitError", f"Runtime exited during init: {_how(process.status)}"
            )
        if not self._api.next_asked.is_set():
            return Result.failure("Sandbox.Timedout", "The function did not initialise in time.")
        return None

    async def _ended(self, answer: Result | None) -> Result:
        """Return what an invocation came to, whichever way it ended; what must not go on is
        killed."""
        process = self._process
        assert process is not None
        process.flush()  # its lines come before those about its end
        self._memory.look()
        if self._memory.exceeded:
            status = -signal.SIGKILL
        elif answer is not None:
            return _checked(answer)
        elif process.status is not None:
            status = process.status
        else:
            result = self._timed_out()
            await self.stop()
            return result
        stopping = self._is_stopping
        await self.stop()
        return self._crash(status, told=not stopping)

    def _crash(self, status: int, *, told: bool) -> Result:
        assert self._running is not None
        kind = OUT_OF_MEMORY if self._memory.exceeded else "Runtime.ExitError"
        message = (
            f"RequestId: {self._running.call.request_id} "
            f"Error: Runtime exited with error: {_how(status)}"
        )
        if told:
            self._say(message)
            self._say("Runtime.ExitError")
        return Result.failure(kind, message)

    def _timed_out(self) -> Result:
        assert self._running is not None
        message = (
            f"{timestamp()} {self._running.call.request_id} "
            f"Task timed out after {self._function.timeout_s:.2f} seconds"
        )
        self._say(message)
        return Result.failure(TIMED_OUT, message)

    def _report(self, running: _RunningCall, result: Result) -> bytes:
        """Write the last lines; the tail of the log."""
        kind = result.error_type
        peak_mb = self._memory.peak_mb
        if peak_mb is not None and kind == OUT_OF_MEMORY:
            peak_mb = self._function.memory_mb  # Lambda's sandbox lets nobody have more
        report = Report(
            request_id=running.call.request_id,
            duration_ms=(time.monotonic() - running.began_s) * 1000,
            init_ms=self._init_ms,
            memory_size_mb=self._function.memory_mb,
            memory_mb=peak_mb,
            error_type=kind if kind in _OF_THE_RUNTIME else "",
        )
        self._init_ms = None
        for line in self._platform.end(report):
            self._say(line)
        self._observe(
            "invocation_ended",
            duration_ms=round(report.duration_ms, 3),
            init_ms=report.init_ms,
            memory_mb=report.memory_mb,
            memory_size_mb=report.memory_size_mb,
            error=result.error,
            result=result.payload.decode(errors="replace"),
            log=list(running.lines),
        )
        return running.tail

    def _observe(self, kind: str, **fields: Any) -> None:
        assert self._running is not None
        names = {"function": self._function.logical_id, "version": self._version}
        call = self._running.call
        self._around.observe(kind, {**names, "request_id": call.request_id, **fields})

    def _say(self, line: str) -> None:
        if self._running is not None:
            self._running.lines.append(line[-MAX_KEPT_CHARACTERS:])
        self._around.log(self._function.logical_id, line)


async def _kill(process: FunctionProcess, delay_s: float) -> None:
    await asyncio.sleep(delay_s)
    await process.kill()


def _how(status: int) -> str:
    """Return how a process ended, as Lambda says it."""
    if status >= 0:
        return f"exit status {status}"
    return f"signal: {(signal.strsignal(-status) or str(-status)).lower()}"


def _checked(result: Result) -> Result:
    if len(result.payload) <= MAX_RESPONSE_BYTES:
        return result
    return Result.failure(
        "Function.ResponseSizeTooLarge",
        f"Response payload size ({len(result.payload)} bytes) exceeded maximum allowed payload "
        f"size ({MAX_RESPONSE_BYTES} bytes).",
    )
