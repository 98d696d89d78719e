"""Paths into JSON, as expressions and mapping templates write them: `a.b[0]['c d'].e[*]`."""

from __future__ import annotations

import re
from typing import Any, Final

MISSING: Final = object()
"""What a path leads to when it leads nowhere."""

_STEP = re.compile(r"""(?:^|\.)([^.\[\]]+)|\[(-?\d+)\]|\[["']([^"']+)["']\]|(\[\*\])""")


def at(value: Any, path: str) -> Any:
    """Return what a path leads to; `MISSING` if nowhere, or if it is no path.

    Args:
        path: may begin with `$`; empty and `$` are the value itself.
    """
    if path.startswith("$"):
        path = path[1:].removeprefix(".")
    steps = list(_STEP.finditer(path))
    if "".join(step[0] for step in steps) != path:
        return MISSING
    return _followed(value, steps)


def _followed(value: Any, steps: list[re.Match[str]]) -> Any:
    for number, step in enumerate(steps):
        name, index, quoted, every = step.groups()
        if every or name == "*":
            if not isinstance(value, list | dict):
                return MISSING
            items = list(value.values()) if isinstance(value, dict) else value
            found = (_followed(item, steps[number + 1 :]) for item in items)
            return [item for item in found if item is not MISSING]
        if index is not None:
            if not isinstance(value, list) or not -len(value) <= int(index) < len(value):
                return MISSING
            value = value[int(index)]
        else:
            if not isinstance(value, dict) or (name or quoted) not in value:
                return MISSING
            value = value[name or quoted]
    return value
