"""The function of the demo's tools, called as a turn calls it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.handlers.loading import load

EVENING = {"name": "Ada", "people": 2, "time": "at eight"}


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Calls a tool with an idempotency key, without the time that a booking takes."""
    app = load("tool_book_table")
    monkeypatch.setattr(app, "WORK_S", 0)

    def invoke(tool: str, key: str, **arguments: Any) -> dict[str, Any]:
        client_context = SimpleNamespace(custom={"tool": tool, "key": key})
        found: dict[str, Any] = app.handler(
            arguments, SimpleNamespace(client_context=client_context)
        )
        return found

    return invoke


def test_a_booking_has_a_number_and_what_was_booked(call: Any) -> None:
    booked = call("book_table", "call_1", **EVENING)
    assert booked.pop("booking").startswith("T-")
    assert booked == EVENING


def test_a_call_that_comes_again_is_the_same_booking_and_another_call_is_another(
    call: Any,
) -> None:
    first, again, other = (call("book_table", key, **EVENING) for key in ("a", "a", "b"))
    assert first == again
    assert first["booking"] != other["booking"]


def test_an_order_is_somewhere(call: Any) -> None:
    found = call("order_status", "call_1", order="A-123")
    assert found["order"] == "A-123"
    assert found["status"]
