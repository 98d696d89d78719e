"""The process of an execution environment: how it is started, heard and ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

MAX_LINE_BYTES = 256 * 1024
"""A longer line of a log is cut in pieces, as CloudWatch Logs cuts events."""


class FunctionProcess:
    """A process in a session of its own, so that what it starts can be ended with it.

    Args:
        process: its standard output is read line by line.
        log: told every line.
    """

    def __init__(self, process: asyncio.subprocess.Process, log: Callable[[str], None]) -> None:
        self._process = process
        self._log = log
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(
        cls, handler: str, folder: Path, environment: dict[str, str], log: Callable[[str], None]
    ) -> FunctionProcess:
        """Start AWS's runtime client with a handler in a folder.

        Raises:
            OSError: it cannot be started.
        """
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "local.runtime.launcher", str(os.getpid()), handler),
            cwd=folder,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        return cls(process, log)

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.returncode is None

    @property
    def status(self) -> int | None:
        """Its exit status; negative for a signal; None while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Wait for its end and for the last of its output; the exit status."""
        status = await self._process.wait()
        await self._drain()
        return status

    async def kill(self) -> None:
        """End it and everything that it has started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        await self._drain()

    def peak_memory_mb(self) -> int | None:
        """Peak resident memory; known on Linux only."""
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text()
        except OSError:
            return None
        peak = next((line for line in status.splitlines() if line.startswith("VmHWM")), "")
        return int(peak.split()[1]) // 1024 if peak else None

    async def _drain(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._reading), 1)

    async def _read(self) -> None:
        output = self._process.stdout
        assert output is not None
        rest = b""
        while chunk := await output.read(64 * 1024):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > MAX_LINE_BYTES:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self._log(line.decode(errors="replace"))
        if rest:
            self._log(rest.decode(errors="replace"))
