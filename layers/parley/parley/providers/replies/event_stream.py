"""Server-sent events out of bytes, as the WHATWG's standard has them ("Server-sent events", 9.2.6).

A plain object: bytes in, events out, however the network cut the bytes. It departs from the
standard in two places, both marked, where chat endpoints do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

MAX_EVENT_BYTES = 4 * 1024 * 1024
"""An event of a chat has some hundred bytes; a stream without an end of line must not fill the
memory."""

_LINE_END = re.compile(rb"\r\n|\r|\n")
_BOM = b"\xef\xbb\xbf"


class EventTooLarge(ValueError):
    """An event has more than `MAX_EVENT_BYTES`."""


class ServerSentEvent(NamedTuple):
    """One event.

    Attributes:
        kind: its `event` field; `message` if it has none.
        data: its `data` lines, joined with LF.
    """

    kind: str
    data: str


_FIELDS = ("data", "event", "error", "id", "retry")


class EventStreamParser:
    """Reads one stream.

    Args:
        last_event_id: of the stream that this one goes on from.

    Attributes:
        is_something_else: no event has come, but lines that are none of such a stream.
        last_event_id: of the last event that is whole; who reconnects goes on after it.
        retry_ms: how long to wait before that; None if the server does not say.
    """

    def __init__(self, last_event_id: str = "") -> None:
        self.is_something_else = False
        self.last_event_id = last_event_id
        self.retry_ms: int | None = None
        self._event_id = last_event_id
        self._has_event = False
        self._rest = bytearray()
        self._after_cr = False
        self._begun = False
        self._kind = ""
        self._data: list[str] = []
        self._data_chars = 0

    def feed(self, chunk: bytes) -> Iterator[ServerSentEvent]:
        """Yield the events that end with this chunk.

        Raises:
            EventTooLarge: see there.
        """
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")  # CR LF is one end of line, also over two chunks
            self._after_cr = False
        self._after_cr = self._after_cr or chunk.endswith(b"\r")
        *lines, rest = _LINE_END.split(chunk)
        for line in lines:
            whole, self._rest = bytes(self._rest) + line, bytearray()
            if (event := self._take_line(whole)) is not None:
                yield event
        self._rest += rest
        if len(self._rest) + self._data_chars > MAX_EVENT_BYTES:
            raise EventTooLarge

    def close(self) -> Iterator[ServerSentEvent]:
        """Yield the event that the stream ended in.

        The standard drops it; endpoints leave out the blank line after their last one.
        """
        if self._rest:
            line = bytes(self._rest)
            self._take_line(line)
            if any(name.encode().startswith(line) for name in _FIELDS):  # cut off within its name
                self.is_something_else = False
        if (event := self._dispatch()) is not None:
            yield event

    def _take_line(self, raw: bytes) -> ServerSentEvent | None:
        if not self._begun:
            raw, self._begun = raw.removeprefix(_BOM), True
        if not raw:
            return self._dispatch()
        name, _, value = raw.decode(errors="replace").partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._add_data(value)
        elif name == "event":
            self._kind = value
        elif name == "error":
            # No field of the standard: llama.cpp tells so what broke in mid-stream.
            self._kind = "error"
            self._add_data(value)
        elif name == "id" and "\0" not in value:
            self._event_id = value
        elif name == "retry" and re.fullmatch("[0-9]{1,9}", value):
            self.retry_ms = int(value)
        elif name and name not in _FIELDS:
            self.is_something_else = not self._has_event
        return None  # a comment has no name

    def _add_data(self, value: str) -> None:
        self._data.append(value)
        self._data_chars += len(value)

    def _dispatch(self) -> ServerSentEvent | None:
        self.last_event_id = self._event_id
        event = ServerSentEvent(self._kind or "message", "\n".join(self._data))
        self._kind, self._data, self._data_chars = "", [], 0
        if not event.data:
            return None
        self._has_event, self.is_something_else = True, False
        return event
