"""One turn of a conversation: its events as they come, and the reply at its end.

A `Turn` is made by `Conversation.say` and `Conversation.speak`. It keeps its
events, so that it can be iterated from the start at any time, and awaited too.
It sends nothing itself: what it needs sent goes through the conversation.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import TypeAlias

from parley_client.errors import AnswerTimeout, EventGap, ParleyClientError, ServerError, TurnFailed
from parley_client.messages import Error, Transcript, TurnEnd, TurnEvent
from parley_client.ordering import EventOrder
from parley_client.reply import Reply, ReplyBuilder

Interrupt: TypeAlias = Callable[["Turn", float | None], Awaitable[None]]


class Turn:
    """A running or finished turn.

    Await it for the `Reply`; iterate over it (`async for event in turn`) for its
    events, in order and each once. Both raise what kept the turn from its end;
    a turn that ended as `failed` raises `TurnFailed` when awaited.

    Attributes:
        turn_id: names the turn.
        spoken: whether the utterance is audio.
    """

    def __init__(
        self,
        turn_id: str,
        *,
        spoken: bool,
        interrupt: Interrupt,
        gap_timeout_s: float,
        answer_timeout_s: float | None,
    ) -> None:
        self.turn_id = turn_id
        self.spoken = spoken
        self._interrupt = interrupt
        self._gap_timeout_s = gap_timeout_s
        self._answer_timeout_s = answer_timeout_s
        self._loop = asyncio.get_running_loop()
        self._order: EventOrder[TurnEvent] = EventOrder()
        self._builder = ReplyBuilder(turn_id)
        self._events: list[TurnEvent] = []
        self._failure: Exception | None = None
        self._changed = asyncio.Event()
        self._finished = asyncio.Event()
        self._utterance_over = asyncio.Event()
        self._watchdog: asyncio.TimerHandle | None = None
        self._last_stray_error: Error | None = None

    # --- for the caller ---------------------------------------------------------

    def __await__(self) -> Generator[object, None, Reply]:
        return self._result().__await__()

    async def _result(self) -> Reply:
        await self._finished.wait()
        if self._failure is not None:
            raise self._failure
        reply = self.so_far
        if reply.reason == "failed":
            raise TurnFailed(self._reason_of_failure(reply), reply)
        return reply

    async def __aiter__(self) -> AsyncIterator[TurnEvent]:
        index = 0
        while True:
            while index < len(self._events):
                yield self._events[index]
                index += 1
            if self._finished.is_set():
                break
            await self._changed.wait()
        if self._failure is not None:
            raise self._failure

    @property
    def done(self) -> bool:
        """Whether the turn has ended, one way or the other."""
        return self._finished.is_set()

    @property
    def so_far(self) -> Reply:
        """The reply as far as it has come."""
        return self._builder.build()

    @property
    def received_seq(self) -> int:
        """Every event up to this number has arrived."""
        return self._order.delivered

    @property
    def played_ms(self) -> float:
        """How much of the reply would have been heard by now, were it played as it came."""
        return self._builder.playback.played_ms(self._loop.time())

    async def interrupt(self, played_ms: float | None = None) -> None:
        """Stop the reply.

        Args:
            played_ms: how much of its audio has really been heard; None assumes
                that it was played as it came.
        """
        await self._interrupt(self, played_ms)

    # --- for the conversation ---------------------------------------------------

    @property
    def started(self) -> bool:
        """Whether the server has sent anything of it."""
        return self._order.delivered > 0

    @property
    def utterance_over(self) -> asyncio.Event:
        """Set when more audio is of no use: a final transcript has come, or the end."""
        return self._utterance_over

    def utterance_ended(self) -> None:
        """The end of the utterance is about to be sent: the client's clock starts."""
        self._builder.utterance_ended(self._loop.time())
        self._watch()

    def receive(self, event: TurnEvent) -> list[TurnEvent]:
        """Take an event from the server; returns what it made deliverable."""
        if self.done:
            return []
        ordered = self._order.accept(event)
        for each in ordered:
            self._deliver(each)
        if not self.done:
            self._watch()
        return ordered

    def refuse(self, error: Error) -> None:
        """The server answered a message of this turn with an unnumbered error.

        It ends a turn that hasn't started; a running turn goes on.
        """
        if self.done:
            return
        self._events.append(error)
        self._builder.errors.append(error)
        mendable = error.code == "audio_gap" or _is_about_one_message(error)
        if self.started or mendable:
            self._notify()
        else:
            self.fail(ServerError(error))

    def stray_error(self, error: Error) -> None:
        """An error that may or may not be about this turn: told if no answer comes."""
        self._last_stray_error = error

    def fail(self, failure: Exception) -> None:
        """Nothing more will come, because of `failure`."""
        if not self.done:
            self._failure = failure
            self._finish()

    # --- inside -----------------------------------------------------------------

    def _deliver(self, event: TurnEvent) -> None:
        if self.done:
            return
        try:
            self._builder.add(event, self._loop.time())
        except ParleyClientError as violation:
            self.fail(violation)
            return
        self._events.append(event)
        if isinstance(event, Transcript) and event.final:
            self._utterance_over.set()
        if isinstance(event, TurnEnd):
            self._finish()
        else:
            self._notify()

    def _finish(self) -> None:
        self._finished.set()
        self._utterance_over.set()
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _watch(self) -> None:
        """(Re)start the clock that runs while something is being waited for."""
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None
        if self._order.missing:
            self._watchdog = self._loop.call_later(self._gap_timeout_s, self._give_up_gap)
        elif self._builder.uttered and self._answer_timeout_s is not None:
            self._watchdog = self._loop.call_later(self._answer_timeout_s, self._give_up_waiting)

    def _give_up_gap(self) -> None:
        self.fail(EventGap(self.turn_id, self._order.missing))

    def _give_up_waiting(self) -> None:
        sentence = f"Nothing came from the server for {self._answer_timeout_s:g} s. Ask again."
        if self._last_stray_error is not None:
            sentence += f" It had said: {self._last_stray_error.message}"
        self.fail(AnswerTimeout(sentence))

    def _reason_of_failure(self, reply: Reply) -> Error:
        # what a turn survives, or a message that was refused, is not why it failed
        fatal = [e for e in reply.errors if e.seq is not None and e.code != "speech_failed"]
        if reply.errors:
            return (fatal or reply.errors)[-1]
        return Error("internal", "The turn failed, and the server didn't say why.", retryable=True)


def _is_about_one_message(error: Error) -> bool:
    """Whether the error is about a message that the turn can do without, or whose
    loss the server reports as `audio_gap`."""
    kind = (error.field or "").partition(".")[0]
    return kind in ("interrupt", "ack", "audio_chunk")
