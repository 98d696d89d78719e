"""From the bytes of an endpoint's answer to the text of a reply: a plain object, without I/O.

It reads a stream of events, and as well the answer of an endpoint that does not stream although
it was asked to.
"""

from __future__ import annotations

from collections.abc import Iterator

from parley.providers.openai_chat.chunks import ChatChunk, read_chunk, read_error
from parley.providers.replies.body import AnswerBody
from parley.providers.replies.event_stream import ServerSentEvent
from parley.providers.replies.failures import BrokenOff, ErrorInAnswer, Nonsense
from parley.providers.replies.surrogates import SurrogateJoiner
from parley.providers.replies.thought_filter import ThoughtFilter
from parley.text.blank import is_blank


class ChatReply:
    """Reads one answer. `feed` and `close` yield pieces of the reply; an empty piece says that
    the model is at work and has no words yet.

    Attributes:
        finished: the reply has ended, whatever may still come.
        done: nothing more will come.
        finish_reason: why it ended, in the endpoint's words; empty if it did not say.
        calls_tool: the model wanted a function called.
        shows_something: something of the reply can be read.
    """

    def __init__(self) -> None:
        self.finished = False
        self.done = False
        self.finish_reason = ""
        self.calls_tool = False
        self.shows_something = False
        self._body = AnswerBody()
        self._joiner = SurrogateJoiner()
        self._thoughts = ThoughtFilter()
        self._has_text = False
        self._makes_sense = False
        self._is_odd = False

    def feed(self, chunk: bytes) -> Iterator[str]:
        """Yield what of the reply ends in this chunk.

        Raises:
            Nonsense: it is no answer of such an endpoint; of a stream that is known at its end.
            ErrorInAnswer: see there.
        """
        if self.done:
            return
        for event in self._body.feed(chunk):
            yield from self._take_event(event)
            if self.done:
                return

    def close(self) -> Iterator[str]:
        """Yield the rest, at the end of the answer.

        Raises:
            Nonsense, ErrorInAnswer: as `feed`.
            BrokenOff: see there.
        """
        if (document := self._body.document) is not None:
            yield from self._take(_checked(read_chunk(document)))
            self.finished = True
        elif not self.done:
            for event in self._body.close():
                # Half an object is no nonsense, but the end of a connection.
                was_odd = self._is_odd or not event.data.lstrip().startswith("{")
                yield from self._take_event(event)
                self._is_odd = self._is_odd and was_odd
        if not self._makes_sense and (self._is_odd or self._body.is_something_else):
            raise Nonsense
        if not self.finished:
            raise BrokenOff
        yield from self._show(self._thoughts.feed(self._joiner.flush()) + self._thoughts.flush())

    def _take_event(self, event: ServerSentEvent) -> Iterator[str]:
        try:
            if event.kind == "error":
                raise ErrorInAnswer(read_error(event.data))
            yield from self._take_data(event)
        except ErrorInAnswer:
            if not self.finished:
                raise
            self.done = True  # what comes after the reply cannot cost it

    def _take_data(self, event: ServerSentEvent) -> Iterator[str]:
        data = event.data
        if data.strip() == "[DONE]":
            self.finished = self.done = True
            return
        try:
            chunk = read_chunk(data)
        except Nonsense:
            # Endpoints that leave out the blank line between two events: each line is one.
            lines = [line for line in data.split("\n") if line.strip()]
            if len(lines) < 2:
                # It costs no reply, which may have begun: endpoints, and proxies before them,
                # send signs of life of their own. Whether anything made sense shows at the end.
                self._is_odd = self._is_odd or event.kind == "message"
                return
            for line in lines:
                if not self.done:
                    yield from self._take_data(event._replace(data=line))
            return
        yield from self._take(chunk)

    def _take(self, chunk: ChatChunk) -> Iterator[str]:
        if chunk.error is not None or chunk.finish_reason == "error":
            raise ErrorInAnswer(chunk.error)
        self._makes_sense = self._makes_sense or chunk.has_choices
        self._is_odd = self._is_odd or chunk.is_odd
        self.calls_tool = self.calls_tool or chunk.calls_tool
        if chunk.text and not (chunk.whole and self._has_text):  # it has come bit by bit
            self._has_text = True
            yield from self._show(self._thoughts.feed(self._joiner.feed(chunk.text)))
        elif chunk.thinks:
            yield ""
        if chunk.finish_reason:
            self.finished, self.finish_reason = True, chunk.finish_reason

    def _show(self, text: str) -> Iterator[str]:
        if text:
            self.shows_something = self.shows_something or not is_blank(text)
            yield text
        elif self._thoughts.thinks:
            yield ""


def _checked(chunk: ChatChunk) -> ChatChunk:
    """Return a whole answer. Raise `Nonsense` if it has neither a reply nor an error."""
    if chunk.error is None and not chunk.has_choices:
        raise Nonsense
    return chunk
