"""What a call of a server's tool gave: a plain function of the result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parley.tools.tool import Answer, ToolFailed


def answer_of(result: Mapping[str, Any]) -> Answer:
    """Return the answer in a result of `tools/call`.

    Raises:
        ToolFailed: the tool says that it failed, or asks the user for more.
    """
    if result.get("resultType", "complete") != "complete":
        raise ToolFailed("needs_a_form", acted=False, log_fields={"cause": "input_required"})
    text = _text_of(result.get("content"))
    if result.get("isError"):
        # Its own word, also of a write: it knows what it did, and says so to the model.
        raise ToolFailed("error", acted=False, told=text, log_fields={"cause": "isError"})
    structured = result.get("structuredContent")
    return Answer(text if structured is None else structured)


def _text_of(content: Any) -> str:
    parts = content if isinstance(content, list) else []
    return "\n".join(filter(None, map(_part, parts)))


def _part(part: Any) -> str:
    """Return the text of a part, or the name of what no model can be told as text."""
    if not isinstance(part, dict):
        return ""
    kind = str(part.get("type") or "part")
    if kind == "text":
        return str(part.get("text") or "")
    resource = part.get("resource")
    if isinstance(resource, dict):
        return str(resource.get("text") or "") or "[resource]"
    if kind == "resource_link":
        return f"[resource: {part.get('title') or part.get('name') or part.get('uri')}]"
    return f"[{kind}]"
