"""Says what is waited for, a line for each step, so that no terminal is silent for long."""

from __future__ import annotations

import contextlib
import textwrap
import time
from collections.abc import Iterator
from typing import TextIO

COLUMNS = 80


def wrap(text: str) -> str:
    """Break lines at 80 columns; words, such as URLs, stay whole."""
    return "\n".join(
        textwrap.fill(line, COLUMNS, break_long_words=False, break_on_hyphens=False)
        for line in text.splitlines()
    )


class Steps:
    """Writes steps to a stream."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._began: float | None = None

    @contextlib.contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Name a step, and when it is over the seconds that it took."""
        self.begin(what)
        try:
            yield
        except BaseException:
            self._end("")
            raise
        self.end()

    def begin(self, what: str) -> None:
        """Begin a step; it ends the one before."""
        self.end()
        self._out.write(f"{what} …")
        self._out.flush()
        self._began = time.monotonic()

    def end(self) -> None:
        """End the step, if there is one."""
        if self._began is not None:
            self._end(f" {time.monotonic() - self._began:.1f} s")

    def _end(self, how: str) -> None:
        if self._began is not None:
            self._out.write(f"{how}\n")
            self._out.flush()
            self._began = None
