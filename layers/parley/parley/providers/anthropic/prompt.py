"""From a prompt to what Anthropic's Messages API is asked."""

from __future__ import annotations

from typing import Any

from parley.providers.llm import Prompt
from parley.providers.replies.effort import Fields
from parley.providers.replies.turns import build_turns
from parley.text.blank import is_blank

MAX_TOKENS = 8192
"""The API wants a limit. Thoughts count as well; the oldest models write no more."""


def build_request(prompt: Prompt, model: str, effort: Fields) -> dict[str, Any]:
    """Build the body of a request.

    Args:
        prompt: its text shows something; `parley.text.blank.is_blank` tells.
        effort: the fields that say how much to think.
    """
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": MAX_TOKENS,
        "stream": True,
        "messages": build_turns(prompt),
        **effort,
    }
    if not is_blank(prompt.instructions):
        body["system"] = prompt.instructions
    if user := prompt.speaker.pseudonym or prompt.speaker.session:
        # An opaque id, by which Anthropic finds abuse: never a name or an address.
        body["metadata"] = {"user_id": user}
    return body
