"""Writes to a terminal, or to a file that should not look like one.

Colour and lines that change in place are for terminals only. What a server
sent is stripped of control characters before it gets here: they could move the
cursor or retitle the window.
"""

from __future__ import annotations

import os
import re
import shutil
import textwrap
from typing import Final, TextIO

BOLD: Final = "1"
DIM: Final = "2"
RED: Final = "31"
CYAN: Final = "36"

SEGMENT_COLOURS: Final = ("34", "36", "33", "35", "32", "31", "37")
_LINES: Final = {0x2028: "\n", 0x2029: "\n"}
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""C0 but for tab and line feed, C1, and what embeds, overrides or isolates a direction
(Unicode Standard Annex 9)."""
_ERASE_LINE: Final = "\r\x1b[2K"


def printable(text: str) -> str:
    """The text without what controls a terminal or reorders a line; line breaks and tabs stay."""
    return _CONTROLS.sub("", text.translate(_LINES))


class Terminal:
    """One output stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.is_tty = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._colour = self.is_tty and not os.environ.get("NO_COLOR")
        self._live = False
        self._mid_line = False

    def paint(self, text: str, style: str) -> str:
        """The text in a style, where styles can be shown."""
        return f"\x1b[{style}m{text}\x1b[0m" if self._colour and text else text

    def fold(self, text: str, indent: str = "") -> str:
        """Indent a text and break it at the width of the terminal; a file has it in one line."""
        if not self.is_tty:
            return indent + text
        width = shutil.get_terminal_size().columns
        return textwrap.fill(
            text, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
        )

    def write(self, text: str) -> None:
        """Add to the current line."""
        if text:
            self._settle()
            self._put(text)
            self._mid_line = not text.endswith("\n")

    def line(self, text: str = "") -> None:
        """A line of its own."""
        self.end_line()
        self._put(text + "\n")

    def end_line(self) -> None:
        """End a line that has been begun."""
        self._settle()
        if self._mid_line:
            self._put("\n")
            self._mid_line = False

    def echoed(self) -> None:
        """The terminal itself has ended the line, by echoing the Enter key."""
        self._mid_line = False

    def live(self, text: str, *, style: str = DIM) -> None:
        """A line that the next call replaces. Not written where that cannot be."""
        if not self.is_tty:
            return
        if not self._live:
            self.end_line()
        width = shutil.get_terminal_size().columns - 1
        flat = text.replace("\n", " ")
        shown = flat if len(flat) <= width else "…" + flat[len(flat) - width + 1 :]
        self._put(_ERASE_LINE + self.paint(shown, style))
        self._live = True

    def _settle(self) -> None:
        if self._live:
            self._live = False
            self._put(_ERASE_LINE)

    def _put(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def bar(terminal: Terminal, parts: list[tuple[str, float]], width: int = 48) -> str:
    """Parts of a whole as one line of `width` cells, each part in its own colour
    or, without colour, by its initial; a part that is there gets a cell at least.
    Two parts of the same initial are told apart by case."""
    total = sum(value for _, value in parts)
    if total <= 0:
        return ""
    cells = []
    seen: set[str] = set()
    for index, (name, value) in enumerate(parts):
        initial = name[0] if name[0] not in seen else name[0].upper()
        seen.add(initial)
        count = max(1, round(width * value / total)) if value > 0 else 0
        colour = SEGMENT_COLOURS[index % len(SEGMENT_COLOURS)]
        cells.append(terminal.paint(initial * count, f"7;{colour}"))
    return "[" + "".join(cells) + "]"
