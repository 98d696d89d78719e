"""Other frameworks, each in an environment and a process of its own.

A process prints `{"ready": true}`, and holds a turn for each question that it is given, in each of
its sessions.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "peers"
START_S = 60.0
TURN_S = 30.0
LONGEST_LINE = 1 << 20


@dataclass(frozen=True)
class Framework:
    """What is installed, and the script that holds turns with it.

    Attributes:
        packages: as pip takes them, with their versions.
    """

    name: str
    packages: tuple[str, ...]
    script: Path

    def install(self, folder: Path) -> Path:
        """Install it in an environment, unless it is there; return the environment's Python."""
        python = folder / self.script.stem / "bin" / "python"
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(python.parents[1])], check=True)
        command = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        subprocess.run([*command, *self.packages], check=True)
        return python


FRAMEWORKS = (
    Framework("pipecat-ai 1.14.0", ("pipecat-ai==1.14.0",), FOLDER / "pipecat_turns.py"),
    Framework(
        "livekit-agents 1.8.9",
        ("livekit-agents==1.8.9", "livekit-plugins-openai==1.8.9"),
        FOLDER / "livekit_turns.py",
    ),
)


class Peer:
    """A running framework."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ready(self) -> None:
        """Wait until it takes questions."""
        await self._answer(START_S)

    async def ask(self, question: str) -> dict[str, Any]:
        """Hold a turn; return what was measured of it.

        Raises:
            RuntimeError: it has ended.
            TimeoutError: it says nothing.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(f"{question}\n".encode())
        return await self._answer(TURN_S)

    async def _answer(self, timeout_s: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), timeout_s)
        if not line:
            raise RuntimeError("it has ended: its errors are above")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextlib.asynccontextmanager
async def running_peer(
    command: Sequence[str | Path], options: Mapping[str, str]
) -> AsyncIterator[Peer]:
    """A framework's script, until the block ends.

    Args:
        command: the interpreter and the script.
        options: of the script, by name.
    """
    given = [part for name, value in options.items() for part in (f"--{name}", value)]
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        *given,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        limit=LONGEST_LINE,
    )
    peer = Peer(process)
    try:
        await peer.ready()
        yield peer
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
