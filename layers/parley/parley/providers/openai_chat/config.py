"""How a deployment names its chat endpoint: its parameters, and what its operator is told."""

from __future__ import annotations

from parley.providers.context import ProviderContext
from parley.providers.diagnosis import Endpoint


def chat_endpoint(context: ProviderContext) -> Endpoint:
    """Return where replies are written, and by which model."""
    return context.endpoint(
        "responder",
        called="the chat endpoint",
        base_url="https://api.openai.com/v1",
        model="gpt-6-luna",
    )
