"""What one endpoint takes of a request, as far as only its refusals say so.

A plain object: from a refusal to what is sent in its place. Each part is given up once at most.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from parley.providers.diagnosis import Endpoint

Message = dict[str, Any]

_OF_SYSTEM_ROLE = (b"role", b"system message", b"system prompt", b"developer instruction")
"""What a refusal speaks of that may mean the system message; the last is Gemini's, of Gemma."""
_ROLE_OF_MESSAGE = re.compile(rb"""\\*["']role\\*["']\s*:""")
"""In a message that an error repeats: it speaks of no role."""
_OF_TOOLS = re.compile(rb"tool|function.?call")
_OF_LACK = re.compile(rb"jinja|support")
"""What a server's own error speaks of that means its tools, and not one answer's."""
_OF_THOUGHT = b"reasoning_content"
_WANTS_THOUGHTS = re.compile(r"(?:^|\.)(?:moonshot\.(?:ai|cn)|deepseek\.com)$")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a request is written.

    Attributes:
        system_role: the model's template takes a `system` message. Those of Gemma 1 and 2 and of
            Mistral 7B Instruct do not: the instructions stand before what the user said first.
        null_content: the content of a message with calls may be null, where nothing was said.
            Qwen's templates under Ollama want it so; mistral-common and older LM Studio want text.
        blank_thought: a message with calls has a thought, be it a blank one. Kimi and DeepSeek
            refuse one without.
        tools: tools may be offered.
    """

    system_role: bool = True
    null_content: bool = True
    blank_thought: bool = False
    tools: bool = True


def dialect_of(endpoint: Endpoint) -> Dialect:
    """Return how a request to an endpoint is written at first."""
    try:
        host = urlsplit(endpoint.base_url).hostname or ""
    except ValueError:  # the request itself says so better
        host = ""
    return Dialect(blank_thought=_WANTS_THOUGHTS.search(host) is not None)


def wants_thoughts(dialect: Dialect, messages: Sequence[Message], status: int, body: bytes) -> bool:
    """Return whether an endpoint may have refused a message with calls for having no thought."""
    has_calls = any("tool_calls" in message for message in messages)
    return not dialect.blank_thought and has_calls and status == 400 and _OF_THOUGHT in body


def adapt(
    dialect: Dialect,
    messages: Sequence[Message],
    status: int,
    body: bytes,
    *,
    with_tools: bool,
) -> Dialect | None:
    """Return how to write a request that was refused; None if nothing else is to be tried.

    llama.cpp answers 500 where a template fails. Templates of Mistral's do not name the system
    message: "Conversation roles must alternate".

    Args:
        with_tools: whether tools were offered.
    """
    if status not in (400, 404, 422, 500, 501):
        return None
    for text in texts_of(messages):  # some repeat what they were asked
        body = body.replace(text.encode(), b"")
    said = _ROLE_OF_MESSAGE.sub(b"", body.lower())
    is_template = status in (400, 422, 500)
    if is_template and messages[0]["role"] == "system" and _speaks_of(said, _OF_SYSTEM_ROLE):
        return replace(dialect, system_role=False)
    has_null = any(message["content"] is None for message in messages)
    if is_template and has_null and b"content" in said:
        return replace(dialect, null_content=False)
    is_lasting = status < 500 or _OF_LACK.search(said) is not None
    if with_tools and is_lasting and _OF_TOOLS.search(said):
        return replace(dialect, tools=False)
    return None


def texts_of(messages: Sequence[Message]) -> Iterator[str]:
    """Yield what was said, called and found, as a request has it."""
    for message in messages:
        if message["content"]:
            yield message["content"]
        for call in message.get("tool_calls", ()):
            yield call["function"]["arguments"]


def _speaks_of(said: bytes, marks: Sequence[bytes]) -> bool:
    return any(mark in said for mark in marks)


@dataclass(frozen=True, slots=True)
class _Lesson:
    """What is logged of a part that an endpoint does not take as it is."""

    event: str
    advice: str


_LESSONS = {
    "system_role": _Lesson(
        "system_message_refused",
        "takes no system message: the instructions go before what the user says first. Finding "
        "that out costs every new environment a request: a template that takes one saves it, or "
        "another {model}.",
    ),
    "null_content": _Lesson(
        "null_content_refused",
        "takes no null where nothing was said before a tool call: it is sent an empty text. "
        "Finding that out costs every new environment a request.",
    ),
    "blank_thought": _Lesson(
        "thought_wanted",
        "wants a thought with every tool call: it is sent a blank one. Finding that out costs "
        "every new environment a request.",
    ),
    "tools": _Lesson(
        "tools_refused",
        "takes no tools: it is asked without, and calls none. A server may need to be told how to "
        "read calls (vLLM: --enable-auto-tool-choice and --tool-call-parser; llama.cpp: --jinja); "
        "a tool's schema may be one that it does not know; otherwise choose another {model}.",
    ),
}


def lessons(before: Dialect, after: Dialect, endpoint: Endpoint) -> Iterator[tuple[str, str]]:
    """Yield event and advice of each part that an endpoint has refused."""
    for name, lesson in _LESSONS.items():
        if getattr(before, name) != getattr(after, name):
            advice = lesson.advice.format(model=endpoint.model_parameter)
            yield lesson.event, f"Model '{endpoint.model}' at {endpoint.host} {advice}"
