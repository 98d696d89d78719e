"""Whether this machine has a processor that nobody uses, from /proc: known on Linux only."""

from __future__ import annotations

import os
import time
from pathlib import Path

LOOK_S = 0.1
"""Over so long. The kernel counts in hundredths of a second."""
FREE_SHARE = 0.5
"""Of one processor: less than this is what is left over between two processes that take turns."""
_STAT = Path("/proc/stat")


class FreeProcessor:
    """Looks how much of the processors' time has been used lately, by whomever.

    Args:
        stat: file of the kernel's counts (proc(5)).
    """

    def __init__(self, stat: Path = _STAT) -> None:
        self._stat = stat
        self._looked_s = 0.0
        self._idle_s = 0.0
        self._is_free = True

    def is_there(self) -> bool:
        """Return whether one was free at the last look; True where it is not known."""
        now_s = time.monotonic()
        if (passed_s := now_s - self._looked_s) >= LOOK_S:
            idle_s = self._read_s()
            self._is_free = idle_s is None or idle_s - self._idle_s >= FREE_SHARE * passed_s
            self._looked_s, self._idle_s = now_s, idle_s or 0.0
        return self._is_free

    def _read_s(self) -> float | None:
        """Return how long processors have been idle, all together; None where it is not known."""
        try:
            with self._stat.open() as file:
                fields = file.readline().split()
            return (int(fields[4]) + int(fields[5])) / os.sysconf("SC_CLK_TCK")
        except (OSError, IndexError, ValueError):
            return None
