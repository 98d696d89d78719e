"""A program at a pseudo-terminal, as somebody sits in front of it."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

# What is hidden is read from the terminal that controls the process, not from its input.
# A run that was put into the background of a shell has interruptions ignored, and hands that on.
_TAKE_THE_TERMINAL = (
    "import fcntl, os, signal, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "signal.signal(signal.SIGINT, signal.SIG_DFL); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)
INTERRUPT = "\x03"


class Terminal:
    """What is shown, and what is typed.

    Attributes:
        shown: everything so far.
    """

    def __init__(self, master: int, process: subprocess.Popen[bytes]) -> None:
        self._master = master
        self._process = process
        self._read_to = 0
        self.shown = ""

    def expect(self, pattern: str, within_s: float = 120) -> str:
        """Wait until something is shown after what was expected before, and return it."""
        deadline = time.monotonic() + within_s
        while (found := re.compile(pattern).search(self.shown, self._read_to)) is None:
            if not self._read(deadline - time.monotonic()):
                raise AssertionError(f"{pattern!r} is not shown, but:\n{self.shown}")
        self._read_to = found.end()
        return found[0]

    def answer(self, pattern: str, text: str) -> None:
        """Wait for a question, or what is said before it, and answer it.

        What is typed before a hidden answer is waited for would be thrown away.
        """
        self.expect(pattern)
        self.expect(r"(: |\] )\Z")
        self.type(f"{text}\r")

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._master, text.encode())

    def exit_code(self, within_s: float = 120) -> int:
        """Read to the end, and return the program's exit code."""
        deadline = time.monotonic() + within_s
        while self._read(deadline - time.monotonic()):
            pass
        return self._process.wait(within_s)

    def _read(self, within_s: float) -> bool:
        """Read what is shown next; False if nothing is, or never again."""
        ready, _, _ = select.select([self._master], [], [], max(0, within_s))
        if not ready:
            return False
        try:
            found = os.read(self._master, 65536)
        except OSError:  # Linux's end of a terminal
            return False
        self.shown += found.decode(errors="replace").replace("\r\n", "\n")
        return bool(found)


@contextmanager
def terminal(
    command: Sequence[str | Path], folder: Path, environment: Mapping[str, str]
) -> Iterator[Terminal]:
    """Run a program at a terminal of its own; it is ended with the context."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", _TAKE_THE_TERMINAL, *map(str, command)],
        cwd=folder,
        env=environment,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    try:
        yield Terminal(master, process)
    finally:
        process.kill()
        process.wait()
        os.close(master)
