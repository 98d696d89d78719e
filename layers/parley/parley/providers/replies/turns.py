"""From a session's history to the turns that every model accepts.

The templates of many models (Mistral, Gemma and Phi under vLLM and llama.cpp), and Anthropic's
API, refuse anything but `user` and `assistant` in turns, a user first and last, none of them
empty. A session's history is not always so: a turn that failed, or was interrupted before its
first word was heard, left a question without a reply, and the window may begin with a reply.
"""

from __future__ import annotations

from collections.abc import Iterator

from parley.protocol.messages import Message
from parley.providers.llm import Prompt
from parley.text.blank import is_blank

INTERRUPTED_MARK = "… [the user interrupted here and heard no more]"


def build_turns(prompt: Prompt) -> list[dict[str, str]]:
    """Build the messages of a request, without the instructions.

    Args:
        prompt: its text shows something; `parley.text.blank.is_blank` tells.
    """
    messages: list[dict[str, str]] = []
    for role, content in _spoken(prompt):
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += "\n" + content
        elif messages or role != "assistant":  # whom it answered is not in the window
            messages.append({"role": role, "content": content})
    return messages


def _spoken(prompt: Prompt) -> Iterator[tuple[str, str]]:
    """Yield role and content of all that shows something, the oldest first."""
    for message in prompt.history:
        content = _content(message)
        if not is_blank(content):
            yield message.role, content
    yield "user", prompt.text


def _content(message: Message) -> str:
    """Return what the user has read or heard of a message: of a reply, what was heard.

    A reply of which nothing was heard has no note either: there was nothing to interrupt.
    """
    if message.heard is None:
        return message.text
    return "" if is_blank(message.heard) else message.heard + INTERRUPTED_MARK
