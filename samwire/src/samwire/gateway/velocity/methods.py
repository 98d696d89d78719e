"""Java's methods of text, lists and maps, and how Java writes values.

A mapping template runs in Java on AWS; templates use the methods of its classes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

Method = Callable[..., Any]

_GROUP = re.compile(r"\$(\d+)")


@runtime_checkable
class Tool(Protocol):
    """An object of the gateway's own, such as `$input`.

    Attributes:
        values: what it has.
        methods: what it can do.
    """

    values: Mapping[str, Any]
    methods: Mapping[str, Method]


def written(value: Any) -> str:
    """Return a value as Java's `toString` writes it; `null` as nothing."""
    return "" if value is None else _inside(value)


def _inside(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}={_inside(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inside, value)) + "]"
    return str(value)


def method_of(value: Any, name: str) -> Method | None:
    """Return a method of a value; None if it has none of that name."""
    if name == "toString":
        return lambda: written(value)
    if name == "equals":
        return lambda other: bool(value == other)
    if isinstance(value, Tool):
        return value.methods.get(name)
    if isinstance(value, str):
        return _bound(_TEXT, name, value)
    if isinstance(value, list):
        return _bound(_LIST, name, value)
    if isinstance(value, dict):
        return _bound(_MAP, name, value)
    if isinstance(value, int | float) and name in ("intValue", "longValue"):
        return lambda: int(value)
    return None


def _bound(methods: Mapping[str, Method], name: str, value: Any) -> Method | None:
    method = methods.get(name)
    return None if method is None else lambda *arguments: method(value, *arguments)


def _replacement(text: str) -> str:
    """Return a replacement of a regular expression: Java's `$1` is `\\g<1>` here."""
    return _GROUP.sub(r"\\g<\1>", text)


def _put(items: dict[str, Any], key: Any, value: Any) -> Any:
    before = items.get(key)
    items[key] = value
    return before


def _add(items: list[Any], *arguments: Any) -> bool:
    items.insert(arguments[0] if len(arguments) > 1 else len(items), arguments[-1])
    return True


_TEXT: dict[str, Method] = {
    "charAt": lambda text, index: text[index],
    "concat": lambda text, other: text + other,
    "contains": lambda text, part: part in text,
    "endsWith": lambda text, part: text.endswith(part),
    "equalsIgnoreCase": lambda text, other: text.lower() == written(other).lower(),
    "indexOf": lambda text, part: text.find(part),
    "isEmpty": lambda text: not text,
    "lastIndexOf": lambda text, part: text.rfind(part),
    "length": len,
    "matches": lambda text, pattern: re.fullmatch(pattern, text) is not None,
    "replace": lambda text, old, new: text.replace(old, new),
    "replaceAll": lambda text, pattern, new: re.sub(pattern, _replacement(new), text),
    "replaceFirst": lambda text, pattern, new: re.sub(pattern, _replacement(new), text, count=1),
    "split": lambda text, pattern: re.split(pattern, text),
    "startsWith": lambda text, part: text.startswith(part),
    "substring": lambda text, start, end=None: text[start:end],
    "toLowerCase": lambda text: text.lower(),
    "toUpperCase": lambda text: text.upper(),
    "trim": lambda text: text.strip(),
}
_LIST: dict[str, Method] = {
    "add": _add,
    "addAll": lambda items, more: items.extend(more) or True,
    "contains": lambda items, item: item in items,
    "get": lambda items, index: items[index],
    "isEmpty": lambda items: not items,
    "remove": lambda items, index: items.pop(index),
    "set": lambda items, index, item: _put_at(items, index, item),
    "size": len,
}
_MAP: dict[str, Method] = {
    "containsKey": lambda items, key: key in items,
    "entrySet": lambda items: [{"key": key, "value": value} for key, value in items.items()],
    "get": lambda items, key: items.get(key),
    "getKey": lambda items: items.get("key"),
    "getOrDefault": lambda items, key, default: items.get(key, default),
    "getValue": lambda items: items.get("value"),
    "isEmpty": lambda items: not items,
    "keySet": list,
    "put": _put,
    "putAll": lambda items, more: items.update(more),
    "remove": lambda items, key: items.pop(key, None),
    "size": len,
    "values": lambda items: list(items.values()),
}


def _put_at(items: list[Any], index: int, item: Any) -> Any:
    before, items[index] = items[index], item
    return before
