"""From a session's history to messages that every chat endpoint accepts."""

from __future__ import annotations

from parley.providers.llm import Prompt
from parley.providers.replies.turns import build_turns
from parley.text.blank import is_blank


def build_messages(prompt: Prompt, *, system_role: bool = True) -> list[dict[str, str]]:
    """Build the messages of a request.

    Args:
        prompt: its text shows something; `parley.text.blank.is_blank` tells.
        system_role: the model's template takes a `system` message. Those of Gemma 1 and 2 and of
            Mistral 7B Instruct do not: the instructions stand before what the user said first.
    """
    messages = build_turns(prompt)
    if is_blank(prompt.instructions):
        return messages
    if system_role:
        return [{"role": "system", "content": prompt.instructions}, *messages]
    messages[0]["content"] = f"{prompt.instructions}\n\n{messages[0]['content']}"
    return messages
