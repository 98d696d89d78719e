"""Route selection expressions ("Working with routes for WebSocket APIs")."""

from __future__ import annotations

import json
import re
from typing import Any

_REFERENCE = re.compile(r"\$\{(request\.body\.[^}]+)\}")
_MISSING = object()


def selected_key(expression: str, body: str) -> str:
    """What a message evaluates to; `$default` when it is no JSON object."""
    try:
        message: Any = json.loads(body)
    except (ValueError, RecursionError):
        return "$default"
    if not isinstance(message, dict):
        return "$default"
    if expression.startswith("\\$"):
        return expression[1:]
    if expression.startswith("$request.body."):
        return _text(_at(message, expression.removeprefix("$request.body.")))
    return _REFERENCE.sub(
        lambda match: _text(_at(message, match[1].removeprefix("request.body."))), expression
    )


def _at(message: Any, path: str) -> Any:
    for name in path.split("."):
        if not isinstance(message, dict) or name not in message:
            return _MISSING
        message = message[name]
    return message


def _text(value: Any) -> str:
    """Strings as they are; other values as API Gateway writes them; missing ones as ''."""
    if value is _MISSING or value is None:
        return ""
    if isinstance(value, list):
        return "[" + ", ".join(_text(item) for item in value) + "]"
    return value if isinstance(value, str) else json.dumps(value)
