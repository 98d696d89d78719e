"""How much memory an environment uses, from /proc: known on Linux only.

A limit on address space (RLIMIT_AS) would be simpler, but every thread reserves megabytes
of it that are never touched: functions that fit on Lambda would fail here. So what is
resident is watched, as the sandbox on Lambda counts it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator

POLL_S = 0.05
CHILDREN_EVERY = 4
"""Looks, of which one is for children too: they are listed with each thread."""
_MB = 1024 * 1024
_MAX_BYTES = 16 * 1024


class MemoryWatch:
    """Watches a process and its children.

    Args:
        pid: of the process.
        limit_mb: what it may use; None for any amount.
    """

    def __init__(self, pid: int, limit_mb: int | None) -> None:
        self._pid = pid
        self._limit_mb = limit_mb
        self.peak_mb: int | None = None
        """The most that was seen; None where it is not known."""

    @property
    def exceeded(self) -> bool:
        """Whether more than the limit was ever used."""
        return (
            self._limit_mb is not None
            and self.peak_mb is not None
            and self.peak_mb > self._limit_mb
        )

    async def until_exceeded(self) -> None:
        """Return once more than the limit is used."""
        looks = 0
        while not self.exceeded:
            await asyncio.sleep(POLL_S)
            looks += 1
            self.look(children=looks % CHILDREN_EVERY == 0)

    def look(self, *, children: bool = True) -> None:
        """Take the present use into account; a peak of the process itself is never missed."""
        used = _peak_bytes(self._pid)
        if used is None:
            return
        found = list(_children(self._pid)) if children else []
        if found:
            # Each page once, however many of them share it after a fork.
            used = max(used, sum(_own_bytes(pid) for pid in [self._pid, *found]))
        self.peak_mb = max(self.peak_mb or 0, -(-used // _MB))


def _peak_bytes(pid: int) -> int | None:
    return _field(f"/proc/{pid}/status", b"VmHWM:")


def _own_bytes(pid: int) -> int:
    return _field(f"/proc/{pid}/smaps_rollup", b"Pss:") or 0


def _field(path: str, name: bytes) -> int | None:
    """Return a value in kB, as bytes."""
    found = _read(path).partition(b"\n" + name)[2]
    return int(found.split(maxsplit=1)[0]) * 1024 if found else None


def _read(path: str) -> bytes:
    """Read a file of /proc; empty if the process has ended."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.read(file, _MAX_BYTES)
    except OSError:
        return b""
    finally:
        os.close(file)


def _children(pid: int) -> Iterator[int]:
    """Yield all processes below one. A thread's children are listed with the thread."""
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            for child in _read(f"/proc/{pid}/task/{thread}/children").split():
                yield int(child)
                yield from _children(int(child))
