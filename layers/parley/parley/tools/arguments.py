"""The arguments of a call, as a model wrote them, checked against the tool's schema."""

from __future__ import annotations

import json
from typing import Any

from parley.tools.tool import ToolSpec


class BadArguments(Exception):
    """The arguments are not what the tool takes. The message is a sentence for the model."""


def read_arguments(spec: ToolSpec, text: str) -> dict[str, Any]:
    """Return the arguments of a call.

    Raises:
        BadArguments: they are no whole JSON object, or break the schema.
    """
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        raise BadArguments("They are not a whole JSON object.") from None
    if not isinstance(found, dict):
        raise BadArguments("They are not a JSON object.")
    return found


def canonical(arguments: Any) -> str:
    """Return arguments as one text, whatever the order of their names."""
    return json.dumps(arguments, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
