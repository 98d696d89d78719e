"""Checks messages against the models of a route (JSON schema, draft 4)."""

from __future__ import annotations

import json
from typing import Any

from jsonschema import Draft4Validator

from samwire.gateway.selection import DEFAULT, evaluated
from samwire.template.api_model import AWS_PROXY, Route


def violation(route: Route, body: str) -> str:
    """Return what is wrong with a message; empty if nothing is, or nothing is asked.

    Messages for proxy integrations are not checked ("WebSocket selection expressions").
    """
    if route.integration.kind == AWS_PROXY or not route.model_selection:
        return ""
    try:
        message: Any = json.loads(body)
    except (ValueError, RecursionError):
        message = None
    key = evaluated(route.model_selection, message)
    schema = route.models.get(key, route.models.get(DEFAULT))
    if schema is None:
        return ""
    if message is None:
        return "the message is no JSON"
    first = next(iter(Draft4Validator(schema).iter_errors(message)), None)
    return "" if first is None else str(first.message)
