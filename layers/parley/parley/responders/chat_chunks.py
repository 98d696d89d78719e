"""What is read of a chat endpoint's JSON: the reply's text, and how the reply ends.

Endpoints differ in everything that is not read here, so nothing of that can cost a reply:
`usage`, `index`, `logprobs`, numbers of any size. Only what makes no sense where text is
expected is refused.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any

_THOUGHTS = ("reasoning_content", "reasoning", "thinking")
_HALF = re.compile("[\ud800-\udfff]")
_HIGH_HALF_AT_END = re.compile("[\ud800-\udbff]\\Z")


class Nonsense(ValueError):
    """It is not what an endpoint of this protocol sends."""


@dataclass(slots=True)
class ChatChunk:
    """One event of a stream, or a whole answer.

    Attributes:
        text: of the reply; may hold half a surrogate pair, see `SurrogateJoiner`.
        whole: the text is the reply from its start, e.g. of an endpoint that does not stream.
        finish_reason: why the reply ends with it; empty while it goes on.
        thinks: the model thinks, in a field of its own that is left out.
        calls_tool: the model wants a function called.
        error: what the endpoint says went wrong.
        has_choices: it is of a reply at all.
    """

    text: str = ""
    whole: bool = False
    finish_reason: str = ""
    thinks: bool = False
    calls_tool: bool = False
    error: Any = None
    has_choices: bool = False


def read_object(data: str) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        Nonsense: it is none.
    """
    try:
        found = _JSON.decode(data.strip().removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        raise Nonsense from None
    if not isinstance(found, dict):
        raise Nonsense
    return found


def read_chunk(data: str) -> ChatChunk:
    """Read an event's data, or the body of an answer.

    Raises:
        Nonsense: it is no JSON object, or has something else where a reply's text is.
    """
    event = read_object(data)
    chunk = ChatChunk(error=event.get("error") or None)
    choices = event.get("choices")
    if choices is None:
        return chunk
    if not isinstance(choices, list):
        raise Nonsense
    chunk.has_choices = True
    for choice in choices:
        _read_choice(choice, chunk)
    return chunk


def _read_choice(choice: Any, chunk: ChatChunk) -> None:
    if not isinstance(choice, dict):
        raise Nonsense
    said = choice.get("delta")
    if said is None and choice.get("message") is not None:
        said, chunk.whole = choice["message"], True
    if said is not None:
        if not isinstance(said, dict):
            raise Nonsense
        text = _text_of(said.get("content"))
        # A refusal is what the model has to say to the user, too.
        chunk.text += text or _text_of(said.get("refusal"))
        chunk.thinks = chunk.thinks or any(map(said.get, _THOUGHTS)) or bool(said.get("content"))
        calls = said.get("tool_calls") or said.get("function_call")
        chunk.calls_tool = chunk.calls_tool or bool(calls)
    reason = choice.get("finish_reason")
    if reason and reason != "null":
        chunk.finish_reason = str(reason)


def _text_of(content: Any) -> str:
    """The text of a message's content: text, or parts, of which some are text."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(map(_text_of_part, content))
    if isinstance(content, dict) and isinstance(content.get("text"), str):
        return _text_of_part(content)
    raise Nonsense


def _text_of_part(part: Any) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        return ""
    found = part.get("refusal" if part.get("type") == "refusal" else "text")
    is_said = part.get("type", "text") in ("text", "output_text", "refusal")
    return found if is_said and isinstance(found, str) else ""


class SurrogateJoiner:
    """Puts halves of surrogate pairs together that come in two pieces; a half alone is U+FFFD.

    Endpoints that cut a reply by UTF-16 units send an emoji as `\\ud83d` and `\\ude00`.
    """

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """Return the text that is known by now."""
        text, self._held = self._held + text, ""
        if text.isascii() or not _HALF.search(text):
            return text
        if _HIGH_HALF_AT_END.search(text):
            text, self._held = text[:-1], text[-1]
        return _joined(text)

    def flush(self) -> str:
        """Return what was held back."""
        text, self._held = _joined(self._held), ""
        return text


def _joined(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _read_integer(digits: str) -> float:
    # Python refuses integers of more than 4,300 digits, and no number is read but a status.
    return int(digits) if len(digits) < 16 else math.inf


_JSON = json.JSONDecoder(parse_int=_read_integer, strict=False)
"""The standard library's: it takes half a surrogate pair and numbers of any size. Not strict: some
endpoints leave control characters in a string as they are."""
