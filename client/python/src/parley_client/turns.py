"""The turns of a conversation: whose event it is, what it asks for, what must be said again.

It posts through a channel and opens no connection. What a turn has said is its
`utterance`, what it has heard its `Turn`; this keeps the books of all of them.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Protocol

from parley_client.client_tools import ClientTools
from parley_client.errors import (
    BadInput,
    EventGap,
    ParleyClientError,
    ProtocolViolation,
    SessionLost,
)
from parley_client.events import GatewayError, TurnEvent, message_type_of
from parley_client.messages import (
    Ack,
    AgentTurn,
    ClientCall,
    ClientMessage,
    Error,
    Interrupt,
    Ping,
    Received,
    ToolUpdate,
    TurnEnd,
)
from parley_client.notices import Notice
from parley_client.options import Reconnect, Timeouts
from parley_client.pause import Pause
from parley_client.turn import Turn
from parley_client.utterance import Utterance

RESEND_AFTER_S = 0.5
"""How long to wait before what a gateway could not deliver is sent again; then twice as long."""
MAX_RESENDS = 4
MAX_ASKED = 8
"""How often the turns are asked after in `ASKED_S`: a question that fails is such an error too."""
ASKED_S = 10.0
MAX_FORGOTTEN = 100
"""Of how many turns that are over it is remembered that they were: a late event of one is not the
first of another."""
RECENT_S = 2.0
"""How old a chunk may be that such an error may have been about."""


class TurnChannel(Protocol):
    """The part of a channel that turns need."""

    def check_open(self) -> None:
        """Raise what closed it."""

    async def post(self, message: ClientMessage, *, always: bool = False) -> None:
        """Send a message, or keep it until there is a connection."""

    def spawn(
        self,
        work: Coroutine[object, object, None],
        failed: Callable[[Exception], None] | None = None,
    ) -> asyncio.Task[None]:
        """Run it until the channel is closed."""

    def drop(self, reason: ParleyClientError) -> None:
        """Come back by another connection."""

    def announce(self, notice: Notice) -> None:
        """Tell the application."""


class Turns:
    """Every turn that is under way, and the latest.

    Args:
        tools: run what the agent calls.
        pause: is told when nothing is under way, and when something is.
        on_agent_turn: told each turn that the agent begins.
    """

    def __init__(
        self,
        timeouts: Timeouts,
        policy: Reconnect,
        *,
        tools: ClientTools,
        pause: Pause,
        on_agent_turn: Callable[[Turn], None],
    ) -> None:
        self.latest: Turn | None = None
        self.connected = False
        self.errors: deque[Error] = deque(maxlen=32)
        """The latest errors that belong to no turn and no request."""
        self._timeouts = timeouts
        self._policy = policy
        self._tools = tools
        self._pause = pause
        self._on_agent_turn = on_agent_turn
        self._channel: TurnChannel | None = None
        self._turns: dict[str, Turn] = {}
        self._unnamed: set[str] = set()
        """Turns that are none of the user's, of which the first event has yet to come."""
        self._forgotten: deque[str] = deque(maxlen=MAX_FORGOTTEN)
        self._count = 0
        self._heard: Turn | None = None
        self._interruption: tuple[Interrupt, float] | None = None
        """The latest that was handed to a connection, and when (loop time)."""
        self._acks: set[asyncio.Task[None]] = set()
        self._resending: asyncio.Task[None] | None = None
        self._asked_at_s: deque[float] = deque(maxlen=MAX_ASKED)
        """When the turns were asked after (loop time)."""
        self._idle = asyncio.Event()
        self._idle.set()

    def attach(self, channel: TurnChannel) -> None:
        """What the turns, and the answers of tools, are sent through."""
        self._channel = channel
        self._tools.attach(channel)

    def begin(self, utterance: Utterance) -> Turn:
        """A new turn; the one before is done with as soon as the server hears of it."""
        self._attached.check_open()
        turn = self.latest = self._new(utterance)
        return turn

    async def acknowledged(self) -> None:
        """Wait until every end that has come is acknowledged."""
        await asyncio.gather(*self._acks)

    # --- asked by a turn --------------------------------------------------------

    async def interrupt(self, turn: Turn, played_ms: float | None) -> None:
        """Stop the reply, of which so much has been heard."""
        played_ms = turn.played_ms if played_ms is None else played_ms
        message = turn.utterance.interrupt(played_ms)
        self._tools.turn_ended(turn.turn_id, interrupted=True)
        was_heard = turn.played_until_s > asyncio.get_running_loop().time()
        turn.silence()
        if was_heard and turn is self.latest and self._idle.is_set():
            self._begin_pause()
        await self._attached.post(message, always=True)

    def retry(self, turn: Turn) -> None:
        """Send a turn that failed once more."""
        self._attached.check_open()
        if not turn.failed:
            raise BadInput("Only a turn that has failed can be tried again.")
        if not turn.utterance.is_users:
            raise BadInput("Only what the user has said can be tried again: the agent began this.")
        attempt = turn.attempt + 1
        turn.restart(attempt)
        self._interruption = None  # it was not meant for this attempt
        self.latest = turn
        self._add(turn)
        self._attached.spawn(self._post_all(turn.utterance.next_attempt(attempt)), turn.fail)

    def on_gap(self, turn: Turn) -> bool:
        """Come back: the server then sends what is missing."""
        if self._policy.attempts == 0:
            return False
        self._attached.drop(EventGap(turn.turn_id, [turn.received_seq + 1]))
        return True

    def on_finished(self, turn: Turn) -> None:
        """One less under way."""
        if turn is self.latest:
            self._find_newer(turn)
        if all(each.done for each in self._turns.values()):
            self._idle.set()
            self._begin_pause()

    # --- asked by the channel ---------------------------------------------------

    def received(self) -> Received | None:
        """How far the oldest unfinished turn has arrived, or else the latest one.

        The server takes everything of the turns before this one for arrived.
        """
        unfinished = [t for t in self._turns.values() if not t.done and t.utterance.opened]
        # a turn that was tried again is as old as it was before
        turn = min(unfinished, key=lambda t: t.number, default=self._heard)
        if turn is None:
            return None
        received: Received = {"turn_id": turn.turn_id, "seq": turn.received_seq}
        if turn.attempt > 1:
            received["attempt"] = turn.attempt
        return received

    def again(self, since_s: float) -> list[ClientMessage]:
        """What turns have said that may not have arrived."""
        said = [
            message
            for turn in self._turns.values()
            if not turn.done
            for message in turn.utterance.again(since_s)
        ]
        return [*self._late_interruption(since_s), *said, *self._tools.unconfirmed()]

    def waiting(self) -> Mapping[str, float]:
        """Every unfinished turn that was sent, and since when it has been silent."""
        return {
            turn.turn_id: turn.silent_since_s
            for turn in self._turns.values()
            if not turn.done and turn.utterance.opened
        }

    def may_be_asked_after(self, turn_id: str) -> bool:
        """Whether a turn has begun, or should have by now."""
        turn = self._turns.get(turn_id)
        if turn is None or turn.started:
            return True
        waited_s = asyncio.get_running_loop().time() - turn.silent_since_s
        return waited_s >= self._timeouts.begin_s

    def attempt_of(self, turn_id: str) -> int:
        """Which attempt at a turn is waited for."""
        turn = self._turns.get(turn_id)
        return turn.attempt if turn is not None else 1

    async def idle(self) -> None:
        """Wait until no turn is unfinished."""
        await self._idle.wait()

    # --- told by the channel ----------------------------------------------------

    def on_sent(self, message: ClientMessage, at_s: float) -> None:
        """A message was handed to a connection."""
        if message["type"] == "interrupt":
            self._interruption = message, at_s
        turn = self._turns.get(str(message.get("turn_id")))
        if turn is not None:
            if not turn.utterance.opened:
                turn.silent_since_s = at_s
            turn.utterance.sent(message, at_s)

    def on_ready(self) -> None:
        """Events can come."""
        self.connected = True
        self._pause.connected()
        for turn in self._turns.values():
            turn.watch()

    def on_lost(self) -> None:
        """No events can come: the turns' clocks stop."""
        self.connected = False
        self._pause.lost()
        for turn in self._turns.values():
            turn.unwatch()

    def on_session_lost(self, reason: SessionLost) -> None:
        """A turn that had begun cannot go on in another session; the others begin there."""
        self._heard = self._interruption = None
        self._tools.forget()
        for turn in list(self._turns.values()):
            if turn.started or not turn.utterance.is_users:
                turn.fail(reason)
        if self._idle.is_set():
            self._pause.reset()

    def on_closed(self, reason: ParleyClientError) -> None:
        """Nothing more will come."""
        self.connected = False
        self._pause.lost()
        self._tools.forget()
        for turn in list(self._turns.values()):
            turn.fail(reason)

    def on_turn_event(self, event: TurnEvent) -> None:
        """An event of a turn, or an error that answers no request."""
        if event.seq is None or event.turn_id is None:
            self._refused(event)
            return
        turn = self._turns.get(event.turn_id) or self._expect_agent_turn(event)
        delivered: tuple[TurnEvent, ...] = ()
        if turn is not None:
            delivered = turn.receive(event)
            if delivered:
                self._heard = turn
                self._name(turn, delivered[0])
            for each in delivered:
                self._attend(turn, each)
        if isinstance(event, TurnEnd) and not delivered and _is_over(turn, event):
            # the server sends it again as long as it doesn't know that it has arrived
            self._acknowledge(event)

    def on_gateway_error(self, error: GatewayError) -> None:
        """A message was not handled, and the gateway doesn't say which. Ask after every turn
        that the failed request may have run. Send all that may be meant again, `MAX_RESENDS`
        times at most: what had arrived costs nothing."""
        if error.request_id is not None:
            self._ask_after_all(error.request_id)
        unheard = [turn for turn in self._turns.values() if turn.unheard]
        if not unheard:
            self.errors.append(error)
        for turn in unheard:
            turn.stray_error(error)
            if turn.utterance.resent >= MAX_RESENDS and not turn.spoken:
                turn.refuse(error)
        if self._resending is None or self._resending.done():
            self._resending = self._attached.spawn(self._send_again())

    # --- inside -----------------------------------------------------------------

    @property
    def _attached(self) -> TurnChannel:
        assert self._channel is not None, "attached when the conversation is made"
        return self._channel

    def _new(self, utterance: Utterance) -> Turn:
        self._count += 1
        turn = Turn(self._count, utterance, self, self._timeouts)
        self._forgotten.extend(id_ for id_, each in self._turns.items() if each.done)
        self._turns = {id_: each for id_, each in self._turns.items() if not each.done}
        self._unnamed &= self._turns.keys()
        self._add(turn)
        return turn

    def _add(self, turn: Turn) -> None:
        self._turns[turn.turn_id] = turn
        self._idle.clear()
        self._pause.began(turn.cause)

    def _begin_pause(self) -> None:
        if (turn := self.latest) is not None:
            now_s = asyncio.get_running_loop().time()
            is_last = turn.end is not None and turn.end.ends_session
            self._pause.begins(max(now_s, turn.played_until_s), is_last=is_last)

    # --- turns that the agent begins --------------------------------------------

    def _expect_agent_turn(self, event: TurnEvent) -> Turn | None:
        """A turn that nobody here began: an event of it may come before its first."""
        if event.turn_id is None or event.turn_id in self._forgotten or event.seq == 0:
            return None
        turn = self._new(Utterance(event.turn_id))
        self._unnamed.add(event.turn_id)
        turn.utterance_ended()
        return turn

    def _name(self, turn: Turn, first: TurnEvent) -> None:
        """The first event of a turn tells whether the agent began it. If not, nobody wants it."""
        if turn.turn_id not in self._unnamed:
            return
        self._unnamed.discard(turn.turn_id)
        if not isinstance(first, AgentTurn):
            turn.fail(ProtocolViolation("Nobody here began this turn."))
            return
        self._pause.began(turn.cause)
        # If the user said something at the same time, the server tells which is the newer one.
        if self.latest is None or self.latest.done or self.latest.started:
            self.latest = turn
        if self._idle.is_set():  # its end came before its first event
            self._begin_pause()
        self._on_agent_turn(turn)

    def _find_newer(self, ended: Turn) -> None:
        """The agent has begun a turn meanwhile, which was the newer one if it ended the user's."""
        if ended.end is None or ended.end.reason != "interrupted" or ended.utterance.interrupted:
            return
        newer = [t for t in self._turns.values() if t.cause and t.number > ended.number]
        self.latest = max(newer, key=lambda t: t.number, default=ended)

    def _late_interruption(self, since_s: float) -> list[ClientMessage]:
        """One that may not have arrived, of a turn that has ended: no event would show it."""
        if self._interruption is None:
            return []
        message, sent_at_s = self._interruption
        turn = self._turns.get(message["turn_id"])
        return [message] if sent_at_s >= since_s and (turn is None or turn.done) else []

    async def _post_all(self, messages: Iterable[ClientMessage]) -> None:
        for message in messages:
            await self._attached.post(message)

    def _ask_after_all(self, request_id: str) -> None:
        """Ask whether a request that failed ran a turn: then the server ends it at once."""
        open_turns = [
            turn
            for turn in self._turns.values()
            if not turn.done and turn.utterance.is_users and turn.utterance.opened
        ]
        asked_at_s, now_s = self._asked_at_s, asyncio.get_running_loop().time()
        may_ask = len(asked_at_s) < MAX_ASKED or now_s - asked_at_s[0] >= ASKED_S
        if not open_turns or not may_ask:
            return
        asked_at_s.append(now_s)
        for turn in open_turns:
            ping: Ping = {
                "type": "ping",
                "sent_at": time.time() * 1000,
                "turn_id": turn.turn_id,
                "request_id": request_id,
            }
            if turn.attempt > 1:
                ping["attempt"] = turn.attempt
            self._attached.spawn(self._attached.post(ping, always=True))

    async def _send_again(self) -> None:
        since_s = asyncio.get_running_loop().time() - RECENT_S
        resent = [turn.utterance.resent for turn in self._turns.values() if turn.unheard]
        await asyncio.sleep(RESEND_AFTER_S * 2 ** min(resent, default=0))
        for turn in list(self._turns.values()):
            if turn.unheard and self.connected and turn.utterance.resent < MAX_RESENDS:
                turn.utterance.resent += 1
                await self._post_all(turn.utterance.again(since_s))

    def _attend(self, turn: Turn, event: TurnEvent) -> None:
        """Do what an event asks of the client."""
        if isinstance(event, TurnEnd):
            interrupted = event.reason == "interrupted"
            self._tools.turn_ended(turn.turn_id, interrupted=interrupted)
            self._acknowledge(event)
        elif isinstance(event, ClientCall):
            # nobody waits for one of a turn that was interrupted, and it must not act
            if not turn.utterance.interrupted:
                self._tools.called(event)
        elif isinstance(event, ToolUpdate):
            if event.state != "running":
                self._tools.ended(event.call_id)
        elif isinstance(event, Error) and event.code == "audio_gap" and turn.spoken:
            lost = turn.utterance.missing(event.missing)
            self._attached.spawn(self._post_all(lost), turn.fail)

    def _acknowledge(self, end: TurnEnd) -> None:
        ack: Ack = {"type": "ack", "turn_id": end.turn_id, "seq": end.seq}
        if end.attempt > 1:
            ack["attempt"] = end.attempt

        async def acknowledge() -> None:
            try:
                await self._attached.post(ack, always=True)
            except ParleyClientError:
                return  # the reply is here; the server keeps its copy a little longer

        self._acks = {ack for ack in self._acks if not ack.done()}
        self._acks.add(self._attached.spawn(acknowledge()))

    def _refused(self, error: Error) -> None:
        """An unnumbered error: find out whose it is."""
        turn = self._turns.get(error.turn_id or "")
        if turn is not None:
            turn.refuse(error)
            self._attend(turn, error)
            return
        self.errors.append(error)
        if error.turn_id is None:
            self._blame_a_turn(error)

    def _blame_a_turn(self, error: Error) -> None:
        """An error that names no turn is about a message just sent. A typed turn
        without an event has sent one only; of a spoken turn's many, the loss of
        a chunk mends itself, and the loss of its start shows as silence."""
        refused = message_type_of(error)
        for turn in self._turns.values():
            possible = turn.utterance.is_users and refused in (None, *turn.utterance.types)
            if possible and not turn.done and not turn.started:
                if turn.spoken:
                    turn.stray_error(error)
                else:
                    turn.refuse(error)
                return


def _is_over(turn: Turn | None, end: TurnEnd) -> bool:
    """Whether this end is that of a turn nobody waits for any more."""
    return turn is None or (turn.done and end.attempt >= turn.attempt)
