"""From a prompt to messages and tools that every chat endpoint accepts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from parley.protocol.tool_rounds import ToolCall
from parley.providers.llm import Prompt, ToolOffer
from parley.providers.openai_chat.chunks import THOUGHT_FIELD
from parley.providers.openai_chat.dialect import Dialect
from parley.providers.replies.turns import (
    AssistantTurn,
    RoundTurn,
    UserTurn,
    build_turns,
    whole_arguments,
)
from parley.text.blank import is_blank

STANDARD_DIALECT = Dialect()


def offers_tools(prompt: Prompt, dialect: Dialect) -> bool:
    """Return whether a request offers tools."""
    return dialect.tools and bool(prompt.tools)


def build_messages(
    prompt: Prompt, dialect: Dialect = STANDARD_DIALECT, model: str = ""
) -> list[dict[str, Any]]:
    """Build the messages of a request.

    Args:
        prompt: its text shows something; `parley.text.blank.is_blank` tells.
        model: who is asked.
    """
    messages: list[dict[str, Any]] = []
    for turn in build_turns(prompt, model, with_tools=offers_tools(prompt, dialect)):
        if isinstance(turn, UserTurn):
            messages.append({"role": "user", "content": turn.text})
        elif isinstance(turn, AssistantTurn):
            messages.append({"role": "assistant", "content": turn.text})
        else:
            messages += _messages_of_round(turn, dialect)
    if is_blank(prompt.instructions):
        return messages
    if dialect.system_role:
        return [{"role": "system", "content": prompt.instructions}, *messages]
    messages[0]["content"] = f"{prompt.instructions}\n\n{messages[0]['content']}"
    return messages


def build_tools(prompt: Prompt, dialect: Dialect) -> dict[str, Any]:
    """Build the fields of a request that offer tools; none if there are none.

    An empty list is refused by some servers. Whether several may be called at once is not said:
    some models refuse the field.
    """
    if not offers_tools(prompt, dialect):
        return {}
    fields: dict[str, Any] = {"tools": [_tool(offer) for offer in prompt.tools]}
    if not prompt.may_call:
        fields["tool_choice"] = "none"
    return fields


def _messages_of_round(turn: RoundTurn, dialect: Dialect) -> Iterator[dict[str, Any]]:
    silent = None if dialect.null_content else ""
    asked: dict[str, Any] = {
        "role": "assistant",
        "content": silent if is_blank(turn.text) else turn.text,
        "tool_calls": [_call(call) for call in turn.calls],
    }
    if thought := turn.extra.get(THOUGHT_FIELD) or (" " if dialect.blank_thought else ""):
        asked[THOUGHT_FIELD] = thought
    yield asked
    for call, result in zip(turn.calls, turn.results, strict=True):
        yield {"role": "tool", "tool_call_id": call.id, "content": result.text}


def _call(call: ToolCall) -> dict[str, Any]:
    is_whole = whole_arguments(call) or call.arguments == "{}"
    function = {"name": call.name, "arguments": call.arguments if is_whole else "{}"}
    return {**call.extra, "id": call.id, "type": "function", "function": function}


def _tool(offer: ToolOffer) -> dict[str, Any]:
    # Gemini, and templates under vLLM, want `properties` also where there are none.
    parameters = {"type": "object", "properties": {}, **offer.schema}
    function = {"name": offer.name, "description": offer.description, "parameters": parameters}
    return {"type": "function", "function": function}
