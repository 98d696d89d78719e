"""Headers that repeat what the body says (2026-07-28, "Request Metadata")."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any

ANNOTATION = "x-mcp-header"
"""Of a parameter: its value is also sent as a header of that name."""
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PLAIN = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?")
_ENCODED = re.compile(r"=\?base64\?.*\?=", re.DOTALL)
_TYPES = {"string", "integer", "boolean"}

Parameter = tuple[str, tuple[str, ...]]
"""The name of a header, and the way to its value in the arguments."""


class BadAnnotation(ValueError):
    """A tool has an annotation that the protocol forbids. Nobody may offer such a tool."""


def header_value(value: str) -> str:
    """Return a value as a header may have it ("Value Encoding")."""
    if _PLAIN.fullmatch(value) and not _ENCODED.fullmatch(value):
        return value
    encoded = base64.b64encode(value.encode(errors="replace")).decode()
    return f"=?base64?{encoded}?="


def find_parameters(schema: Mapping[str, Any]) -> tuple[Parameter, ...]:
    """Return the parameters of a tool that are also sent as headers.

    Raises:
        BadAnnotation: see there.
    """
    found = tuple(_walk(schema, ()))
    names = [name.lower() for name, _ in found]
    # The walk takes `properties` alone: an annotation anywhere else is invalid.
    if len(set(names)) < len(names) or len(found) < _count(schema):
        raise BadAnnotation
    return found


def parameter_headers(
    parameters: tuple[Parameter, ...], arguments: Mapping[str, Any]
) -> dict[str, str]:
    """Return the headers of a call; a parameter without a value has none."""
    found = {}
    for name, path in parameters:
        value: Any = arguments
        for step in path:
            value = value.get(step) if isinstance(value, Mapping) else None
        if isinstance(value, bool):
            value = str(value).lower()
        if value is not None:
            found[f"Mcp-Param-{name}"] = header_value(str(value))
    return found


def _walk(schema: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[Parameter]:
    properties = schema.get("properties")
    for name, inner in properties.items() if isinstance(properties, dict) else ():
        if not isinstance(inner, dict):
            continue
        if ANNOTATION in inner:
            header = inner[ANNOTATION]
            if not (isinstance(header, str) and _TOKEN.fullmatch(header)):
                raise BadAnnotation
            if inner.get("type") not in _TYPES:
                raise BadAnnotation
            yield header, (*path, name)
        yield from _walk(inner, (*path, name))


def _count(schema: Any, *, names: bool = False) -> int:
    """Return how many annotations there are anywhere.

    Args:
        names: the keys are names of parameters, one of which may be called like the annotation.
    """
    if isinstance(schema, list):
        return sum(_count(each) for each in schema)
    if not isinstance(schema, dict):
        return 0
    own = ANNOTATION in schema and not names
    return own + sum(
        _count(each, names=key == "properties" and not names) for key, each in schema.items()
    )
