"""One connection after the other: opens, greets, watches, comes back, changes over in time.

What decides is elsewhere (`backoff`, `heartbeat`, `session`, the table in `errors`);
this does the waiting. What goes over the connections is its user's business.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from typing import Any, Protocol

from parley_client.backoff import Backoff
from parley_client.destination import Destination
from parley_client.errors import (
    AnswerTimeout,
    ConnectionLost,
    HandshakeRefused,
    ParleyClientError,
    ReconnectFailed,
    ServerError,
    SessionLost,
)
from parley_client.events import ReceivedEvent
from parley_client.heartbeat import Heartbeat
from parley_client.listener import Listener
from parley_client.messages import Error, Ready
from parley_client.notices import Notice, SessionRenewed, StateChanged
from parley_client.options import Reconnect, Timeouts
from parley_client.session import Session
from parley_client.websocket_transport import WebSocketTransport

RECENT_S = 2.0
"""What was sent so shortly before a connection was last heard of may not have arrived."""
TOKEN_STATUSES = (401, 403)
"""HTTP statuses of a handshake that another token may change. API Gateway says 401 when there is
no token or the authorizer raises `Unauthorized`, 403 when its policy denies or a signature of
the URL has expired."""
LOST_CODE = 1006
"""The close code of a connection that ended without one (RFC 6455, 7.1.5)."""


class TransportUser(Protocol):
    """Who sends and receives over the connections."""

    def hold(self) -> None:
        """Nothing may be sent for now."""

    async def resume(self, transport: WebSocketTransport, suspect_since_s: float) -> None:
        """This connection is ready; what was sent since then may not have arrived."""

    def dispatch(self, event: ReceivedEvent) -> None:
        """Something came. What this raises ends the connection."""

    def ask(self, turn_id: str | None) -> None:
        """It is time for a ping."""

    def announce(self, notice: Notice) -> None:
        """Something that the application may want to know."""


class Reconnector:
    """The connections of one session."""

    def __init__(
        self,
        destination: Destination,
        session: Session,
        listener: Listener,
        user: TransportUser,
        *,
        policy: Reconnect,
        timeouts: Timeouts,
        heartbeat_s: float | None,
    ) -> None:
        self._destination = destination
        self._session = session
        self._listener = listener
        self._user = user
        self._policy = policy
        self._timeouts = timeouts
        self._heartbeat_s = heartbeat_s
        self._backoff = Backoff(policy)
        self._loop = asyncio.get_running_loop()
        self._current: WebSocketTransport | None = None
        self._dropped_for: ParleyClientError | None = None
        self._switching = False
        self._ready_s = 0.0
        self._suspect_since_s = 0.0
        self._something_sent = asyncio.Event()
        self._closing: set[asyncio.Task[None]] = set()

    # --- for the channel --------------------------------------------------------

    async def open(self) -> WebSocketTransport:
        """Connect and greet once.

        Raises:
            ParleyClientError: why that failed.
        """
        return await self._greet(await self._dial())

    async def run(self, transport: WebSocketTransport) -> None:
        """Live with this connection and those that follow it.

        Raises:
            ParleyClientError: always, at the end: why there will be no other.
        """
        while True:
            try:
                transport = await self._use(transport)
            except ParleyClientError as lost:
                self._backoff.lost(self._loop.time() - self._ready_s)
                transport = await self._come_back(lost)

    def sent(self) -> None:
        """Something was sent, so something may be due sooner."""
        self._something_sent.set()

    def drop(self, reason: ParleyClientError) -> None:
        """Give the connection up and come back by another."""
        if self._current is not None:
            self._dropped_for = reason
            self._current.abandon()

    async def closed(self) -> None:
        """Wait until every connection that is over has been closed."""
        await asyncio.gather(*self._closing)

    # --- one connection ---------------------------------------------------------

    async def _use(self, transport: WebSocketTransport) -> WebSocketTransport:
        """Live with a connection; returns the one that takes its place.

        Raises:
            ParleyClientError: how it ended.
        """
        self._current, self._dropped_for, self._switching = transport, None, False
        self._ready_s = self._loop.time()
        heartbeat = Heartbeat(
            self._ready_s,
            ask_after_s=self._timeouts.ask_s,
            dead_after_s=self._timeouts.silence_s,
            heartbeat_s=self._heartbeat_s,
        )
        receiving = asyncio.create_task(self._receive(transport, heartbeat))
        successor = asyncio.create_task(self._successor())
        helpers = {
            asyncio.create_task(self._user.resume(transport, self._suspect_since_s)),
            asyncio.create_task(self._watch(heartbeat)),
        }
        try:
            await _first(receiving, successor, helpers)
            if self._switching:
                # The server ends this connection while it answers on the next: that
                # it was replaced, and by whom, is known.
                await asyncio.wait({successor})
            if successor.done():
                return successor.result()
            receiving.result()
            raise AssertionError("receiving ends by an exception")
        except ConnectionLost as lost:
            raise self._dropped_for or lost from None
        finally:
            self._user.hold()
            self._current = None
            heard_s = max(heartbeat.heard_s, self._loop.time() - self._timeouts.silence_s)
            self._suspect_since_s = heard_s - RECENT_S
            await _cancel(receiving, successor, *helpers)
            self._retire(transport)

    async def _receive(self, transport: WebSocketTransport, heartbeat: Heartbeat) -> None:
        while True:
            event = await transport.receive()
            heartbeat.heard(self._loop.time())
            if event is not None:
                self._user.dispatch(event)

    async def _watch(self, heartbeat: Heartbeat) -> None:
        while True:
            verdict = heartbeat.check(self._loop.time(), self._listener.waiting())
            if verdict.dead:
                sentence = f"Nothing came from the server for {self._timeouts.silence_s:g} s."
                self.drop(ConnectionLost(sentence, close_code=LOST_CODE))
                return
            for turn_id in verdict.ask:
                self._user.ask(turn_id)
            self._something_sent.clear()
            until_s = None if math.isinf(verdict.next_at_s) else verdict.next_at_s
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until_s):
                    await self._something_sent.wait()

    # --- the next one -----------------------------------------------------------

    async def _come_back(self, reason: ParleyClientError) -> WebSocketTransport:
        self._listener.on_lost()
        while True:
            if isinstance(reason, SessionLost) and self._policy.new_session:
                self._session.lost()
                self._listener.on_session_lost(reason)
            elif not reason.retryable:
                raise reason
            delay_s = self._backoff.next_delay_s()
            if delay_s is None:
                attempts = self._policy.attempts
                raise ReconnectFailed(attempts, reason) if attempts else reason
            delay_s = max(delay_s, (reason.retry_after_ms or 0) / 1000)
            self._user.announce(
                StateChanged("reconnecting", reason, self._backoff.attempt, delay_s)
            )
            await asyncio.sleep(delay_s)
            try:
                return await self.open()
            except ParleyClientError as failed:
                reason = failed

    async def _successor(self) -> WebSocketTransport:
        """Another connection, ready, when the present one has grown old."""
        if self._policy.rotate_after_s is None:
            await asyncio.Event().wait()
        else:
            await asyncio.sleep(self._policy.rotate_after_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._policy.rotate_patience_s):
                await self._listener.idle()
        while True:
            try:
                transport = await self._dial()
                break
            except ParleyClientError as failed:  # the present one still works: no hurry
                told_s = (failed.retry_after_ms or 0) / 1000
                await asyncio.sleep(max(self._policy.cap_s, told_s))
        self._switching = True
        self._user.hold()
        return await self._greet(transport)

    # --- opening and closing ----------------------------------------------------

    async def _dial(self) -> WebSocketTransport:
        try:
            return await WebSocketTransport.open(self._destination, self._timeouts.connect_s)
        except HandshakeRefused as refused:
            if refused.status not in TOKEN_STATUSES or not self._destination.may_change:
                raise
            # Perhaps it expired on the way; a second refusal is meant.
            return await WebSocketTransport.open(self._destination, self._timeouts.connect_s)

    async def _greet(self, transport: WebSocketTransport) -> WebSocketTransport:
        """Send `init` and wait for `ready`; a connection that gets none is closed again."""
        try:
            await transport.send(self._session.init(self._listener.received()))
            async with asyncio.timeout(self._timeouts.connect_s):
                while not isinstance(event := await transport.receive(), Ready):
                    self._before_ready(event)
        except TimeoutError:
            self._retire(transport)
            raise AnswerTimeout(
                f"{transport.url} didn't answer `init` within {self._timeouts.connect_s:g} s."
            ) from None
        except BaseException:
            self._retire(transport)
            raise
        lost_session_id = self._session.opened(event)
        if lost_session_id is not None:
            self._user.announce(SessionRenewed(lost_session_id, event.session_id))
        return transport

    def _before_ready(self, event: ReceivedEvent | None) -> None:
        if isinstance(event, Error) and event.turn_id is None:
            raise (SessionLost if event.code in SessionLost.CODES else ServerError)(event)
        if event is not None:  # a running turn may find the new connection before `ready` does
            self._user.dispatch(event)

    def _retire(self, transport: WebSocketTransport) -> None:
        closing = asyncio.create_task(transport.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


async def _first(
    receiving: asyncio.Task[None],
    successor: asyncio.Task[WebSocketTransport],
    helpers: set[asyncio.Task[None]],
) -> None:
    """Wait for the end of the connection or for its successor. What a helper raises
    is raised here, but the loss of the connection, which `receiving` tells better."""
    pending: set[asyncio.Task[Any]] = {receiving, successor, *helpers}
    while not (receiving.done() or successor.done()):
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done & helpers:
            if not isinstance(task.exception(), ParleyClientError):
                task.result()


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
