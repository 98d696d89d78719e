"""Processes of a run: each prints one JSON line when it is ready, and ends with the run."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from dev.errors import CannotRun

ROOT = Path(__file__).resolve().parent.parent
PROGRESS = "start | "
"""How lines of the emulator's log begin that say what its start waits for."""
FOLLOW_S = 0.1
ADVICE_S = 2.0
"""A function's log may come after its answer."""
REFUSAL_LINES = 40
"""Of why a process did not start: a refused template has a line for each fault."""


class Child:
    """A process of ours, which prints one JSON line when it is ready."""

    def __init__(self, process: subprocess.Popen[str], command: list[str], log: Path) -> None:
        self._process, self._command, self._log = process, command, log

    def tell(self, text: str) -> None:
        """Write to its standard input; unlike a command line, nobody else can read that."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self._process.stdin as stdin:
            stdin.write(text)

    def ready(self) -> dict[str, Any]:
        """Wait for its line.

        Raises:
            CannotRun: it has ended instead.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            why = last_words(self._log, REFUSAL_LINES)
            raise CannotRun(why or f"{' '.join(self._command)} did not start.")
        ready: dict[str, Any] = json.loads(line)
        return ready

    def wait(self) -> None:
        """Wait until it ends."""
        self._process.wait()


@contextlib.contextmanager
def start(command: list[str], log: Path, environment: Mapping[str, str]) -> Iterator[Child]:
    """Start a Python process, and end it on leaving."""
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,  # Ctrl-C is for us; we end our children in order
        )
        try:
            yield Child(process, command, log)
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def last_words(log: Path, lines: int = 1) -> str:
    """Return the end of a log, without what it says of progress."""
    said = [line for line in log.read_text().splitlines() if not line.startswith(PROGRESS)]
    return "\n".join(said[-lines:])


def last_advice(log: Path) -> str:
    """Return what the functions' log last said against a failure, waiting a little for it."""
    until = time.monotonic() + ADVICE_S
    while True:
        for line in reversed(log.read_text().splitlines()):
            if advice := _advice(line):
                return advice
        if time.monotonic() > until:
            return ""
        time.sleep(FOLLOW_S)


def _advice(line: str) -> str:
    with contextlib.suppress(ValueError):
        record = json.loads(line.partition(" | ")[2])
        if isinstance(record, dict) and record.get("errorType") == "ConfigurationError":
            return str(record.get("errorMessage", ""))  # no function could start with it
        if isinstance(record, dict):
            return str(record.get("advice", ""))
    return ""


@contextlib.contextmanager
def follow(log: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Pass on what a log says of progress, until this is left."""
    over = threading.Event()

    def read(file: IO[str]) -> None:
        line = ""
        while True:
            is_last = over.wait(FOLLOW_S)
            while part := file.readline():
                line += part
                if line.endswith("\n"):
                    if line.startswith(PROGRESS):
                        say(line.removeprefix(PROGRESS).strip())
                    line = ""
            if is_last:
                return

    with log.open() as file:
        reader = threading.Thread(target=read, args=(file,), daemon=True)
        reader.start()
        try:
            yield
        finally:
            over.set()
            reader.join()
