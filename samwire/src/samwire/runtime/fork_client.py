"""Asks a fork server for environments, and hears what becomes of them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from samwire.runtime.fork_server import MAX_PACKET_BYTES

START_S = 30.0
"""How long a fork server may import."""
IS_POSSIBLE = sys.platform == "linux" and hasattr(os, "pidfd_open")
"""Elsewhere a fork is not safe (macOS), or its end is not heard of."""


class CannotFork(OSError):
    """There is no fork server, or it does not answer; a sentence that says why."""

    def __init__(self, why: str, module: str = "") -> None:
        super().__init__(why)
        self.module = module
        """The module that must not be imported in it; empty for other reasons."""


@dataclass(eq=False)
class ForkedChild:
    """An environment's process, as asyncio has its own."""

    pid: int = 0
    returncode: int | None = None
    started: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self) -> int:
        """Wait for its end; the exit status."""
        await self.ended.wait()
        assert self.returncode is not None
        return self.returncode

    def end(self, status: int) -> None:
        """Note that it has ended."""
        self.returncode = status
        self.started.set()
        self.ended.set()


class ForkServer:
    """A running fork server.

    Args:
        control: the socket that it is asked through.
    """

    def __init__(self, process: asyncio.subprocess.Process, control: socket.socket) -> None:
        self._process = process
        self._control = control
        self._numbers = itertools.count()
        self._children: dict[int, ForkedChild] = {}
        self._reap_task = asyncio.create_task(self._reap())
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_open = True
        asyncio.get_running_loop().add_reader(control, self._read)

    @classmethod
    async def start(
        cls,
        handler: str,
        folder: Path,
        variables: Mapping[str, str],
        hosts: str,
        modules: Mapping[str, Any],
    ) -> ForkServer:
        """Start one, and have it import.

        Args:
            variables: those of an environment, as far as all have the same.
            modules: see `samwire.runtime.fork_server.preload`.

        Raises:
            CannotFork: it cannot, or must not import something.
            OSError: it cannot be started.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "samwire.runtime.fork_server"),
                    *(str(os.getpid()), handler, hosts),
                    cwd=folder,
                    env=dict(variables),
                    stdin=theirs.fileno(),
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.DEVNULL,
                    start_new_session=True,
                )
            except BaseException:
                ours.close()
                raise
        ours.setblocking(False)
        server = cls(process, ours)
        try:
            server._send(json.dumps(modules).encode())
            async with asyncio.timeout(START_S):
                await server._ready
        except BaseException as problem:
            await server.kill()
            if isinstance(problem, TimeoutError):
                raise CannotFork("it takes too long to import") from None
            raise
        return server

    async def fork(self, variables: Mapping[str, str], output: int) -> ForkedChild:
        """Fork an environment.

        Args:
            output: where it prints to.

        Raises:
            CannotFork: the server has ended.
            OSError: it cannot be asked.
        """
        number = next(self._numbers)
        child = self._children[number] = ForkedChild()
        asked = json.dumps({"number": number, "variables": dict(variables)}).encode()
        try:
            self._send(asked, output)
            await child.started.wait()
        except BaseException:
            self._children.pop(number, None)
            raise
        if not child.pid:
            raise CannotFork("it has ended")
        return child

    def retire(self) -> None:
        """Ask for nothing more: it ends when its environments have ended."""
        self.is_open = False
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_WR)

    async def kill(self) -> None:
        """End it, and the environments that there are."""
        self.is_open = False
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._reap_task

    def _send(self, packet: bytes, *files: int) -> None:
        if not self.is_open:
            raise CannotFork("it has ended")
        if len(packet) > MAX_PACKET_BYTES:
            raise CannotFork(f"it is told more than {MAX_PACKET_BYTES} bytes")
        socket.send_fds(self._control, [packet], files)

    def _read(self) -> None:
        try:
            packet = self._control.recv(MAX_PACKET_BYTES)
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        if not packet:
            asyncio.get_running_loop().remove_reader(self._control)
            return
        told = json.loads(packet)
        if "ready" in told:
            if not self._ready.done():
                self._ready.set_result(None)
        elif "unsafe" in told:
            if not self._ready.done():
                self._ready.set_exception(CannotFork(told["why"], told["unsafe"]))
        elif "started" in told:
            if (child := self._children.get(told["started"])) is not None:
                child.pid = told["pid"]
                child.started.set()
        elif (ended := self._children.pop(told["ended"], None)) is not None:
            ended.end(told["status"])

    async def _reap(self) -> None:
        """Wait for its end; the kernel has ended its environments then."""
        status = await self._process.wait()
        self.is_open = False
        self._read_rest()
        asyncio.get_running_loop().remove_reader(self._control)
        self._control.close()
        if not self._ready.done():
            self._ready.set_exception(CannotFork(f"it has ended with {status}"))
            self._ready.exception()  # nobody may be waiting for it
        for child in self._children.values():
            child.end(-9)
        self._children.clear()

    def _read_rest(self) -> None:
        for _ in range(len(self._children) * 2 + 1):
            self._read()
