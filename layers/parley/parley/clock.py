"""The time of day, as items and messages have it."""

from __future__ import annotations

import time


def now_s() -> int:
    return int(time.time())


def now_ms() -> int:
    """The time in ms since the epoch."""
    return int(time.time() * 1000)
