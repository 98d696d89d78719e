"""One turn of a conversation: its events as they come, and the reply at its end.

A `Turn` is made by `Conversation.say` and `Conversation.speak`, or when the agent begins
one. It keeps its events, so that it can be iterated from the start at any time, and awaited
too. It sends nothing itself: what it needs sent goes through its owner.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator
from dataclasses import replace
from typing import Protocol

from parley_client.errors import AnswerTimeout, EventGap, ParleyClientError, TurnFailed
from parley_client.event_order import TurnOrder
from parley_client.events import Restarted, TurnEvent, message_type_of
from parley_client.messages import AgentTurn, AgentTurnCause, Error, Transcript, TurnEnd
from parley_client.options import Timeouts
from parley_client.reply import Reply
from parley_client.reply_builder import ReplyBuilder
from parley_client.utterance import Utterance


class Owner(Protocol):
    """Who sends for a turn."""

    @property
    def connected(self) -> bool:
        """Whether events can come: only then is it time that passes."""

    async def interrupt(self, turn: Turn, played_ms: float | None) -> None:
        """Stop the reply."""

    def retry(self, turn: Turn) -> None:
        """Send the turn once more."""

    def on_gap(self, turn: Turn) -> bool:
        """Events are missing; whether they can be had by coming back."""

    def on_finished(self, turn: Turn) -> None:
        """It has ended, one way or the other."""


class Turn:
    """A running or finished turn.

    Await it for the `Reply`. Iterate over it (`async for event in turn`) for its events, in order
    and each once. Both raise what kept the turn from its end. A turn that ended as `failed` raises
    `TurnFailed` when awaited; `retry` tries it again.

    Attributes:
        turn_id: names the turn.
        number: counts the turns of a conversation, from 1.
        spoken: whether the utterance is audio.
        cause: why the agent began it, an `AgentTurnCause`; None if the user did.
        utterance: what has been said, to be sent again if need be.
    """

    def __init__(self, number: int, utterance: Utterance, owner: Owner, timeouts: Timeouts) -> None:
        self.number = number
        self.turn_id = utterance.turn_id
        self.spoken = utterance.is_spoken
        self.cause: AgentTurnCause | str | None = None
        self.utterance = utterance
        self._owner = owner
        self._timeouts = timeouts
        self._loop = asyncio.get_running_loop()
        self._order = TurnOrder()
        self._builder = ReplyBuilder(self.turn_id)
        self._events: list[TurnEvent] = []
        self._failure: Exception | None = None
        self._changed = asyncio.Event()
        self._finished = asyncio.Event()
        self._utterance_over = asyncio.Event()
        self._watchdog: asyncio.TimerHandle | None = None
        self._gap_reported = False
        self._last_stray_error: Error | None = None
        self.silent_since_s = self._loop.time()
        """When something of it last came, or was first sent (loop time)."""

    # --- for the caller ---------------------------------------------------------

    def __await__(self) -> Generator[object, None, Reply]:
        return self._result().__await__()

    async def _result(self) -> Reply:
        while not self.done:  # another waiter may have retried it meanwhile
            await self._finished.wait()
        if self._failure is not None:
            raise self._failure
        reply = self.so_far
        if reply.reason == "failed":
            raise TurnFailed(self._reason_of_failure(reply), reply)
        return reply

    async def __aiter__(self) -> AsyncIterator[TurnEvent | Restarted]:
        events, index = self._events, 0
        while True:
            if events is not self._events:
                events, index = self._events, 0
                yield Restarted(self.turn_id, self.attempt)
            while index < len(events):
                yield events[index]
                index += 1
            if events is not self._events:
                continue
            if self.done:
                break
            await self._changed.wait()
        if self._failure is not None:
            raise self._failure

    @property
    def done(self) -> bool:
        """Whether the turn has ended, in whatever way."""
        return self._finished.is_set()

    @property
    def so_far(self) -> Reply:
        """The reply as far as it has come."""
        return self._builder.build()

    @property
    def attempt(self) -> int:
        """Which attempt at the turn this is: 1, and one more for each retry."""
        return self._order.attempt

    @property
    def received_seq(self) -> int:
        """Every event of this attempt up to this number has arrived."""
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
        await self._owner.interrupt(self, played_ms)

    def retry(self) -> Turn:
        """Send a turn that failed once more; a spoken one with the audio it had.

        What came of it before is void. It returns the turn itself: `await turn.retry()` gives
        the new reply.

        Raises:
            BadInput: it has not failed, or not by the server; or the agent began it.
        """
        self._owner.retry(self)
        return self

    # --- for the owner ----------------------------------------------------------

    @property
    def started(self) -> bool:
        """Whether the server has sent anything of this attempt."""
        return self._order.delivered > 0

    @property
    def unheard(self) -> bool:
        """Whether some message of it may still be of use to the server."""
        heard_of = self.started or not self.utterance.is_users
        understood = self._utterance_over.is_set() if self.spoken else heard_of
        return not self.done and (not understood or self.utterance.interrupted)

    @property
    def utterance_over(self) -> asyncio.Event:
        """Set when more audio is of no use: a final transcript has come, or the end."""
        return self._utterance_over

    @property
    def end(self) -> TurnEnd | None:
        """Its last event, once it has come."""
        return self._builder.end

    @property
    def played_until_s(self) -> float:
        """When what has come of the reply will have been heard, were it played as it came (loop
        time); 0 if nothing is heard."""
        return self._builder.playback.ends_at_s

    def silence(self) -> None:
        """Nothing more of the reply is heard."""
        self._builder.playback.cut(self._loop.time())

    @property
    def failed(self) -> bool:
        """Whether the server could not do it, or would not: only then may it be tried again."""
        ended = self.end is not None and self.end.reason == "failed"
        return ended or isinstance(self._failure, TurnFailed)

    @property
    def worth_a_retry(self) -> bool:
        """Whether it failed, and another attempt may go better."""
        if isinstance(self._failure, TurnFailed):
            return self._failure.retryable
        return self.failed and self._reason_of_failure(self.so_far).retryable

    def restart(self, attempt: int) -> None:
        """Forget what came: the turn is sent once more."""
        self._order.begin(attempt)
        self._void()
        self._failure = None
        self._finished.clear()
        self._utterance_over.clear()
        self.utterance_ended()

    def utterance_ended(self) -> None:
        """The end of the utterance is about to be sent: the client's clock starts."""
        self._builder.utterance_ended(self._loop.time())
        self.watch()

    def receive(self, event: TurnEvent) -> tuple[TurnEvent, ...]:
        """Take an event from the server; returns what it made deliverable."""
        if self.done:
            return ()
        self.silent_since_s = self._loop.time()
        arrival = self._order.accept(event)
        if arrival.restarted:
            self._void()
            self.utterance_ended()
        for each in arrival.events:
            self._deliver(each)
        self.watch()
        return arrival.events

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
            self.fail(TurnFailed(error, self.so_far))

    def stray_error(self, error: Error) -> None:
        """An error that may or may not be about this turn: told if no answer comes."""
        self._last_stray_error = error

    def fail(self, failure: Exception) -> None:
        """Nothing more will come, because of `failure`."""
        if not self.done:
            self._failure = failure
            self._finish()

    def watch(self) -> None:
        """(Re)start the clock that runs while something is being waited for."""
        self.unwatch()
        if self.done or not self._owner.connected:
            return
        if self._order.missing:
            self._watchdog = self._loop.call_later(self._timeouts.gap_s, self._give_up_gap)
            return
        self._gap_reported = False
        if self._builder.uttered and self._timeouts.answer_s is not None:
            self._watchdog = self._loop.call_later(self._timeouts.answer_s, self._give_up_waiting)

    def unwatch(self) -> None:
        """Stop that clock: nothing can come."""
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None

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
        if isinstance(event, AgentTurn):
            self.cause = event.cause
        if isinstance(event, Transcript) and event.final:
            self._utterance_over.set()
        if isinstance(event, TurnEnd):
            self._finish()
        else:
            self._notify()

    def _void(self) -> None:
        self._builder = ReplyBuilder(self.turn_id)
        self._events = []
        self._gap_reported = False
        self._last_stray_error = None
        self._notify()

    def _finish(self) -> None:
        self._finished.set()
        self._utterance_over.set()
        self.unwatch()
        self._notify()
        self._owner.on_finished(self)

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _give_up_gap(self) -> None:
        if not self._gap_reported and self._owner.on_gap(self):
            self._gap_reported = True
        else:
            self.fail(EventGap(self.turn_id, self._order.missing))

    def _give_up_waiting(self) -> None:
        sentence = f"Nothing came from the server for {self._timeouts.answer_s:g} s. Ask again."
        if self._last_stray_error is not None:
            sentence += f" It had said: {self._last_stray_error.message}"
        self.fail(AnswerTimeout(sentence))

    def _reason_of_failure(self, reply: Reply) -> Error:
        end = self._builder.end
        assert end is not None, "it has failed by its end"
        # what a turn survives, or a message that was refused, is not why it failed
        fatal = [e for e in reply.errors if e.seq is not None and e.code != "speech_failed"]
        told = [e for e in fatal if e.code == end.code] or fatal or list(reply.errors)
        if end.code is None:
            unknown = "The turn failed, and the server didn't say why."
            return told[-1] if told else Error("internal", unknown, retryable=True)
        sentence = f"The turn failed ({end.code})."
        if end.retryable:
            sentence += " Try it again."
        told = [e for e in told if e.code == end.code] or [Error(end.code, sentence, end.retryable)]
        return replace(told[-1], retryable=end.retryable)


def _is_about_one_message(error: Error) -> bool:
    """Whether the error is about a message that the turn can do without, or whose
    loss the server reports as `audio_gap`."""
    return message_type_of(error) in ("interrupt", "ack", "audio_chunk")
