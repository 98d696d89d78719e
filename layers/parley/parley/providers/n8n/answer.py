"""From the bytes of n8n's answer to the text of the reply: a plain object, without I/O.

How a workflow answers is set in its trigger, and neither the status nor the Content-Type says
which way it is: the answer's beginning does.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Any, Literal

from parley.providers.n8n.bad_answer import BadAnswer
from parley.providers.n8n.fields import (
    find_text,
    has_error,
    name_fields,
    names_reply,
    parse_json,
)
from parley.providers.n8n.streamed_reply import StreamedReply, is_chunk
from parley.providers.replies.thought_filter import ThoughtFilter
from parley.text.blank import is_blank

MAX_BYTES = 4 * 1024 * 1024
"""A reply has some thousand bytes; an answer without an end must not fill the memory."""

_BEFORE_TEXT = b"\xef\xbb\xbf \t\r\n"
_PAGE = (b"<!doctype", b"<html", b"<?xml")
_LONGEST_PAGE = max(map(len, _PAGE))
_STARTED = ("Workflow was started", "Webhook call received")
_NO_DATA = (
    "Workflow executed successfully but no data was returned",
    "Workflow executed successfully but the last node did not return any data",
)

_Shape = Literal["lines", "whole", "text"]


class WorkflowAnswer:
    """Reads one answer.

    Args:
        content_type: of the answer.
        has_length: the answer said how long it is. One that streams cannot.

    Attributes:
        shows_something: something of the reply can be read.
    """

    def __init__(self, content_type: str, *, has_length: bool) -> None:
        self.shows_something = False
        self._type = content_type.partition(";")[0].strip().lower()
        self._has_length = has_length
        self._shape: _Shape | None = None
        self._rest = bytearray()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._thoughts = ThoughtFilter()
        self._reply = StreamedReply()

    def feed(self, chunk: bytes) -> Iterator[str]:
        """Yield what of the reply ends in this chunk.

        Raises:
            BadAnswer: see there.
        """
        self._rest += chunk
        if self._shape is None:
            del self._rest[: len(self._rest) - len(self._rest.lstrip(_BEFORE_TEXT))]
            self._shape = self._find_shape(bytes(self._rest))
        if self._shape == "text":
            text = self._decoder.decode(self._take_rest())
            yield from self._show(self._thoughts.feed(text))
        elif self._shape == "lines":
            *lines, self._rest = self._rest.split(b"\n")
            for line in lines:
                yield from self._take_line(line)
        if len(self._rest) > MAX_BYTES:
            raise BadAnswer("no_protocol", "invalid")

    def close(self) -> Iterator[str]:
        """Yield the rest, at the end of the answer.

        Raises:
            BadAnswer: see there.
        """
        if self._shape is None:
            self._shape = self._find_shape(bytes(self._rest) + b"\n", ends=True)
            yield from self.feed(b"")
        if self._shape == "lines":
            yield from self._take_line(self._take_rest())
            for text in self._reply.close():
                yield from self._show(text)
            if self._reply.is_failed:
                raise BadAnswer("workflow_failed", "unavailable")
        elif self._shape == "whole":
            yield from self._show_text(self._read_whole(self._take_rest()))
        else:
            yield from self._show_text(self._decoder.decode(b"", final=True))
        if not self.shows_something:
            raise BadAnswer("empty", "empty")

    def _find_shape(self, start: bytes, *, ends: bool = False) -> _Shape | None:
        """Return what the answer is; None while its beginning does not say so.

        Args:
            ends: nothing more will come.
        """
        if not start.strip():
            if ends:
                reason = "no_data" if self._has_length else "streams_nothing"
                raise BadAnswer(reason, "refused")
            return None
        if not self._type.startswith("text/") and "json" not in self._type and self._type:
            raise BadAnswer("file", "refused")
        if start[:1] == b"<":
            if start[:_LONGEST_PAGE].lower().startswith(_PAGE):
                raise BadAnswer("page", "refused")
            return "text" if ends or len(start) >= _LONGEST_PAGE else None
        if start[:1] == b"{":
            line, end, _ = start.partition(b"\n")
            return ("lines" if is_chunk(_parsed(line)) else "whole") if end else None
        if start[:1] in (b"[", b'"'):
            return "whole"
        return "lines" if "json" in self._type else "text"

    def _take_line(self, line: bytes | bytearray) -> Iterator[str]:
        for text in self._reply.take(line.decode(errors="replace")):
            yield from self._show(text)

    def _read_whole(self, body: bytes) -> str:
        found = _parsed(body)
        if found is None:
            if body.startswith(b"{"):
                raise BadAnswer("no_protocol", "invalid")
            return body.decode(errors="replace")  # text that begins like JSON, e.g. in quotes
        _refuse_notice(found)
        text = find_text(found)
        if is_blank(text):
            if has_error(found):
                raise BadAnswer("workflow_failed", "unavailable")
            if found in ([], {}, [{}]):
                raise BadAnswer("no_data", "refused")
            if not names_reply(found):
                raise BadAnswer("no_text", "invalid", name_fields(found))
        return text

    def _show_text(self, text: str) -> Iterator[str]:
        """Yield the last of what is not streamed by lines."""
        yield from self._show(self._thoughts.feed(text) + self._thoughts.flush())

    def _show(self, text: str) -> Iterator[str]:
        if text:
            self.shows_something = self.shows_something or not is_blank(text)
            yield text

    def _take_rest(self) -> bytes:
        rest = bytes(self._rest)
        self._rest.clear()
        return rest


def _parsed(text: bytes) -> Any:
    """Return what JSON says; None if it is none."""
    try:
        return parse_json(text.decode(errors="replace"))
    except ValueError:
        return None


def _refuse_notice(found: Any) -> None:
    """Refuse what n8n says of the workflow in place of an answer.

    Raises:
        BadAnswer: see there.
    """
    if not isinstance(found, dict):
        return
    if found.get("executionStarted") is True and "executionId" in found:
        raise BadAnswer("hosted_chat", "refused")
    if list(found) == ["message"]:
        if found["message"] in _STARTED:
            raise BadAnswer("starts_only", "refused")
        if found["message"] in _NO_DATA:
            raise BadAnswer("no_data", "refused")
