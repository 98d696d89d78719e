"""What a tool answers, as JSON or text from elsewhere, as an `Answer`."""

from __future__ import annotations

import json
from typing import Any

from parley.tools.json_depth import is_within
from parley.tools.tool import Answer, CustomEvent

EVENTS = "parley_events"
"""The field of a JSON result that has events for the page."""
MAX_EVENTS = 8
MAX_NAME_CHARS = 64
MAX_EVENT_BYTES = 65_536
"""Of one event as JSON: a frame of API Gateway's has 128 KB."""
MAX_EVENT_LEVELS = 32
MAX_ANSWER_BYTES = 65_536
"""How much of an answer is read. The model gets 8,000 characters; the rest is for the page."""


def answer_of(value: Any) -> Answer:
    """Return an answer, with its events taken out of what the model gets.

    What is no event, what cannot be sent, and what is beyond the eighth, is left out.
    """
    if not isinstance(value, dict) or EVENTS not in value:
        return Answer(value)
    rest = {name: each for name, each in value.items() if name != EVENTS}
    found = value[EVENTS] if isinstance(value[EVENTS], list) else []
    events = [CustomEvent(each["name"], each.get("data")) for each in found if _is_event(each)]
    return Answer(rest, events[:MAX_EVENTS])


def _is_event(value: Any) -> bool:
    name = value.get("name") if isinstance(value, dict) else None
    return isinstance(name, str) and 0 < len(name) <= MAX_NAME_CHARS and _fits_a_frame(value)


def _fits_a_frame(event: dict[str, Any]) -> bool:
    if not is_within(MAX_EVENT_LEVELS, event):
        return False
    try:
        frame = json.dumps(event, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:  # infinity, or half a character
        return False
    return len(frame) <= MAX_EVENT_BYTES
