"""The reply within an answer's JSON, whose shape is the workflow's author's."""

from __future__ import annotations

import json
import re
from typing import Any

REPLY_FIELDS = ("output", "text", "response", "message", "answer", "reply", "content")
"""Where the reply stands, the likeliest first. An agent's is `output`."""

_WRAPPERS = ("data", "json")
_NO_REPLY = re.compile(r"id|.*_?id|action|chatInput|status|type|url|name|error.*", re.IGNORECASE)
"""A field that is no reply, even where it is the only text."""
_MAX_DEPTH = 8
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,31}")
_MAX_NAMES = 10


def parse_json(text: str) -> Any:
    """Parse JSON; authors leave control characters in strings as they are.

    Raises:
        ValueError: it is none.
    """
    try:
        return json.loads(text, strict=False)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def find_text(found: Any, deeper: int = _MAX_DEPTH) -> str:
    """Find the reply in an answer; empty if there is none.

    A list is an item for each run of the last node: all of them are the reply.
    """
    if isinstance(found, str):
        return found
    if isinstance(found, bool) or found is None or not deeper:
        return ""
    if isinstance(found, int | float):
        return f"{found:.15g}"
    if isinstance(found, list):
        return " ".join(filter(None, (find_text(item, deeper - 1) for item in found)))
    if not isinstance(found, dict):
        return ""
    for name in (*REPLY_FIELDS, *_WRAPPERS):
        if name == "message" and has_error(found):  # it is the error's
            continue
        if text := find_text(found.get(name), deeper - 1):
            return text
    if names_reply(found):
        return ""
    texts = [
        value
        for name, value in found.items()
        if isinstance(value, str) and value.strip() and not _NO_REPLY.fullmatch(name)
    ]
    return texts[0] if len(texts) == 1 else ""


def has_error(found: Any) -> bool:
    """Return whether an answer holds what a node that failed leaves behind."""
    if isinstance(found, list):
        return any(map(has_error, found))
    return isinstance(found, dict) and bool(found.get("error") or found.get("errorMessage"))


def names_reply(found: Any) -> bool:
    """Return whether an answer has a field for the reply, be it an empty one."""
    if isinstance(found, list):
        return any(map(names_reply, found))
    return isinstance(found, dict) and any(name in found for name in REPLY_FIELDS)


def name_fields(found: Any) -> list[str]:
    """Return the names of an answer's fields, as far as they may be in a log."""
    if isinstance(found, list):
        found = found[0] if found else None
    if not isinstance(found, dict):
        return []
    return [name for name in found if _NAME.fullmatch(name)][:_MAX_NAMES]
