"""Writes the log of a running stack: every line with its source, in colour on a terminal."""

from __future__ import annotations

import re
from typing import TextIO

_SOURCE_COLOURS = (36, 33, 35, 32, 34, 96, 93, 95)
_RED, _DIM = "31", "2"
_PLATFORM = re.compile(r'(START|END|REPORT) RequestId: |\{"time":"[^"]*","type":"platform\.')
_TROUBLE = re.compile(
    r"\[ERROR\]|Traceback \(|\"level\":\s*\"(ERROR|CRITICAL)\"|Runtime\.\w+Error$"
    r"|Error: Runtime exited|Task timed out after|init failed: |asynchronous invocation failed"
)


class LogWriter:
    """Writes lines of the log, each with its source.

    On a terminal every source has a colour, the lines of the platform are dim, and those
    that tell of an error are red.

    Args:
        out: where to; None for nowhere.
        file: where to besides, without colour.
        colour: None for where `out` is a terminal.
    """

    def __init__(
        self, out: TextIO | None, file: TextIO | None = None, *, colour: bool | None = None
    ) -> None:
        self._out = out
        self._file = file
        self._colour = out is not None and (out.isatty() if colour is None else colour)
        self._colours: dict[str, int] = {}

    def __call__(self, source: str, line: str) -> None:
        for part in line.split("\r"):  # as the runtime client breaks the lines of a traceback
            self._write(source, part)

    def _write(self, source: str, line: str) -> None:
        if self._file is not None:
            self._file.write(f"{source} | {line}\n")
            self._file.flush()
        if self._out is None:
            return
        if self._colour:
            source, line = self._source(source), _line(line)
        self._out.write(f"{source} | {line}\n")
        self._out.flush()

    def _source(self, source: str) -> str:
        place = len(self._colours) % len(_SOURCE_COLOURS)
        return _coloured(str(self._colours.setdefault(source, _SOURCE_COLOURS[place])), source)


def _line(line: str) -> str:
    if _PLATFORM.match(line):
        failed = "Status: " in line or '"status":"error"' in line or '"status":"timeout"' in line
        return _coloured(_RED if failed else _DIM, line)
    return _coloured(_RED, line) if _TROUBLE.search(line) else line


def _coloured(code: str, text: str) -> str:
    return f"\033[{code}m{text}\033[0m"
