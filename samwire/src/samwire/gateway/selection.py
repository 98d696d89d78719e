"""Selection expressions ("WebSocket selection expressions"): from a message to a key."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from samwire.gateway.json_path import MISSING, at

DEFAULT = "$default"

_BODY = "request.body."
_REFERENCE = re.compile(r"\$\{([^}]+)\}")


def selected_key(expression: str, body: str) -> str:
    """Return the route key that a message evaluates to; `$default` when it is no JSON object."""
    try:
        message: Any = json.loads(body)
    except (ValueError, RecursionError):
        return DEFAULT
    return evaluated(expression, message) if isinstance(message, dict) else DEFAULT


def evaluated(expression: str, message: Any, values: Mapping[str, str] | None = None) -> str:
    """Return what an expression makes of a message.

    Args:
        message: JSON, decoded; what is not there is ''.
        values: other variables, e.g. `integration.response.statuscode`.
    """

    def value(name: str) -> str:
        if name.startswith(_BODY):
            return text_of(at(message, name.removeprefix(_BODY)))
        return (values or {}).get(name, "")

    if expression.startswith("\\$"):
        return expression[1:]
    if expression.startswith("$") and not expression.startswith("${"):
        return value(expression[1:]) if expression != DEFAULT else DEFAULT
    return _REFERENCE.sub(lambda match: value(match[1]), expression)


def text_of(value: Any) -> str:
    """Return strings as they are, other values as API Gateway writes them, missing ones as ''."""
    if value is MISSING or value is None:
        return ""
    if isinstance(value, list):
        return "[" + ", ".join(text_of(item) for item in value) + "]"
    return value if isinstance(value, str) else json.dumps(value)
