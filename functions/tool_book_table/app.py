"""The demo's tools: books tables, and knows where orders are.

It keeps nothing. A booking's number follows from the call's idempotency key: a call that comes
again, because the turn before it died, is the same booking. A function that keeps its bookings
would look for the key first.
"""

from __future__ import annotations

import hashlib
import time
from typing import Any

WORK_S = 1.0
"""How long a booking takes: long enough to be interrupted."""
PLACES = ("in the kitchen of the baker", "on a bicycle in your street", "in the depot")


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Run the tool that the client context names, with the arguments that the event is."""
    told = context.client_context.custom
    return order_status(event) if told["tool"] == "order_status" else book_table(event, told["key"])


def book_table(arguments: dict[str, Any], key: str) -> dict[str, Any]:
    """Book a table."""
    time.sleep(WORK_S)
    return {"booking": f"T-{_number(key) % 9000 + 1000}", **arguments}


def order_status(arguments: dict[str, Any]) -> dict[str, Any]:
    """Say where an order is: always in the same place, as far as anybody knows."""
    order = arguments["order"]
    return {"order": order, "status": PLACES[_number(order) % len(PLACES)]}


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])
