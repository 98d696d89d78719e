"""How a deployment names Claude: its parameters, and how much it thinks."""

from __future__ import annotations

import re

from parley.providers.context import ProviderContext
from parley.providers.diagnosis import Endpoint
from parley.providers.replies.effort import Fields, ReasoningEffort

API_VERSION = "2023-06-01"
"""Of the Messages API. 2026-10-21 refuses some fields that are not sent here, and answers the same.
This one is what Bedrock documents, and what everything else that speaks the protocol knows."""
KEY_NAME = "anthropic_api_key"
DEFAULT_MODEL = "claude-haiku-5-5"
"""Anthropic's newest small model: the quickest, and it can leave thinking out."""

_ALWAYS_THINKS = re.compile(r"claude-(?:opus-5-5|fable|mythos)")
_THINKS_FIRST_UNLESS = re.compile(r"claude-sonnet-5-5")
_DISABLED: Fields = {"thinking": {"type": "disabled"}}
_BETWEEN_TOOLS: Fields = {"thinking": {"type": "between_tools"}}
_LOW: Fields = {"output_config": {"effort": "low"}}


def anthropic_endpoint(context: ProviderContext) -> Endpoint:
    """Return where replies are written, and by which model."""
    return context.endpoint(
        "responder",
        called="Anthropic's API",
        base_url="https://api.anthropic.com",
        model=DEFAULT_MODEL,
        key_parameter="AnthropicApiKey",
    )


def messages_url(endpoint: Endpoint) -> str:
    """Return the URL that is asked for a reply, whether or not the base URL has the version."""
    return f"{_versioned(endpoint)}/messages"


def models_url(endpoint: Endpoint) -> str:
    """Return the URL that lists the models, and costs nothing."""
    return f"{_versioned(endpoint)}/models"


def effort_words(effort: ReasoningEffort, model: str) -> tuple[Fields, ...]:
    """Return how a model is told how much to think, the wanted words first.

    Opus 5.5, Fable and Mythos always think; Sonnet 5.5 leaves out what it thinks before its first
    word; others can do without. Haiku 4.5 and older models know no effort, and think only if they
    are told to.
    """
    if effort == "model":
        return ()
    if effort in ("medium", "high"):
        return ({"output_config": {"effort": effort}},)
    if effort != "none" or _ALWAYS_THINKS.search(model):
        return (_LOW,)
    if _THINKS_FIRST_UNLESS.search(model):
        return (_BETWEEN_TOOLS, _LOW)
    return (_DISABLED, _BETWEEN_TOOLS, _LOW)


def _versioned(endpoint: Endpoint) -> str:
    return f"{endpoint.base_url.rstrip('/').removesuffix('/v1')}/v1"
