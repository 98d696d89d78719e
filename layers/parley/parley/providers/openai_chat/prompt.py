"""From a session's history to messages that every chat endpoint accepts.

The templates of many models (Mistral, Gemma and Phi under vLLM and llama.cpp) refuse anything
but `system`, then `user` and `assistant` in turns, a user first and last, none of them empty.
A session's history is not always so: a turn that failed, or was interrupted before its first
word was heard, left a question without a reply, and the window may begin with a reply.
"""

from __future__ import annotations

from collections.abc import Iterator

from parley.protocol.messages import Message
from parley.providers.llm import Prompt
from parley.text.blank import is_blank

INTERRUPTED_MARK = "… [the user interrupted here and heard no more]"


def build_messages(prompt: Prompt, *, system_role: bool = True) -> list[dict[str, str]]:
    """Build the messages of a request.

    Args:
        prompt: its text shows something; `parley.text.blank.is_blank` tells.
        system_role: the model's template takes a `system` message. Those of Gemma 1 and 2 and of
            Mistral 7B Instruct do not: the instructions stand before what the user said first.
    """
    messages: list[dict[str, str]] = []
    has_instructions = not is_blank(prompt.instructions)
    if has_instructions and system_role:
        messages.append({"role": "system", "content": prompt.instructions})
    for role, content in _spoken(prompt):
        last = messages[-1]["role"] if messages else "system"
        if last == role:
            messages[-1]["content"] += "\n" + content
        elif (last, role) != ("system", "assistant"):  # whom it answered is not in the window
            messages.append({"role": role, "content": content})
    if has_instructions and not system_role:
        messages[0]["content"] = f"{prompt.instructions}\n\n{messages[0]['content']}"
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
