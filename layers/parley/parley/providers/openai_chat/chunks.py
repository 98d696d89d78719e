"""What is read of a chat endpoint's JSON: the reply's text, and how the reply ends.

Endpoints differ in everything that is not read here, so nothing of that can cost a reply:
`logprobs`, numbers of any size. What makes no sense where text is expected is no text.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import Any

from parley.providers.llm import Tokens
from parley.providers.replies.failures import Nonsense
from parley.providers.replies.token_counts import read_count

THOUGHT_FIELD = "reasoning_content"
"""DeepSeek and Kimi want it back with the calls that it led to."""
_THOUGHTS = (THOUGHT_FIELD, "reasoning", "thinking")
_MOST_DIGITS = 300
_OTHER_CHOICE = re.compile(r"[1-9][0-9]{0,4}(?:\.0)?")
"""An index of a choice that is not the first; the reply is the first alone."""


@dataclass(slots=True)
class ChatChunk:
    """One event of a stream, or a whole answer.

    Attributes:
        text: of the reply; may hold half a surrogate pair, see `SurrogateJoiner`.
        whole: the text is the reply from its start, e.g. of an endpoint that does not stream.
        finish_reason: why the reply ends with it; empty while it goes on.
        thinks: the model thinks, in a field of its own that is left out.
        thought: what it thinks, where the endpoint wants that back with the calls.
        calls: the pieces of tool calls, as they are.
        error: what the endpoint says went wrong.
        has_choices: it is of a reply at all.
        is_odd: it has something else where a reply's choices are.
        tokens: what it says of them.
    """

    text: str = ""
    whole: bool = False
    finish_reason: str = ""
    thinks: bool = False
    thought: str = ""
    calls: list[Any] = field(default_factory=list)
    error: Any = None
    has_choices: bool = False
    is_odd: bool = False
    tokens: Tokens = field(default_factory=Tokens)


def read_chunk(data: str) -> ChatChunk:
    """Read an event's data, or the body of an answer.

    Raises:
        Nonsense: it is neither a JSON object nor an error.
    """
    event = _decode(data)
    error = find_error(event)
    if not isinstance(event, dict):
        if error is None:
            raise Nonsense
        return ChatChunk(error=error)
    chunk = ChatChunk(error=error, tokens=_tokens_of(event))
    choices = event.get("choices")
    if choices is None:
        return chunk
    if isinstance(choices, list):
        chunk.has_choices = not choices
        for choice in choices:
            _read_choice(choice, chunk)
    chunk.is_odd = not chunk.has_choices
    return chunk


def _tokens_of(event: dict[str, Any]) -> Tokens:
    """Return what an event says of tokens. Groq says it in a field of its own."""
    of_groq = event.get("x_groq")
    usage = event.get("usage") or (of_groq.get("usage") if isinstance(of_groq, dict) else None)
    if not isinstance(usage, dict):
        return Tokens()
    return Tokens(
        read_count(usage.get("prompt_tokens")), read_count(usage.get("completion_tokens"))
    )


def read_error(data: str) -> Any:
    """Read the data of an event that is an error: an object, or text."""
    try:
        found = _decode(data)
    except Nonsense:
        return data
    return find_error(found) or found


def find_error(found: Any) -> Any:
    """Find what an answer says went wrong; None if it says nothing of that kind."""
    if isinstance(found, list):  # as Gemini answers
        found = found[0] if found else None
    if not isinstance(found, dict):
        return None
    if found.get("error"):
        return found["error"]
    # The first is vLLM's older shape, the second FastAPI's.
    is_error = found.get("object") == "error" or (found.get("detail") and "choices" not in found)
    return found if is_error else None


def _decode(data: str) -> Any:
    try:
        return _JSON.decode(data.strip().removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        raise Nonsense from None


def _read_choice(choice: Any, chunk: ChatChunk) -> None:
    if not isinstance(choice, dict):
        return
    index = choice.get("index")
    if index and _OTHER_CHOICE.fullmatch(str(index)):
        chunk.has_choices = True
        return
    said = choice.get("delta")
    if said is None and choice.get("message") is not None:
        said, chunk.whole = choice["message"], True
    if isinstance(said, dict):
        content = said.get("content")
        text = _text_of(content)
        # A refusal is what the model has to say to the user, too.
        chunk.text += text or _text_of(said.get("refusal"))
        chunk.thinks = chunk.thinks or any(map(said.get, _THOUGHTS)) or bool(content)
        chunk.thought += _text_of(said.get(THOUGHT_FIELD))
        chunk.calls += _calls_of(said)
        chunk.has_choices = chunk.has_choices or bool(text) or not isinstance(content, dict)
    reason = choice.get("finish_reason")
    if reason and reason != "null":
        chunk.finish_reason = str(reason)
        if reason == "error":
            chunk.error = chunk.error or choice.get("error")
    chunk.has_choices = chunk.has_choices or not said or bool(reason)


def _calls_of(said: dict[str, Any]) -> list[Any]:
    """Return the calls of a delta or a message; the older `function_call` as one of them."""
    calls = said.get("tool_calls")
    if isinstance(calls, list) and calls:
        return calls
    if isinstance(calls, dict) and calls:
        return [calls]
    function = said.get("function_call")
    return [{"function": function}] if function else []


def _text_of(content: Any) -> str:
    """Return the text of a message's content: text, or parts, of which some are text."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(map(_text_of_part, content))
    if isinstance(content, dict):
        return _text_of_part(content)
    if isinstance(content, bool) or not math.isfinite(content):
        return ""
    return str(content)


def _text_of_part(part: Any) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        return ""
    found = part.get("refusal" if part.get("type") == "refusal" else "text")
    is_said = part.get("type", "text") in ("text", "output_text", "refusal")
    return found if is_said and isinstance(found, str) else ""


def _read_integer(digits: str) -> float:
    # Python refuses integers of more than 4,300 digits, and floats end at 309. A call's arguments
    # may have an order number of 20.
    return int(digits) if len(digits) < _MOST_DIGITS else math.inf


_JSON = json.JSONDecoder(parse_int=_read_integer, strict=False)
"""The standard library's: it takes half a surrogate pair and numbers of any size. Not strict: some
endpoints leave control characters in a string as they are."""
