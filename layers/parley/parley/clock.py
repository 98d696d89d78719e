"""The time of day, in the units of items and messages."""

from __future__ import annotations

import time


def now_s() -> int:
    """Return the time in s since the epoch."""
    return int(time.time())


def now_ms() -> int:
    """Return the time in ms since the epoch."""
    return int(time.time() * 1000)
