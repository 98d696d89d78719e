"""One execution environment: a process that runs one invocation at a time."""

from __future__ import annotations

import asyncio
import signal
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from local.runtime.process import FunctionProcess
from local.runtime.runtime_api import Invocation, Result, RuntimeApi
from local.runtime.variables import function_variables
from local.template.model import Function

INIT_TIMEOUT_S = 10.0
"""How long Lambda lets an environment initialise ("Lambda execution environments")."""
MAX_RESPONSE_BYTES = 6 * 1024 * 1024 + 100
"""The most that a function may return ("Lambda quotas")."""

Log = Callable[[str, str], None]
"""Takes a function's name and a line of its log."""


@dataclass(frozen=True, slots=True)
class Report:
    """How an invocation went, as Lambda's REPORT line says it."""

    request_id: str
    duration_ms: float
    init_ms: float | None
    memory_mb: int | None

    def line(self, memory_size_mb: int) -> str:
        """The REPORT line."""
        parts = [
            f"REPORT RequestId: {self.request_id}",
            f"Duration: {self.duration_ms:.2f} ms",
            f"Billed Duration: {int(self.duration_ms) + 1} ms",
            f"Memory Size: {memory_size_mb} MB",
        ]
        if self.memory_mb is not None:
            parts.append(f"Max Memory Used: {self.memory_mb} MB")
        if self.init_ms is not None:
            parts.append(f"Init Duration: {self.init_ms:.2f} ms")
        return "\t".join(parts)


class Environment:
    """A Lambda execution environment.

    Args:
        function: what it runs.
        version: of the function, `$LATEST` or a published one.
        endpoints: credentials and endpoints, besides the function's own variables.
        log: told what it prints.
    """

    def __init__(
        self, function: Function, version: str, endpoints: Mapping[str, str], log: Log
    ) -> None:
        self._function = function
        self._version = version
        self._endpoints = endpoints
        self._log = log
        self._api = RuntimeApi()
        self._process: FunctionProcess | None = None
        self._init_ms: float | None = None
        self._stopping = False
        self.last_used_s = time.monotonic()

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.alive and not self._stopping

    async def start(self) -> Result | None:
        """Start the process and have it initialise; an error if it cannot."""
        began = time.monotonic()
        address = await self._api.start()
        variables = function_variables(
            self._function, self._version, uuid.uuid4().hex, self._endpoints, address
        )
        try:
            self._process = await FunctionProcess.start(
                self._function.handler, self._function.code, variables, self._say
            )
        except OSError as problem:
            await self._api.close()
            return Result.failure("Runtime.InvalidEntrypoint", str(problem))
        error = await self._initialised(self._process)
        self._init_ms = (time.monotonic() - began) * 1000
        if error is not None:
            await self.stop()
        return error

    async def invoke(self, event: bytes, request_id: str, arn: str) -> Result:
        """Run one invocation to its end, its timeout or its crash."""
        process = self._process
        assert process is not None
        self._say(f"START RequestId: {request_id} Version: {self._version}")
        began = time.monotonic()
        working = asyncio.create_task(self._api.invoke(self._invocation(event, request_id, arn)))
        dying = asyncio.create_task(process.wait())
        try:
            await asyncio.wait(
                {working, dying},
                timeout=self._function.timeout_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if working.done():
                result = _checked(working.result())
            elif dying.done():
                result = self._crash(request_id, dying.result())
                await self.stop()
            else:
                result = self._timed_out(request_id)
                await self.stop()
        finally:
            working.cancel()
            dying.cancel()
        self._report(request_id, (time.monotonic() - began) * 1000)
        self.last_used_s = time.monotonic()
        return result

    async def stop(self) -> None:
        """Kill the process."""
        self._stopping = True
        if self._process is not None:
            await self._process.kill()
        await self._api.close()

    def _invocation(self, event: bytes, request_id: str, arn: str) -> Invocation:
        trace = uuid.uuid4().hex
        return Invocation(
            request_id=request_id,
            event=event,
            deadline_ms=int((time.time() + self._function.timeout_s) * 1000),
            arn=arn,
            trace_id=f"Root=1-{int(time.time()):08x}-{trace[:24]};Parent={trace[16:]};Sampled=0",
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

    def _crash(self, request_id: str, status: int) -> Result:
        message = f"RequestId: {request_id} Error: Runtime exited with error: {_how(status)}"
        if not self._stopping:
            self._say(message)
        return Result.failure("Runtime.ExitError", message)

    def _timed_out(self, request_id: str) -> Result:
        message = f"{request_id} Task timed out after {self._function.timeout_s:.2f} seconds"
        self._say(message)
        return Result.failure("Sandbox.Timedout", message)

    def _report(self, request_id: str, duration_ms: float) -> None:
        assert self._process is not None
        self._process.flush()  # its lines come before the END line
        memory_mb = self._process.peak_memory_mb()
        report = Report(request_id, duration_ms, self._init_ms, memory_mb)
        self._init_ms = None
        self._say(f"END RequestId: {request_id}")
        self._say(report.line(self._function.memory_mb))

    def _say(self, line: str) -> None:
        self._log(self._function.logical_id, line)


def _how(status: int) -> str:
    """How a process ended, as Lambda says it."""
    return f"signal: {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


def _checked(result: Result) -> Result:
    if len(result.payload) <= MAX_RESPONSE_BYTES:
        return result
    return Result.failure(
        "Function.ResponseSizeTooLarge",
        f"Response payload size ({len(result.payload)} bytes) exceeded maximum allowed payload "
        f"size ({MAX_RESPONSE_BYTES} bytes).",
    )
