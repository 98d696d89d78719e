"""Tools that the tests offer, in both protocols, and the conversations about them."""

from __future__ import annotations

from typing import Any

from parley_standins.tool_talk import Offer

ORDER = {"type": "object", "properties": {"order": {"type": "string"}}, "required": ["order"]}
TABLE = {
    "type": "object",
    "properties": {
        "people": {"type": "integer"},
        "time": {"type": "string"},
        "name": {"type": "string"},
        "nonce": {"type": "string"},
    },
    "required": ["people", "time"],
}
LANGUAGE = {
    "type": "object",
    "properties": {"language": {"type": "string", "enum": ["en", "de"]}},
    "required": ["language"],
}
NOTHING: dict[str, Any] = {"type": "object", "properties": {}}
OFFERS = [
    Offer("order_status", "Where an order is.", ORDER),
    Offer("cancel_order", "Cancel an order.", ORDER),
    Offer("book_table", "Book a table.", TABLE),
    Offer("end_session", "End the conversation.", NOTHING),
    Offer("skip_turn", "Say nothing until the user speaks again.", NOTHING),
    Offer("set_language", "Speak another language.", LANGUAGE),
]
CHAT_TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {"name": o.name, "description": o.description, "parameters": o.parameters},
    }
    for o in OFFERS
]
CLAUDE_TOOLS: list[Any] = [
    {"name": o.name, "description": o.description, "input_schema": o.parameters} for o in OFFERS
]
BOOKED = '{"number": 4711, "people": 2, "time": "20:00"}'
UNKNOWN = (
    "It is not known whether this was done. Tell the user so, and do not call it again unless the "
    "user asks you to."
)
NOT_CONFIRMED = (
    "This call did not run yet: the user must agree first. Say in one sentence what will be done, "
    "ask whether to do it, and call it again with the same arguments once the user has said yes."
)
