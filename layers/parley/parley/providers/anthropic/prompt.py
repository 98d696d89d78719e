"""From a prompt to what Anthropic's Messages API is asked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from parley.providers.anthropic.blocks import CONTENT_FIELD
from parley.providers.llm import Prompt, ToolOffer
from parley.providers.replies.effort import Fields
from parley.providers.replies.turns import (
    AssistantTurn,
    RoundTurn,
    UserTurn,
    build_turns,
    whole_arguments,
)
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
        "messages": build_messages(prompt, model),
        **effort,
        **_tools(prompt),
    }
    if not is_blank(prompt.instructions):
        body["system"] = prompt.instructions
    if user := prompt.speaker.pseudonym or prompt.speaker.session:
        # An opaque id, by which Anthropic finds abuse: never a name or an address.
        body["metadata"] = {"user_id": user}
    return body


def build_messages(prompt: Prompt, model: str) -> list[dict[str, Any]]:
    """Build the messages of a request."""
    messages: list[dict[str, Any]] = []
    for turn in build_turns(prompt, model, with_tools=bool(prompt.tools)):
        if isinstance(turn, UserTurn):
            messages.append({"role": "user", "content": turn.text})
        elif isinstance(turn, AssistantTurn):
            messages.append({"role": "assistant", "content": turn.text})
        else:
            messages.append({"role": "assistant", "content": list(_asked(turn))})
            messages.append({"role": "user", "content": list(_results(turn))})
    return messages


def texts_of(messages: list[dict[str, Any]]) -> Iterator[str]:
    """Yield what was said, called and found, as a request has it."""
    for message in messages:
        if isinstance(message["content"], str):
            yield message["content"]
            continue
        for block in message["content"]:
            for name in ("text", "thinking", "content"):
                if name in block:
                    yield block[name]
            if "input" in block:
                yield json.dumps(block["input"], ensure_ascii=False)


def _tools(prompt: Prompt) -> dict[str, Any]:
    if not prompt.tools:
        return {}
    fields: dict[str, Any] = {"tools": [_tool(offer) for offer in prompt.tools]}
    if not prompt.may_call:
        fields["tool_choice"] = {"type": "none"}
    return fields


def _tool(offer: ToolOffer) -> dict[str, Any]:
    schema = {"type": "object", "properties": {}, **offer.schema}
    return {"name": offer.name, "description": offer.description, "input_schema": schema}


def _asked(turn: RoundTurn) -> Iterator[Mapping[str, Any]]:
    """Yield the blocks of a message with calls: thoughts unchanged, and where they were."""
    text = [] if is_blank(turn.text) else [{"type": "text", "text": turn.text}]
    calls: list[dict[str, Any]] = [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": whole_arguments(call)}
        for call in turn.calls
    ]
    for block in turn.extra.get(CONTENT_FIELD, ()):
        if block["type"] == "text":
            yield from text
            text = []
        elif block["type"] == "tool_use":
            yield from text
            yield from calls[:1]
            text, calls = [], calls[1:]
        else:
            yield block
    yield from (*text, *calls)


def _results(turn: RoundTurn) -> Iterator[dict[str, Any]]:
    for call, result in zip(turn.calls, turn.results, strict=True):
        failed = {"is_error": True} if result.outcome == "failed" else {}
        yield {"type": "tool_result", "tool_use_id": call.id, "content": result.text, **failed}
