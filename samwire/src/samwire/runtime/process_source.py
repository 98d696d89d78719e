"""Starts the processes of a function's environments: by itself, or forked from one that is ready.

The first imports everything itself, as on Lambda, and tells what that was. As soon as a second one
is needed at the same time, a fork server imports it once more, for all that follow.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from samwire.runtime.fork_client import IS_POSSIBLE, CannotFork, ForkServer
from samwire.runtime.free_processor import FreeProcessor
from samwire.runtime.options import Preload
from samwire.runtime.process import Child, FunctionProcess
from samwire.template.model import Function

QUIET_S = 0.5
"""A processor that was free for so long on average may be used for what may never be needed."""
_MAX_TRIES = 4
"""Fork servers that are started, each without the modules that the ones before must not import."""
_OWN = ("samwire", "awslambdaric", "runtime_client", "__main__")
_OF_ONE_ENVIRONMENT = {
    "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9",
    "AWS_LAMBDA_LOG_STREAM_NAME": "",
}
"""What a fork server has in the place of what differs between environments."""


class ProcessSource:
    """Processes for the environments of one version of a function.

    Args:
        hosts: JSON, see `samwire.runtime.own_hosts`.
        log: told, in a sentence, why environments are not forked.
    """

    def __init__(
        self, function: Function, hosts: str, preload: Preload, log: Callable[[str], None]
    ) -> None:
        self._function = function
        self._hosts = hosts
        self._preload = preload if IS_POSSIBLE else Preload.NONE
        self._log = log
        self._modules: dict[str, str] = {}
        self._refused: set[str] = set()
        self._server: ForkServer | None = None
        self._servers: set[ForkServer] = set()
        self._starting = asyncio.Lock()
        self._started_with: tuple[Mapping[str, str], Path] | None = None
        self._reports: set[asyncio.Task[None]] = set()
        self._preparing: asyncio.Task[None] | None = None

    async def start(
        self, variables: Mapping[str, str], temporary: Path, log: Callable[[str], None]
    ) -> FunctionProcess:
        """Start a process.

        Args:
            variables: of its environment.
            temporary: a folder that a fork server may use for temporary files.
            log: told every line that it prints.

        Raises:
            OSError: it cannot be started.
        """
        self._started_with = variables, temporary
        server = await self._forking(variables, temporary)
        if server is not None:
            with contextlib.suppress(CannotFork):
                return await FunctionProcess.start(
                    lambda output: server.fork(variables, output), log
                )
        return await FunctionProcess.start(lambda output: self._execute(variables, output), log)

    def prepare(self) -> None:
        """Have a fork server import meanwhile, for a second environment, as soon as a processor has
        nothing else to do."""
        self._preparing = asyncio.create_task(self._prepare())

    def renew(self) -> None:
        """Fork from nothing that was imported before now."""
        self._modules = {}
        self._refused.clear()
        if self._server is not None:
            self._server.retire()
            self._server = None

    async def stop(self) -> None:
        """End fork servers; their environments have ended before."""
        tasks = [*self._reports, *([self._preparing] if self._preparing else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(server.kill() for server in self._servers))

    async def _prepare(self) -> None:
        await asyncio.gather(*self._reports)
        processor = FreeProcessor()
        processor.is_there()  # says nothing yet: it looks at what has passed since the last look
        while self._server is None:
            await asyncio.sleep(QUIET_S)
            if processor.is_there():
                break
        if self._started_with is not None:
            with contextlib.suppress(OSError):  # who needs it tries again, and is told
                await self._forking(*self._started_with)

    async def _execute(self, variables: Mapping[str, str], output: int) -> Child:
        more: list[str] = []
        files: list[int] = []
        if self._preload is not Preload.NONE and not self._modules:
            ours, theirs = os.pipe()
            more, files = [str(theirs)], [theirs]
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "samwire.runtime.launcher", str(os.getpid())),
                *(self._function.handler, self._hosts, *more),
                cwd=self._function.code,
                env=dict(variables),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=files,
            )
        except BaseException:
            if files:
                os.close(ours)
            raise
        finally:
            for file in files:
                os.close(file)
        if files:
            task = asyncio.create_task(self._hear(ours))
            self._reports.add(task)
            task.add_done_callback(self._reports.discard)
        return process

    async def _hear(self, report: int) -> None:
        """Learn what an environment has imported."""
        reader = asyncio.StreamReader()
        transport, _protocol = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(report, "rb")
        )
        try:
            told = await reader.read(-1)
        finally:
            transport.close()
        if told:
            self._modules = json.loads(told)

    async def _forking(self, variables: Mapping[str, str], temporary: Path) -> ForkServer | None:
        """Return a fork server; None as long as there is nothing to be gained by one."""
        async with self._starting:
            if self._server is not None and self._server.is_open:
                return self._server
            modules, self._server = self._modules, None
            if not modules or len(self._refused) >= _MAX_TRIES:
                return None
            common = {**variables, **_OF_ONE_ENVIRONMENT, "TMPDIR": str(temporary)}
            while len(self._refused) < _MAX_TRIES:
                try:
                    server = await ForkServer.start(
                        self._function.handler,
                        self._function.code,
                        common,
                        self._hosts,
                        self._plan(modules),
                    )
                except CannotFork as problem:
                    self._refused.add(problem.module)
                    if not problem.module:
                        self._log(f"{self._function.logical_id}: no fork server: {problem}")
                        self._refused.update(str(n) for n in range(_MAX_TRIES))
                    continue
                self._servers.add(server)
                if modules is self._modules:
                    self._server = server
                else:  # what it has imported has changed meanwhile
                    server.retire()
                return server if self._server is server else None
        return None

    def _plan(self, modules: Mapping[str, str]) -> dict[str, Any]:
        """Return what a fork server imports."""
        folders = [self._function.code, *self._function.layers]
        vendored = {name for folder in folders for name in _installed_in(folder)}
        installed, own = [], {}
        for name, file in modules.items():
            top = name.partition(".")[0]
            if top in _OWN or self._is_refused(name):
                continue
            if top in vendored or not any(Path(file).is_relative_to(each) for each in folders):
                installed.append(name)
            elif self._preload is Preload.DEFINITIONS and file.endswith(".py"):
                own[name] = file
        own.pop(self._function.handler.replace("/", ".").rpartition(".")[0], None)
        return {"installed": installed, "own": own}

    def _is_refused(self, name: str) -> bool:
        return name in self._refused or name.partition(".")[0] in self._refused


def _installed_in(folder: Path) -> Iterable[str]:
    """Yield the top-level modules that pip has installed in a folder, as `sam build` has it do."""
    for record in folder.glob("*.dist-info/RECORD"):
        for line in record.read_text(errors="replace").splitlines():
            yield line.partition(",")[0].partition("/")[0].removesuffix(".py")
