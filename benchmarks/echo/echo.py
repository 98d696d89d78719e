"""Answers every event with its body; the same handler behind each gateway that is measured."""

from __future__ import annotations

from typing import Any


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """A handshake has no body; its answer is a status alone."""
    return {"statusCode": 200, "body": event.get("body", "")}
