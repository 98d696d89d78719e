"""Makes a child process end when its parent does, however that ends.

On Linux the kernel sees to it (PR_SET_PDEATHSIG, prctl(2)); elsewhere a thread watches
for the parent to change.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time

_PR_SET_PDEATHSIG = 1
_POLL_S = 1.0


def end_with_parent(parent: int | None = None) -> None:
    """Have this process killed when its parent ends.

    Args:
        parent: the parent's process id, when it is known: should it be gone already, this
            process ends at once.
    """
    expected = os.getppid() if parent is None else parent
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(expected,), daemon=True).start()
    if os.getppid() != expected:
        os._exit(1)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_S)
    os._exit(1)
