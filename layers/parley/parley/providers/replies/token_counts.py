"""Numbers of tokens, as far as an answer has any that make sense."""

from __future__ import annotations

from typing import Any

_MOST = 100_000_000
"""No request has so many; a number that is larger is none of tokens."""


def read_count(found: Any) -> int | None:
    """Return a number of tokens; None if it is none."""
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found < _MOST:
        return None
    return int(found)
