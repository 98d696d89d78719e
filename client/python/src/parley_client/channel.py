"""What a conversation sends through: posts, requests, and the tasks that belong to them.

It lasts as long as the session and outlives its connections, which `reconnector` keeps;
it knows no turns. Whatever happens, nothing it was given is silently lost: a message
is sent, waits for a connection, or is refused by an error.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import TypeVar

from parley_client.backlog import Backlog
from parley_client.destination import Destination
from parley_client.errors import (
    AnswerTimeout,
    ConnectionLost,
    ConversationClosed,
    Ending,
    ParleyClientError,
    ServerError,
    SessionReplaced,
)
from parley_client.events import Answer, GatewayError, ReceivedEvent, message_type_of
from parley_client.listener import Listener
from parley_client.messages import (
    ClientMessage,
    ConfigUpdated,
    Error,
    Ping,
    Pong,
    Ready,
    SessionEnded,
)
from parley_client.notices import Notice, OnNotice, State, StateChanged, report_failure
from parley_client.options import Reconnect, Timeouts
from parley_client.outgoing import Outgoing
from parley_client.reconnector import LOST_CODE, Reconnector
from parley_client.requests import Requests
from parley_client.session import Session
from parley_client.websocket_transport import WebSocketTransport

A = TypeVar("A", bound=Answer)
HUNG_UP: Mapping[Ending, str] = {
    "agent": "The agent has ended the conversation.",
    "silence": "The session has ended: nothing was said for too long.",
    "too_long": "The session has ended: it has lasted as long as it may.",
}


class Channel:
    """A session in use. `start` opens it; `close` lets go of it."""

    def __init__(
        self,
        destination: Destination,
        session: Session,
        listener: Listener,
        *,
        policy: Reconnect,
        timeouts: Timeouts,
        heartbeat_s: float | None,
        on_notice: OnNotice | None,
    ) -> None:
        self.state: State = "connecting"
        self.closed_by: ParleyClientError | None = None
        """Why nothing can be sent any more; None while it can."""
        self.ending: Ending | None = None
        """Who ends the session, if it is not the application."""
        self._shut_event = asyncio.Event()
        self._listener = listener
        self._on_notice = on_notice
        self._requests = Requests()
        backlog = Backlog(policy.queue_messages, policy.queue_bytes)
        self._outgoing = Outgoing(backlog, self._was_sent)
        self._tasks: set[asyncio.Task[None]] = set()
        self._reconnector = Reconnector(
            destination,
            session,
            listener,
            self,
            policy=policy,
            timeouts=timeouts,
            heartbeat_s=heartbeat_s,
        )

    # --- for the conversation ---------------------------------------------------

    async def start(self) -> None:
        """Open the session. The first attempt is the only one: the
        application wants to know that nothing answers.

        Raises:
            ParleyClientError: why it could not be opened.
        """
        self.announce(StateChanged("connecting"))
        transport = await self._reconnector.open()
        await self.resume(transport, 0.0)
        self.spawn(self._live(transport))

    def check_open(self) -> None:
        """Raise what closed it, if it is closed."""
        if self.closed_by is not None:
            raise self.closed_by

    async def post(self, message: ClientMessage, *, always: bool = False) -> None:
        """Send a message that has no answer of its own, now or when there is a connection.

        Raises:
            QueueFull: too much waits already, and not `always`.
            ParleyClientError: what closed the channel.
        """
        self.check_open()
        await self._outgoing.post(message, always=always)

    async def request(self, message: ClientMessage, answer: type[A], timeout_s: float) -> A:
        """Send a message, on the next connection again if need be, and wait for its answer.

        Raises:
            ServerError: the server refused it.
            AnswerTimeout: it didn't answer in time.
        """
        self.check_open()
        future = self._requests.expect(message, answer)
        try:
            async with asyncio.timeout(timeout_s):
                await self.post(message, always=True)
                return await future
        except TimeoutError:
            raise AnswerTimeout(
                f"The server didn't answer `{message['type']}` within {timeout_s:g} s."
            ) from None
        finally:
            self._requests.forget(future)

    def spawn(
        self,
        work: Coroutine[object, object, None],
        failed: Callable[[Exception], None] | None = None,
    ) -> asyncio.Task[None]:
        """Run `work` until it ends or the channel is closed; tell `failed` what it raises."""
        task = asyncio.create_task(work)
        self._tasks.add(task)

        def finished(done: asyncio.Task[None]) -> None:
            self._tasks.discard(done)
            error = None if done.cancelled() else done.exception()
            if isinstance(error, Exception) and failed is not None:
                failed(error)

        task.add_done_callback(finished)
        return task

    def drop(self, reason: ParleyClientError) -> None:
        """Give the connection up and come back by another."""
        self._reconnector.drop(reason)

    async def closed(self) -> None:
        """Wait until nothing can be sent any more."""
        await self._shut_event.wait()

    async def close(self, reason: ParleyClientError) -> None:
        """Stop everything, for `reason` unless there was one before."""
        self._shut(reason)
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._reconnector.closed()

    # --- for the reconnector ----------------------------------------------------

    def hold(self) -> None:
        """Messages wait from now on."""
        self._outgoing.hold()

    async def resume(self, transport: WebSocketTransport, suspect_since_s: float) -> None:
        """Send what may be lost and what has waited; then the channel is ready."""
        if self._outgoing.uses(transport):
            return  # the first one, which `start` has made ready
        again = self._listener.again(suspect_since_s) + self._requests.unanswered
        # what waits is sent in its own place
        lost = [message for message in again if not self._outgoing.waits(message)]
        await self._outgoing.resume(transport, lost)
        self._listener.on_ready()
        if self.state != "ready":
            self.announce(StateChanged("ready"))

    def ask(self, turn_id: str | None) -> None:
        """Ping, without waiting: a dead connection may not even take the message."""
        ping: Ping = {"type": "ping", "sent_at": time.time() * 1000}
        if turn_id is not None and self._listener.may_be_asked_after(turn_id):
            ping["turn_id"] = turn_id
            if (attempt := self._listener.attempt_of(turn_id)) > 1:
                ping["attempt"] = attempt
        self.spawn(self._outgoing.post(ping, always=True))

    def dispatch(self, event: ReceivedEvent) -> None:
        """Give an event to whom it concerns.

        Raises:
            ParleyClientError: it was the last one.
        """
        match event:
            case SessionEnded(reason="replaced"):
                raise SessionReplaced(
                    "Another connection has taken this session over. "
                    "Open a new conversation to go on here."
                )
            case SessionEnded(reason="silence" | "too_long" as ending):
                self.ending = ending
                raise ConversationClosed(HUNG_UP[ending], ending=ending)
            case SessionEnded():
                self._requests.answer(event)
                ended = HUNG_UP[self.ending] if self.ending else "The session has ended."
                raise ConversationClosed(ended, ending=self.ending)
            case Ready():
                pass  # a late one: the connection is in use
            case ConfigUpdated() | Pong():
                self._requests.answer(event)
            case Error(turn_id=None, seq=None):
                self._stray(event)
            case _:
                self._listener.on_turn_event(event)

    def announce(self, notice: Notice) -> None:
        """Keep the state and tell the application."""
        if isinstance(notice, StateChanged):
            self.state = notice.state
        if self._on_notice is None:
            return
        try:
            self._on_notice(notice)
        except Exception as theirs:
            report_failure("on_notice", theirs)

    # --- inside -----------------------------------------------------------------

    async def _live(self, transport: WebSocketTransport) -> None:
        try:
            await self._reconnector.run(transport)
        except ParleyClientError as final:
            self._shut(final)
        except Exception as fault:
            # a mistake of this package must not leave its callers waiting for ever
            error = ParleyClientError(f"The client itself failed: {fault!r}.")
            error.__cause__ = fault
            self._shut(error)

    def _stray(self, error: Error) -> None:
        """An error that names no turn."""
        if error.code == "not_initialised":
            forgotten = f"The server has forgotten the connection: {error.message}"
            self.drop(ConnectionLost(forgotten, close_code=LOST_CODE))
        elif isinstance(error, GatewayError):
            self._requests.refuse(ServerError(error))
            self._listener.on_gateway_error(error)
        elif not self._refuses_a_request(error):
            self._listener.on_turn_event(error)

    def _refuses_a_request(self, error: Error) -> bool:
        answered = message_type_of(error)
        if answered is None and self._listener.waiting():
            return False  # it may as well be about one of a turn's messages
        return self._requests.refuse(ServerError(error), answered)

    def _was_sent(self, message: ClientMessage, at_s: float) -> None:
        self._listener.on_sent(message, at_s)
        self._reconnector.sent()

    def _shut(self, reason: ParleyClientError) -> None:
        if self.closed_by is None:
            self.closed_by = reason
            self.hold()
            self._requests.fail_all(reason)
            self._listener.on_closed(reason)
            self.announce(StateChanged("closed", reason))
            self._shut_event.set()
