"""The bytes of an answer: a stream of events, or one JSON document of an endpoint that does not
stream although it was asked to. A plain object, without I/O.
"""

from __future__ import annotations

from collections.abc import Iterator

from parley.providers.replies.event_stream import (
    MAX_EVENT_BYTES,
    EventStreamParser,
    EventTooLarge,
    ServerSentEvent,
)
from parley.providers.replies.failures import Nonsense

_BEFORE_JSON = b"\xef\xbb\xbf \t\r\n"


class AnswerBody:
    """Reads one answer. Its beginning says which of the two it is, whatever its Content-Type."""

    def __init__(self) -> None:
        self._is_json: bool | None = None
        self._bytes = bytearray()
        self._events = EventStreamParser()

    @property
    def document(self) -> str | None:
        """What has come of the JSON document; None of a stream."""
        return self._bytes.decode(errors="replace") if self._is_json else None

    @property
    def is_something_else(self) -> bool:
        """No event has come, but lines that are none of a stream."""
        return self._events.is_something_else

    def feed(self, chunk: bytes) -> Iterator[ServerSentEvent]:
        """Yield the events that end with this chunk.

        Raises:
            Nonsense: it is a page, or more than an answer has.
        """
        if self._is_json is None:
            self._bytes += chunk
            start = bytes(self._bytes).lstrip(_BEFORE_JSON)
            if not start:
                return
            if start.startswith(b"<"):  # a page, with whichever type
                raise Nonsense
            # No line of a stream of events begins so.
            self._is_json = start[:1] in (b"{", b"[")
            chunk = bytes(self._bytes)
            self._bytes.clear()
        if self._is_json:
            self._bytes += chunk
            if len(self._bytes) > MAX_EVENT_BYTES:
                raise Nonsense
            return
        try:
            yield from self._events.feed(chunk)
        except EventTooLarge:
            raise Nonsense from None

    def close(self) -> Iterator[ServerSentEvent]:
        """Yield the event that a stream ended in."""
        yield from self._events.close()
