"""What a tool answers, as JSON or text from elsewhere, as an `Answer`."""

from __future__ import annotations

from typing import Any

from parley.tools.tool import Answer, CustomEvent

EVENTS = "parley_events"
"""The field of a JSON result that has events for the page."""
MAX_EVENTS = 8
MAX_NAME_CHARS = 64
MAX_ANSWER_BYTES = 65_536
"""How much of an answer is read. The model gets 8,000 characters; the rest is for the page."""


def answer_of(value: Any) -> Answer:
    """Return an answer, with its events taken out of what the model gets.

    What is no event, and what is beyond the eighth, is left out.
    """
    if not isinstance(value, dict) or EVENTS not in value:
        return Answer(value)
    rest = {name: each for name, each in value.items() if name != EVENTS}
    found = value[EVENTS] if isinstance(value[EVENTS], list) else []
    events = [CustomEvent(each["name"], each.get("data")) for each in found if _is_event(each)]
    return Answer(rest, events[:MAX_EVENTS])


def _is_event(value: Any) -> bool:
    name = value.get("name") if isinstance(value, dict) else None
    return isinstance(name, str) and 0 < len(name) <= MAX_NAME_CHARS
