"""Lines typed at standard input, for an event loop.

A thread reads the file descriptor itself: `input()` would hold a lock that
Python waits for at its exit, and polling does not work for redirected files.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import threading


class TypedLines:
    """The lines that come from a file descriptor, until its end."""

    def __init__(self, descriptor: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        threading.Thread(target=self._read, args=(descriptor,), daemon=True).start()

    async def next(self) -> str | None:
        """The next line without its end; None at the end of input."""
        return await self._lines.get()

    def _read(self, descriptor: int) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        begun = ""
        with contextlib.suppress(RuntimeError):  # the loop has closed: nobody listens
            while data := _read_some(descriptor):
                *lines, begun = (begun + decoder.decode(data)).split("\n")
                for line in lines:
                    self._loop.call_soon_threadsafe(self._lines.put_nowait, line)
            if begun:
                self._loop.call_soon_threadsafe(self._lines.put_nowait, begun)
            self._loop.call_soon_threadsafe(self._lines.put_nowait, None)


def _read_some(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65_536)
    except OSError:  # a terminal that has gone away
        return b""
