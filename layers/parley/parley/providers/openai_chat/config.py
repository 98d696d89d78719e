"""How a deployment names its chat endpoint: its parameters, and what its operator is told."""

from __future__ import annotations

from parley.providers.context import ProviderContext
from parley.providers.diagnosis import Endpoint

API_KEY = "llm_api_key"
"""Its name in the deployment's secret; it may be empty."""


def chat_endpoint(context: ProviderContext) -> Endpoint:
    """Return where replies are written, and by which model."""
    return Endpoint(
        code="reply_failed",
        called="the chat endpoint",
        base_url=context.text("LLM_BASE_URL", "https://api.openai.com/v1"),
        model=context.text("LLM_MODEL", "gpt-4o-mini"),
        key_parameter="LlmApiKey",
        url_parameter="LlmBaseUrl",
        model_parameter="LlmModel",
    )
