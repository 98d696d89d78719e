"""One execution environment: a process that runs one invocation at a time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from local.runtime.runtime_api import Invocation, Result, RuntimeApi
from local.template.model import Function

INIT_TIMEOUT_S = 10.0
"""How long Lambda lets an environment initialise ("Lambda execution environments")."""

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
        variables: endpoints and credentials, besides the function's own variables.
        log: told what it prints.
    """

    def __init__(self, function: Function, variables: dict[str, str], log: Log) -> None:
        self._function = function
        self._variables = variables
        self._log = log
        self._api = RuntimeApi()
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._init_ms: float | None = None
        self.last_used_s = time.monotonic()

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> Result | None:
        """Start the process and have it initialise; an error if it cannot."""
        began = time.monotonic()
        address = await self._api.start()
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "local.runtime.launcher"),
            *(str(os.getpid()), self._function.handler),
            cwd=self._function.code,
            env=self._environment(address),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=1024 * 1024,
        )
        self._reading = asyncio.create_task(self._read_log(self._process))
        error = await self._initialised()
        self._init_ms = (time.monotonic() - began) * 1000
        if error is not None:
            await self.stop()
        return error

    async def invoke(self, event: bytes, request_id: str, arn: str) -> Result:
        """Run one invocation to its end, its timeout or its crash."""
        timeout_s = self._function.timeout_s
        self._log(self._function.logical_id, f"START RequestId: {request_id} Version: $LATEST")
        began = time.monotonic()
        invocation = Invocation(
            request_id=request_id,
            event=event,
            deadline_ms=int((time.time() + timeout_s) * 1000),
            arn=arn,
            trace_id=f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]};Sampled=0",
        )
        working = asyncio.create_task(self._api.invoke(invocation))
        assert self._process is not None
        dying = asyncio.create_task(self._process.wait())
        try:
            await asyncio.wait(
                {working, dying}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
            if working.done():
                result = working.result()
            elif dying.done():
                result = self._crash(request_id, dying.result())
            else:
                result = self._timed_out(request_id, timeout_s)
                await self.stop()
        finally:
            working.cancel()
            dying.cancel()
        self._report(request_id, (time.monotonic() - began) * 1000)
        self.last_used_s = time.monotonic()
        return result

    async def stop(self) -> None:
        """Kill the process."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        if self._reading is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._reading, 1)
        await self._api.close()

    async def _initialised(self) -> Result | None:
        assert self._process is not None
        waits = [
            asyncio.create_task(self._api.next_asked.wait()),
            asyncio.create_task(self._api.init_failed.wait()),
            asyncio.create_task(self._process.wait()),
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
        if self._process.returncode is not None:
            return Result.failure(
                "Runtime.ExitError",
                f"Runtime exited during init with status {self._process.returncode}",
            )
        if not self._api.next_asked.is_set():
            return Result.failure("Sandbox.Timedout", "The function did not initialise in time.")
        return None

    def _crash(self, request_id: str, status: int) -> Result:
        shown = f"signal: {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        message = f"RequestId: {request_id} Error: Runtime exited with error: {shown}"
        self._log(self._function.logical_id, message)
        return Result.failure("Runtime.ExitError", message)

    def _timed_out(self, request_id: str, timeout_s: float) -> Result:
        message = f"{request_id} Task timed out after {timeout_s:.2f} seconds"
        self._log(self._function.logical_id, message)
        return Result.failure("Sandbox.Timedout", message)

    def _report(self, request_id: str, duration_ms: float) -> None:
        report = Report(request_id, duration_ms, self._init_ms, self._peak_memory_mb())
        self._init_ms = None
        self._log(self._function.logical_id, f"END RequestId: {request_id}")
        self._log(self._function.logical_id, report.line(self._function.memory_mb))

    def _peak_memory_mb(self) -> int | None:
        """Peak resident memory; known on Linux only."""
        if self._process is None:
            return None
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text()
        except OSError:
            return None
        peak = next((line for line in status.splitlines() if line.startswith("VmHWM")), "")
        return int(peak.split()[1]) // 1024 if peak else None

    async def _read_log(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        with contextlib.suppress(ValueError):
            while line := await process.stdout.readline():
                self._log(self._function.logical_id, line.decode(errors="replace").rstrip("\n"))

    def _environment(self, address: str) -> dict[str, str]:
        function = self._function
        root = Path(__file__).resolve().parents[2]
        inherited = {
            name: os.environ[name]
            for name in ("PATH", "HOME", "TMPDIR", "LANG", "LD_LIBRARY_PATH", "SYSTEMROOT")
            if name in os.environ
        }
        return {
            **inherited,
            **self._variables,
            "AWS_LAMBDA_RUNTIME_API": address,
            "_HANDLER": function.handler,
            "LAMBDA_TASK_ROOT": str(function.code),
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.runtime}",
            "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
            "TZ": ":UTC",
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": os.pathsep.join(map(str, [function.code, *function.layers, root])),
            **function.environment,
        }
