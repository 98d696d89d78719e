"""Limits of the JSON that clients send, checked before it is decoded: depth, values, names.

The standard library's parser reads the text once more than needed, in C: less than 0.1 ms for the
largest chunk of audio. A name that comes twice in one object is refused, because parsers differ in
which of the two they take (RFC 8259, section 4). Otherwise what one checked would not be what
another used.
"""

from __future__ import annotations

import json
from typing import Any

MAX_DEPTH = 8
"""The deepest nesting of objects and arrays. The protocol's own messages have two levels."""
MAX_VALUES = 128
"""The most values of all objects and arrays together. The protocol's own messages have about a
dozen."""


class Misshapen(ValueError):
    """The text is not JSON, or exceeds a limit. The message is a sentence for the client."""


def check_shape(text: str, what: str = "message") -> None:
    """Refuse a text that is not JSON, is too deep, has too many values, or has a name twice.

    Args:
        text: the JSON.
        what: what the error calls it, such as "message".

    Raises:
        Misshapen: with a sentence for the client. Of the text it quotes only a name.
    """
    try:
        # Numbers stay text: converting a long one to an integer can be slow.
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
    """An object has something that no object may have."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MAX_VALUES:  # before the object is built
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
