"""The shape of what a client sends, before anything is made of it: how deep, how many values,
and no name twice in one object.

The standard library's parser reads it once more than needed, in C: less than 0.1 ms for the largest
chunk of audio. A doubled name is refused because readers differ in which of the two they take
(RFC 8259, section 4), so what one checked would not be what another used.
"""

from __future__ import annotations

import json
from typing import Any

MAX_DEPTH = 8
"""Objects and arrays in each other; the protocol's own messages have two."""
MAX_VALUES = 128
"""Values of all objects and arrays together; the protocol's own messages have about a dozen."""


class Misshapen(ValueError):
    """The text is not JSON, or not of a shape that a message has; says so in a sentence."""


def check_shape(text: str, what: str = "message") -> None:
    """Refuse a text that is not JSON, is nested too deeply, has too many values, or has a
    name twice.

    Args:
        what: it is called so.

    Raises:
        Misshapen: with a sentence for the client, without anything of the text but the name.
    """
    try:
        # Numbers stay as they are written: making integers of them can be slow.
        value = json.loads(text, object_pairs_hook=_once, parse_int=str, parse_float=str)
    except _Refused as refused:
        raise Misshapen(f"The {what} has {refused}.") from None
    except RecursionError:
        raise _too_deep(what) from None
    except ValueError as malformed:
        raise Misshapen(f"The {what} is not valid JSON: {malformed}.") from None
    level, values = [value], 0
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        values += len(level)
        if values > MAX_VALUES:
            raise Misshapen(f"The {what} has {_TOO_MANY}.")
    if any(isinstance(inner, (dict, list)) for inner in level):
        raise _too_deep(what)


_TOO_MANY = f"more than {MAX_VALUES} values"


class _Refused(Exception):
    """What an object has that none may have."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MAX_VALUES:  # before anything is made of them
        raise _Refused(_TOO_MANY)
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _Refused(f"{name[:40]!a} twice in one object")
        found[name] = value
    return found


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _too_deep(what: str) -> Misshapen:
    return Misshapen(f"The {what} is nested more than {MAX_DEPTH} levels deep.")
