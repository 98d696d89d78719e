"""Route selection expressions ("Working with routes for WebSocket APIs")."""

from __future__ import annotations

import json
import re
from typing import Any

_REFERENCE = re.compile(r"\$\{(request\.body\.[^}]+)\}")
_STEP = re.compile(r"""((?:^|\.)([^.\[\]]+)|\[(\d+)\]|\[["']([^"']+)["']\])""")
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
    """What a path such as `a.b[0]` or `a['b c']` leads to."""
    steps = _STEP.findall(path)
    if "".join(whole for whole, *_ in steps) != path:
        return _MISSING
    for _, name, index, quoted in steps:
        if index:
            if not isinstance(message, list) or int(index) >= len(message):
                return _MISSING
            message = message[int(index)]
        else:
            if not isinstance(message, dict) or (name or quoted) not in message:
                return _MISSING
            message = message[name or quoted]
    return message


def _text(value: Any) -> str:
    """Strings as they are; other values as API Gateway writes them; missing ones as ''."""
    if value is _MISSING or value is None:
        return ""
    if isinstance(value, list):
        return "[" + ", ".join(_text(item) for item in value) + "]"
    return value if isinstance(value, str) else json.dumps(value)
