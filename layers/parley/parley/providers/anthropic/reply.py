"""From the bytes of an answer of the Messages API to the text of a reply: a plain object, without
I/O.

What an event is, its data say: Anthropic names each event in a line of its own too, others that
speak the protocol do not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from parley.protocol.tool_rounds import ToolCalls
from parley.providers.anthropic.blocks import MessageBlocks
from parley.providers.llm import Tokens
from parley.providers.replies.body import AnswerBody
from parley.providers.replies.event_stream import ServerSentEvent
from parley.providers.replies.failures import (
    BrokenOff,
    ErrorInAnswer,
    Nonsense,
    failure_of,
)
from parley.providers.replies.reply_text import ReplyText
from parley.providers.replies.token_counts import read_count

_KINDS = frozenset(
    (
        *("message_start", "message_delta", "message_stop", "ping", "error"),
        *("content_block_start", "content_block_delta", "content_block_stop"),
    )
)
_READ = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
"""What a prompt has: `input_tokens` alone are those that no cache had ("Prompt caching")."""
_CUTS = ("max_tokens", "refusal", "model_context_window_exceeded")
"""Ends at which a call may not be whole."""


class MessagesReply:
    """Reads one answer. `feed` and `close` yield pieces of the reply; an empty piece says that the
    model is at work and has no words yet.

    Args:
        tools: the names of the tools that are offered; without any, calls are only noted.
        may_call: whether they may be called now. Calls that come all the same are left out.
        model: who answers.

    Attributes:
        finished: the reply has ended, whatever may still come.
        stop_reason: why it ended, in the endpoint's words; empty if it did not say.
        tokens: what it has said of tokens by now.
    """

    def __init__(
        self, tools: Sequence[str] = (), *, may_call: bool = True, model: str = ""
    ) -> None:
        self._has_tools = bool(tools)
        self._may_call = bool(tools) and may_call
        self._model = model
        self._blocks = MessageBlocks()
        self.finished = False
        self.stop_reason = ""
        self.tokens = Tokens()
        self._body = AnswerBody()
        self._text = ReplyText(tools)
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
        return self._blocks.finish(self._model)

    @property
    def is_cut_call(self) -> bool:
        """It ended, by a limit or a filter, with calls in it: they may not be whole."""
        return self._may_call and self._blocks.calls_tool and self.stop_reason in _CUTS

    @property
    def calls_unknown_tool(self) -> bool:
        """The model wanted a function called, and was offered none."""
        ends_so = self.stop_reason in ("tool_use", "pause_turn")
        return not self._has_tools and (self._blocks.calls_tool or ends_so)

    def feed(self, chunk: bytes) -> Iterator[str]:
        """Yield what of the reply ends in this chunk.

        Raises:
            Nonsense: it is no answer of such an endpoint; of a stream that is known at its end.
            ErrorInAnswer, BadCall: see there.
        """
        for event in self._body.feed(chunk):
            yield from self._take_event(event)

    def close(self) -> Iterator[str]:
        """Yield the rest, at the end of the answer.

        Raises:
            Nonsense, ErrorInAnswer, BadCall: as `feed`.
            BrokenOff, LeakedCall: see there.
        """
        if (document := self._body.document) is not None:
            yield from self._take_whole(_decode(document))
        for event in self._body.close():
            yield from self._take_event(event)
        if not self._makes_sense and (self._is_odd or self._body.is_something_else):
            raise Nonsense
        if not self.finished:
            raise BrokenOff
        yield from self._text.close(calls_tool=self._blocks.calls_tool)

    def _take_event(self, event: ServerSentEvent) -> Iterator[str]:
        if self.finished:  # what comes after the reply cannot cost it
            return
        data = _decode(event.data)
        kind = _text(data.get("type"))
        self._makes_sense = self._makes_sense or kind in _KINDS
        self._is_odd = self._is_odd or not kind
        if kind == "error" or (event.kind == "error" and not kind):
            raise failure_of(data.get("error") or data, has_tools=self._has_tools)
        if kind == "content_block_delta":
            yield from self._take_delta(data.get("index"), _object(data.get("delta")))
        elif kind == "content_block_start":
            yield from self._take_block(data.get("index"), _object(data.get("content_block")))
        elif kind == "message_start":
            self._count(_object(data.get("message")).get("usage"), begins=True)
        elif kind == "message_delta":
            self._count(data.get("usage"))
            self.stop_reason = _text(_object(data.get("delta")).get("stop_reason"))
        elif kind == "message_stop":
            self.finished = True
        elif kind == "ping":
            yield ""

    def _take_delta(self, index: Any, delta: dict[str, Any]) -> Iterator[str]:
        self._blocks.go_on(index, delta)
        if delta.get("type") == "text_delta":
            yield from self._say(_text(delta.get("text")))
        else:  # of a thought, its signature, or the arguments of a function
            yield ""

    def _take_block(self, index: Any, block: dict[str, Any]) -> Iterator[str]:
        self._blocks.begin(index, block)
        if block.get("type") == "text":
            yield from self._say(_text(block.get("text")))
            return
        if self._blocks.calls_tool:
            self._text.mute()
        yield ""

    def _take_whole(self, message: dict[str, Any]) -> Iterator[str]:
        """Take the answer of an endpoint that does not stream although it was asked to."""
        if message.get("type") == "error":
            raise ErrorInAnswer(message.get("error") or message)
        content = message.get("content")
        if message.get("type") != "message" or not isinstance(content, list):
            raise Nonsense
        for index, block in enumerate(content):
            yield from self._take_block(index, _object(block))
        self._count(message.get("usage"))
        self.stop_reason = _text(message.get("stop_reason"))
        self.finished = True

    def _count(self, usage: Any, *, begins: bool = False) -> None:
        """Note what an event says of tokens: sums so far.

        Args:
            begins: whether the answer begins with it: nothing of it has been written then.
        """
        said = _object(usage)
        read = [read_count(said.get(name)) for name in _READ]
        if read[0] is not None:
            self.tokens.input = max(self.tokens.input or 0, sum(count or 0 for count in read))
        if not begins and (written := read_count(said.get("output_tokens"))) is not None:
            self.tokens.output = written

    def _say(self, text: str) -> Iterator[str]:
        if text:
            yield from self._text.feed(text)


def _decode(data: str) -> dict[str, Any]:
    """Return a JSON object; an empty one for anything else, which is a sign of life at most."""
    try:
        return _object(json.loads(data, strict=False))
    except (ValueError, RecursionError):
        return {}


def _object(found: Any) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


def _text(found: Any) -> str:
    return found if isinstance(found, str) else ""
