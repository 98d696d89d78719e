"""What tests of tools call them with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest

from parley.providers.llm import ToolOffer
from parley.tools.registry import ToolContext
from parley.tools.tool import Invocation, Tool, ToolFailed, ToolSpec

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_c29tZSBvdGhlciBzZWNyZXQgb2YgMzIgYnl0ZXMu"
KEY = "01KBC000000000000000000000.turn-1.0.0"
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "lambda": {"format": "arguments", "durable": False},
    "http": {"secret": "key", "auth": "signature", "headers": {}, "method": "POST"},
}
"""What the catalog makes of an entry that says nothing of them."""
SCHEMA = {
    "type": "object",
    "properties": {
        "order": {"type": "string"},
        "people": {"type": "integer"},
        "note": {"type": "string"},
    },
}


def tool_spec(kind: str, target: str, **changed: Any) -> ToolSpec:
    """A tool named `book`, that reads unless it is said."""
    offer = ToolOffer("book", "Books.", changed.pop("schema", SCHEMA))
    options = {**OPTIONS.get(kind, {}), **changed.pop("options", {})}
    defaults = {"effect": "read", "timeout_s": 5.0}
    return ToolSpec(offer, kind, target, options=options, **{**defaults, **changed})


def tool_context(
    secrets: Mapping[str, str] | Callable[[], str] = {"key": SECRET},  # noqa: B006  # not changed
    private_hosts: Iterable[str] = (),
) -> ToolContext:
    """What tools are built with.

    Args:
        secrets: by name, or what is read each time.
    """

    async def read_secret(name: str, *, fresh: bool = False) -> str:
        return secrets() if callable(secrets) else secrets.get(name, "")

    hosts = frozenset(private_hosts)
    return ToolContext("shop", read_secret, hosts, lambda event, fields: None)


def invocation(timeout_s: float = 5.0, **arguments: Any) -> Invocation:
    """A call in a turn."""
    return Invocation(
        KEY,
        arguments,
        timeout_s,
        turn_id="turn-1",
        attempt=2,
        session="5e55",
        language="de",
        metadata={"customer": "Zoë"},
    )


async def failed(tool: Tool, call: Invocation) -> ToolFailed:
    """How a call fails."""
    with pytest.raises(ToolFailed) as caught:
        await tool.call(call)
    return caught.value
