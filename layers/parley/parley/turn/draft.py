"""A reply that is held back: written and spoken, but neither seen nor heard until it is wanted.

What it says goes into an outbox that nobody posts, and its tools wait. It leaves nothing behind
when it is cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from parley.protocol.messages import AudioFormat
from parley.protocol.tool_rounds import ToolCalls
from parley.providers.llm import Prompt
from parley.turn.output.latency import TurnLatency
from parley.turn.output.outbox import Outbox
from parley.turn.stages.reply import ReplyStage, RoundRunner


class MakeReply(Protocol):
    """Makes the reply of a draft."""

    def __call__(self, draft: Draft, outbox: Outbox, latency: TurnLatency) -> ReplyStage:
        """Return a reply that puts what it says into `outbox`."""


class Draft:
    """One reply, from the opening of its voice to the moment when it is wanted.

    Args:
        make_reply: makes its reply.

    Attributes:
        is_asked: whether its responder has been asked.
        is_wanted: whether it is the turn's reply.
        may_act: set when its tools may be called.
        speech: speaks it.
        writing: writes it; None until that begins.
    """

    def __init__(self, turn_id: str, audio_format: AudioFormat, make_reply: MakeReply) -> None:
        self.is_asked = False
        self.is_wanted = False
        self.may_act = asyncio.Event()
        self.reply = make_reply(self, Outbox(turn_id, audio_format), TurnLatency())
        self.speech: asyncio.Task[None] | None = None
        self.writing: asyncio.Task[None] | None = None

    @property
    def error(self) -> BaseException | None:
        """Why its responder has given no whole reply; None if it has, or still may."""
        writing = self.writing
        if writing is None or not writing.done() or writing.cancelled():
            return None
        return writing.exception()

    def release(
        self, outbox: Outbox, latency: TurnLatency, on_change: Callable[[], None], at_s: float
    ) -> None:
        """Let what it has said be seen and heard, and what it says from now on.

        Args:
            at_s: since when it is wanted.
        """
        self.is_wanted = True
        self.reply.release(outbox, latency, on_change, at_s)

    def cancel(self) -> None:
        """Let it end, without waiting for that."""
        self.reply.give_up()
        for task in (self.speech, self.writing):
            if task is not None:
                task.cancel()


class HeldRounds:
    """The tools of a draft: nothing is planned, recorded or called until they may act."""

    def __init__(self, tools: RoundRunner, may_act: asyncio.Event) -> None:
        self._tools = tools
        self._may_act = may_act

    def prompt(self, prompt: Prompt) -> Prompt:
        """Return the prompt of the next round."""
        return self._tools.prompt(prompt)

    def expects_more(self, request: ToolCalls, text: str) -> bool:
        """Return whether something will be said after the calls of a round, unless they fail."""
        return self._tools.expects_more(request, text)

    async def run(self, request: ToolCalls, text: str) -> bool:
        """Run the calls of a round; return whether the model is to be asked again."""
        await self._may_act.wait()
        return await self._tools.run(request, text)
