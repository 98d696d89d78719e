"""How deeply a stranger's JSON is nested: what is too deep for one encoder breaks a turn."""

from __future__ import annotations

from typing import Any


def is_within(levels: int, value: Any) -> bool:
    """Return whether a JSON value has at most so many levels of lists and objects."""
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(is_within(levels - 1, each) for each in inner)
