"""From the bytes of an endpoint's answer to the text of a reply: a plain object, without I/O.

It reads a stream of events, and as well the answer of an endpoint that does not stream although
it was asked to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from parley.protocol.tool_rounds import ToolCalls
from parley.providers.llm import Tokens
from parley.providers.openai_chat.chunks import (
    THOUGHT_FIELD,
    ChatChunk,
    read_chunk,
    read_error,
)
from parley.providers.openai_chat.tool_calls import ToolCallAssembler
from parley.providers.replies.body import AnswerBody
from parley.providers.replies.event_stream import ServerSentEvent
from parley.providers.replies.failures import (
    BadCall,
    BrokenOff,
    ErrorInAnswer,
    Nonsense,
    failure_of,
)
from parley.providers.replies.reply_text import ReplyText

MAX_THOUGHT_CHARS = 50_000
"""Of a thought that is kept with calls: the record of a round has 400 KB at most (DynamoDB)."""
_CUTS = ("length", "content_filter")
"""Ends at which a call may not be whole."""


class ChatReply:
    """Reads one answer. `feed` and `close` yield pieces of the reply; an empty piece says that
    the model is at work and has no words yet.

    Args:
        tools: the names of the tools that are offered; without any, calls are only noted.
        may_call: whether they may be called now. Calls that come all the same are left out.
        model: who answers.

    Attributes:
        finished: the reply has ended, whatever may still come.
        done: nothing more will come.
        finish_reason: why it ended, in the endpoint's words; empty if it did not say.
        calls_tool: the model wanted a function called.
        tokens: what it has said of tokens by now.
    """

    def __init__(
        self, tools: Sequence[str] = (), *, may_call: bool = True, model: str = ""
    ) -> None:
        self.finished = False
        self.done = False
        self.finish_reason = ""
        self.calls_tool = False
        self.tokens = Tokens()
        self._body = AnswerBody()
        self._text = ReplyText(tools)
        self._has_tools = bool(tools)
        self._may_call = bool(tools) and may_call
        self._model = model
        self._calls = ToolCallAssembler()
        self._thought = ""
        self._has_text = False
        self._makes_sense = False
        self._is_odd = False

    @property
    def shows_something(self) -> bool:
        """Something of the reply can be read."""
        return self._text.shows_something

    @property
    def tool_calls(self) -> ToolCalls | None:
        """The calls that it ends with, once it has ended; None if there are none to run."""
        if not self._may_call or not self.finished or self.is_cut_call:
            return None
        calls = self._calls.finish()
        extra = {THOUGHT_FIELD: self._thought} if self._thought else {}
        return ToolCalls(calls, extra, self._model) if calls else None

    @property
    def calls_unknown_tool(self) -> bool:
        """The model wanted a function called, and was offered none."""
        ends_so = self.finish_reason in ("tool_calls", "function_call")
        return not self._has_tools and (self.calls_tool or ends_so)

    @property
    def is_cut_call(self) -> bool:
        """It ended, by a limit or a filter, with calls in it: they may not be whole."""
        return self._may_call and self.calls_tool and self.finish_reason in _CUTS

    def feed(self, chunk: bytes) -> Iterator[str]:
        """Yield what of the reply ends in this chunk.

        Raises:
            Nonsense: it is no answer of such an endpoint; of a stream that is known at its end.
            ErrorInAnswer, BadCall: see there.
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
            Nonsense, ErrorInAnswer, BadCall: as `feed`.
            BrokenOff, LeakedCall: see there.
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
        yield from self._text.close(calls_tool=self.calls_tool)

    def _take_event(self, event: ServerSentEvent) -> Iterator[str]:
        try:
            if event.kind == "error":
                raise self._failure(read_error(event.data))
            yield from self._take_data(event)
        except (ErrorInAnswer, BadCall):
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
            raise self._failure(chunk.error)
        if chunk.tokens.input is not None:  # some tell it with every event: the last one counts
            self.tokens = chunk.tokens
        self._makes_sense = self._makes_sense or chunk.has_choices
        self._is_odd = self._is_odd or chunk.is_odd
        if chunk.text and not (chunk.whole and self._has_text):  # it has come bit by bit
            self._has_text = True
            yield from self._text.feed(chunk.text)
        elif chunk.thinks or chunk.calls:
            yield ""
        self._thought = (self._thought + chunk.thought)[:MAX_THOUGHT_CHARS]
        self._take_calls(chunk)
        if chunk.finish_reason:
            self.finished, self.finish_reason = True, chunk.finish_reason

    def _take_calls(self, chunk: ChatChunk) -> None:
        if not chunk.calls:
            return
        if not (chunk.whole and self.calls_tool):  # they have come bit by bit
            self._calls.feed(chunk.calls)
        self.calls_tool = True
        self._text.mute()

    def _failure(self, error: Any) -> Exception:
        return failure_of(error, has_tools=self._has_tools)


def _checked(chunk: ChatChunk) -> ChatChunk:
    """Return a whole answer. Raise `Nonsense` if it has neither a reply nor an error."""
    if chunk.error is None and not chunk.has_choices:
        raise Nonsense
    return chunk
