"""The client's commands as processes of their own, for their tests.

Each has its own memory, signals, streams and end, as `python -m` gives them, but is forked from a
process that has imported what it needs: importing takes ten times as long as most tests.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from scripted_server import DEADLINE_S

FORK_SERVER = Path(__file__).with_name("fork_server.py")


@dataclass
class Ended:
    """A command that has ended, and what it printed."""

    code: int
    out: str
    err: str


class Command:
    """A running command."""

    def __init__(
        self,
        process_id: int,
        stdin: BinaryIO | None,
        stdout: asyncio.StreamReader,
        stderr: asyncio.StreamReader,
        told: asyncio.StreamReader,
    ) -> None:
        self.stdin, self.stdout, self.stderr = stdin, stdout, stderr
        self._process_id = process_id
        self._end = asyncio.create_task(told.read())

    @property
    def returncode(self) -> int | None:
        """As a process of asyncio has it."""
        return int(self._end.result()) if self._end.done() else None

    def send_signal(self, number: int) -> None:
        """Send a signal to the process, unless it has ended."""
        if not self._end.done():
            os.kill(self._process_id, number)

    async def wait(self) -> int:
        """Wait for its end."""
        return int(await asyncio.shield(self._end))

    async def communicate(self, typed: bytes = b"") -> tuple[bytes, bytes]:
        """Type this and the end of input; what it prints until its end."""
        if self.stdin is not None and not self.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self.stdin.write(typed)
            self.stdin.close()
        out, err = await asyncio.gather(self.stdout.read(), self.stderr.read())
        await self.wait()
        return out, err


@contextlib.asynccontextmanager
async def running(
    module: str, *arguments: str, stdin: int | None = None, **environment: str
) -> AsyncIterator[Command]:
    """A running command, which is killed should it not have ended by itself.

    Args:
        module: as `python -m` takes it.
        stdin: a descriptor to read from; a pipe, if none is given.
        environment: in addition to this process's.
    """
    asked = {
        "module": module,
        "arguments": arguments,
        "environment": {**os.environ, **environment},
    }
    with contextlib.ExitStack() as closed:
        typed = None
        if stdin is None:
            stdin, write = os.pipe()
            closed.callback(os.close, stdin)
            # What is typed is far less than a pipe holds.
            typed = closed.enter_context(os.fdopen(write, "wb", buffering=0))
        readers = []
        with contextlib.ExitStack() as given:
            writes = []
            for _ in ("output", "errors", "the end"):
                read, write = os.pipe()
                given.callback(os.close, write)
                writes.append(write)
                readers.append(await _reader(closed.enter_context(os.fdopen(read, "rb"))))
            message = json.dumps(asked).encode()
            socket.send_fds(_fork_server(), [message], [stdin, *writes])
        stdout, stderr, told = readers
        async with asyncio.timeout(DEADLINE_S):
            command = Command(int(await told.readline()), typed, stdout, stderr, told)
        try:
            async with asyncio.timeout(DEADLINE_S):
                yield command
        finally:
            command.send_signal(signal.SIGKILL)
            await command.communicate()


async def _reader(pipe: BinaryIO) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, pipe)
    return reader


@functools.cache
def _fork_server() -> socket.socket:
    """Start it; every later command comes from the same one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    arguments = [sys.executable, str(FORK_SERVER), str(theirs.fileno())]
    process = subprocess.Popen(arguments, pass_fds=[theirs.fileno()])
    theirs.close()

    def stop() -> None:
        ours.close()
        process.wait()

    atexit.register(stop)
    return ours
