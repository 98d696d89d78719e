"""How much memory an environment uses, from /proc: known on Linux only.

A limit on address space (RLIMIT_AS) would be simpler, but every thread reserves megabytes
of it that are never touched: functions that fit on Lambda would fail here. So what is
resident is watched, as the sandbox on Lambda counts it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

POLL_S = 0.05
_MB = 1024 * 1024


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
        while not self.exceeded:
            await asyncio.sleep(POLL_S)
            self.look()

    def look(self) -> None:
        """Take the present use into account; a peak of the process itself is never missed."""
        used = _peak_bytes(self._pid)
        if used is None:
            return
        children = list(_children(self._pid))
        if children:
            # Each page once, however many of them share it after a fork.
            used = max(used, sum(_own_bytes(pid) for pid in [self._pid, *children]))
        self.peak_mb = max(self.peak_mb or 0, -(-used // _MB))


def _peak_bytes(pid: int) -> int | None:
    return _field(Path(f"/proc/{pid}/status"), "VmHWM:")


def _own_bytes(pid: int) -> int:
    return _field(Path(f"/proc/{pid}/smaps_rollup"), "Pss:") or 0


def _field(path: Path, name: str) -> int | None:
    """Return a value in kB, as bytes."""
    try:
        text = path.read_text()
    except OSError:
        return None
    found = next((line for line in text.splitlines() if line.startswith(name)), "")
    return int(found.split()[1]) * 1024 if found else None


def _children(pid: int) -> Iterator[int]:
    """Yield all processes below one. A thread's children are listed with the thread."""
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                yield int(child)
                yield from _children(int(child))
