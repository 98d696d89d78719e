"""Variables of instructions and greetings: `{{name}}`, filled from what the backend says.

A value is data. It is not expanded again, and it stays in its line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

_VARIABLE = re.compile(r"\{\{\s*([a-z][a-z0-9_]{0,63})\s*\}\}")
_BREAKS = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
"""White space, control characters, separators of lines, and marks that turn the direction."""


def fill_variables(text: str, values: Mapping[str, str], unknown: Callable[[str], None]) -> str:
    """Return a text with its variables filled in.

    Args:
        unknown: told the name of each variable that has no value. It becomes empty.
    """
    if "{{" not in text:
        return text

    def fill(found: re.Match[str]) -> str:
        name = found[1]
        if name not in values:
            unknown(name)
            return ""
        return _BREAKS.sub(" ", values[name]).strip()

    return _VARIABLE.sub(fill, text)
