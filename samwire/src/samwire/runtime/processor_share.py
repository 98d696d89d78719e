"""Gives a function the share of a processor that its memory buys, as Lambda does.

"At 1,769 MB, a function has the equivalent of one vCPU" ("Configure Lambda function memory").
Control groups would do it, but ask for rights that a developer's shell does not have. So the
process is stopped when it has used its share of a period, until it may go on, as the kernel's own
scheduler does with a quota.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable

MB_OF_ONE = 1769
PERIOD_S = 0.02
"""What has not been used is kept for so long."""
LOOK_S = 0.002
IS_POSSIBLE = sys.platform == "linux"


class ProcessorShare:
    """Watches a process, and has it stand still as long as it has used more than its share.

    Args:
        memory_mb: of the function.
        stop, go_on: of the process.
    """

    def __init__(
        self, pid: int, memory_mb: int, stop: Callable[[], None], go_on: Callable[[], None]
    ) -> None:
        self._pid = pid
        self._share = memory_mb / MB_OF_ONE
        self._stop = stop
        self._go_on = go_on

    async def keep(self) -> None:
        """Do so until cancelled."""
        looked, used = time.monotonic(), _used_s(self._pid)
        left = most = self._share * PERIOD_S
        try:
            while used is not None:
                await asyncio.sleep(LOOK_S)
                now, before = time.monotonic(), used
                used = _used_s(self._pid)
                if used is None:
                    return
                left = min(most, left + (now - looked) * self._share) - (used - before)
                looked = now
                if left < 0:
                    self._stop()
                    await asyncio.sleep(-left / self._share)
                    self._go_on()
        finally:
            self._go_on()


def _used_s(pid: int) -> float | None:
    """Return a process's processor time; None if it has ended."""
    clock = (~pid << 3) | 2  # as clock_getcpuclockid(3) makes it
    with contextlib.suppress(OSError):
        return time.clock_gettime(clock)
    return None
