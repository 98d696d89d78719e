"""Prompts with tools and rounds of calls, and what strict endpoints say of their requests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hypothesis import strategies as st
from pydantic import TypeAdapter

from parley.protocol.messages import Message, Span
from parley.protocol.tool_rounds import CallResult, ToolCall, ToolCalls, ToolRound
from parley.providers.llm import Prompt, ToolOffer

MODEL = "the-model"
ORDER = ToolOffer(
    "order_status",
    "Where an order is.",
    {"type": "object", "properties": {"order": {"type": "string"}}, "required": ["order"]},
)
TIME = ToolOffer("time", "What time it is.", {"type": "object"})
OFFERS = (ORDER, TIME)
_BLANKS = " \n\t\u00a0\u200b\ufeff\u2028\x00\u2060\u00ad"


def a_round(
    *names: str, text: str = "", index: int = 0, model: str = MODEL, **extra: Any
) -> ToolRound:
    """A round that called some tools, with their results."""
    calls = tuple(
        ToolCall(name, '{"order":"A-1"}', f"call{index}{at}") for at, name in enumerate(names)
    )
    results = tuple(CallResult("done", f"{name} is done") for name in names)
    return ToolRound(index, ToolCalls(calls, extra, model), text, results)


# --- any prompt there can be -------------------------------------------------------------

_TEXTS = st.sampled_from(["", " ", "\u200b", "a", "b\n", "Hello.", "Let me look.", "🫩 Sure. Yes."])
_WORDS = st.sampled_from(["a", "b\n", "Hello.", "🫩"])
_TURNS = st.sampled_from(["t1", "t2", "t3"])
_SPANS = st.builds(lambda at, size: Span(at, at + size), st.integers(0, 9), st.integers(0, 9))
_MESSAGES = st.builds(
    Message,
    st.sampled_from(["user", "assistant", "assistant", "context"]),
    _TEXTS,
    _TURNS,
    st.none() | _TEXTS,
    fillers=st.lists(_SPANS, max_size=2),
    agent=st.booleans(),
)
_SIGNED: dict[str, Any] = {"extra_content": {"google": {"thought_signature": "sig"}}}
_UNSIGNED: dict[str, Any] = {}
_CALLS = st.builds(
    ToolCall,
    st.sampled_from(["order_status", "time", "gone"]),
    st.sampled_from(["{}", "", '{"order": "A-1"}', '{"order": ', "[]", "null"]),
    st.sampled_from(["", "call_1", "call_1", "functions.time:0"]),
    st.sampled_from([_UNSIGNED, _SIGNED]),
)
_EXTRAS: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {},
        {"reasoning_content": "Hm."},
        {"content": [{"type": "thinking", "thinking": "Hm.", "signature": "s"}, {"type": "text"}]},
    ]
)
_RESULTS = st.builds(
    CallResult, st.sampled_from(["done", "failed", "cancelled", "unknown"]), _TEXTS
)


@st.composite
def _rounds(draw: st.DrawFn, least: int = 0) -> list[ToolRound]:
    found: list[ToolRound] = []
    for index in range(draw(st.integers(least, 2))):
        calls = tuple(draw(st.lists(_CALLS, min_size=1, max_size=3)))
        results = tuple(draw(_RESULTS) for _ in calls)
        request = ToolCalls(calls, draw(_EXTRAS), draw(st.sampled_from([MODEL, "another"])))
        found.append(ToolRound(index, request, draw(_TEXTS), results))
    return found


PROMPTS = st.builds(
    Prompt,
    st.just("Be brief."),
    st.lists(_MESSAGES, max_size=10),
    _WORDS,
    tools=st.sampled_from([(), OFFERS]),
    may_call=st.booleans(),
    rounds=_rounds(),
    past_rounds=st.dictionaries(_TURNS, _rounds(1), max_size=3),
)


# --- what strict endpoints refuse ---------------------------------------------------------


def chat_refusal(body: Mapping[str, Any]) -> str | None:
    """Why a strict chat endpoint would refuse a request; None if it takes it."""
    messages, tools = list(body["messages"]), body.get("tools")
    if tools == []:
        return "tools are empty"
    if messages.pop(0)["role"] != "system":
        return "no system message first"
    before, open_ids = "assistant", list[str]()
    for message in messages:
        role, content = message["role"], message["content"]
        if open_ids and role != "tool":
            return "a call has no result right after it"
        if role == "tool":
            if not open_ids or message["tool_call_id"] != open_ids.pop(0):
                return "a result of no call, or not in order"
        elif role == "user" and before != "assistant":
            return f"a user after {before}"
        elif role == "assistant" and before == "assistant":
            return "two replies in a row"
        calls = message.get("tool_calls")
        if calls == []:
            return "calls are empty"
        if calls:
            if not tools:
                return "calls, and no tools"
            open_ids = [call["id"] for call in calls]
            if len(set(open_ids)) < len(open_ids) or not all(open_ids):
                return "calls without an id of their own"
            if any(not _is_object(call["function"]["arguments"]) for call in calls):
                return "arguments that are no object"
        elif _is_blank(content):
            return "an empty message"
        if content is not None and _is_blank(content):
            return "blank content"
        before = "call" if calls else role
    return "the end is of the assistant" if before not in ("user", "tool") or open_ids else None


def claude_refusal(body: Mapping[str, Any]) -> str | None:
    """Why Anthropic would refuse a request; None if it takes it."""
    asked: list[str] = []
    for at, message in enumerate(body["messages"]):
        if message["role"] != ("user", "assistant")[at % 2]:
            return "roles do not alternate"
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if any(block["type"] == "text" and _is_blank(block["text"]) for block in blocks):
            return "an empty text"
        answered = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        if answered != asked:
            return "results do not answer the calls before them"
        asked = [block["id"] for block in blocks if block["type"] == "tool_use"]
        if len(set(asked)) < len(asked):
            return "ids are not unique"
        if any(re.fullmatch("[a-zA-Z0-9_-]+", each) is None for each in asked if each != OWN_ID):
            return "an id that is none"
        if asked and not body.get("tools"):
            return "calls, and no tools"
        if any(block.get("content") == "" for block in blocks):
            return "an empty result"
    return "the user does not come last" if message["role"] != "user" or asked else None


OWN_ID = "functions.time:0"
"""An id that only its own model makes."""


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _is_blank(content: str | None) -> bool:
    return not (content or "").strip(_BLANKS)


def check_body(sdk_type: Any, body: Any) -> None:
    """Check a request against an SDK's type, to its last item: pydantic looks at an `Iterable` only
    when it is read."""
    adapter: TypeAdapter[Any] = TypeAdapter(sdk_type)  # what it finds refers to it: it must live on
    _read(adapter.validate_python(body))


def _read(found: Any) -> None:
    if isinstance(found, Mapping):
        found = found.values()
    if isinstance(found, Iterable) and not isinstance(found, str | bytes):
        for each in found:
            _read(each)


def texts(messages: Sequence[Mapping[str, Any]]) -> list[tuple[str, Any]]:
    """Role and content of each message."""
    return [(message["role"], message["content"]) for message in messages]
