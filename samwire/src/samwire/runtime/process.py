"""The process of an execution environment: how it is started, heard and ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Protocol

MAX_LINE_BYTES = 256 * 1024
"""A longer line of a log is cut in pieces, as CloudWatch Logs cuts events."""
_CHUNK_BYTES = 64 * 1024
_MAX_CHUNKS = 64


class Child(Protocol):
    """A process that was started, by whichever way; what asyncio's own has of it."""

    pid: int

    @property
    def returncode(self) -> int | None:
        """Its exit status; negative for a signal; None while it runs."""

    async def wait(self) -> int:
        """Wait for its end; the exit status."""


class FunctionProcess:
    """A process in a session of its own, so that what it starts can be ended with it.

    Its output goes through a pipe that is read here and not by asyncio's streams: what a
    function has printed before it answered can then be taken at once, before the answer.

    Args:
        output: the end of the pipe that is read; does not block.
        log: told every line.
    """

    def __init__(self, process: Child, output: int, log: Callable[[str], None]) -> None:
        self._process = process
        self._output = output
        self._log = log
        self._rest = b""
        self._frozen = False
        self._ended = asyncio.Event()
        os.set_blocking(output, False)
        asyncio.get_running_loop().add_reader(output, self._read)

    @classmethod
    async def start(
        cls, start: Callable[[int], Awaitable[Child]], log: Callable[[str], None]
    ) -> FunctionProcess:
        """Start a process.

        Args:
            start: takes the end of the pipe that the process writes its output to.

        Raises:
            OSError: it cannot be started.
        """
        output, theirs = os.pipe()
        try:
            process = await start(theirs)
        except BaseException:
            os.close(output)
            raise
        finally:
            os.close(theirs)
        return cls(process, output, log)

    @property
    def pid(self) -> int:
        """Its process id, which is its group's too."""
        return self._process.pid

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
        self._signal(signal.SIGKILL)
        await self._process.wait()
        await self._drain()

    def pause(self) -> None:
        """Stop it for a moment, within an invocation."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on, unless it is frozen meanwhile."""
        if not self._frozen:
            self._signal(signal.SIGCONT)

    def freeze(self) -> None:
        """Stop it and everything that it has started, until it is thawed or killed.

        Only where the kernel ends it with its parent (see `samwire.parent_process`): elsewhere it
        ends itself, and nothing that is stopped can.
        """
        if sys.platform == "linux":
            self._signal(signal.SIGSTOP)
            self._frozen = True

    def thaw(self) -> None:
        """Let it go on."""
        if self._frozen:
            self._signal(signal.SIGCONT)
            self._frozen = False

    def flush(self) -> None:
        """Log what it has printed so far."""
        for _ in range(_MAX_CHUNKS):  # something that never stops printing must not stop us
            if self._ended.is_set() or not self._read():
                return

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    async def _drain(self) -> None:
        """Log the rest; a process that inherited the pipe may hold it open, so not for long."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), 1)
        self._close()

    def _read(self) -> bool:
        """Take a piece of the output; False if there is none now."""
        try:
            piece = os.read(self._output, _CHUNK_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            piece = b""
        if not piece:
            self._close()
            return False
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            self._log(line.decode(errors="replace"))
        return True

    def _close(self) -> None:
        if self._output < 0:
            return
        asyncio.get_running_loop().remove_reader(self._output)
        os.close(self._output)
        self._output = -1
        if self._rest:
            self._log(self._rest.decode(errors="replace"))
        self._ended.set()
