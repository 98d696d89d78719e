"""Keeps a connection going: receives, matches answers to requests, beats the heart.

It stands between a `Connection` and a conversation, and knows no turns. What
reconnects will stand here; a conversation only posts, asks and is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Protocol, TypeVar

from parley_client.connection import Connection
from parley_client.errors import AnswerTimeout, ParleyClientError, ServerError
from parley_client.messages import Answer, Error, Message, Pong, ServerEvent, TurnEvent
from parley_client.requests import Requests

A = TypeVar("A", bound=Answer)


class Listener(Protocol):
    """Who is told what comes."""

    def on_turn_event(self, event: TurnEvent) -> None:
        """An event of a turn, or an error that answers no request."""

    def on_closed(self, reason: ParleyClientError) -> None:
        """Nothing more will come."""


class Link:
    """A connection in use."""

    def __init__(self, connection: Connection, listener: Listener) -> None:
        self.closed_by: ParleyClientError | None = None
        """Why nothing can be sent any more; None while it can."""
        self._connection = connection
        self._listener = listener
        self._requests = Requests()
        self._tasks: set[asyncio.Task[None]] = set()
        self.spawn(self._receive())

    def check_open(self) -> None:
        """Raise what closed it, if it is closed."""
        if self.closed_by is not None:
            raise self.closed_by

    async def post(self, message: Message) -> None:
        """Send a message that has no answer of its own.

        Raises:
            ParleyClientError: what closed the link.
        """
        self.check_open()
        await self._connection.send(message)

    async def request(self, message: Message, answer: type[A], timeout_s: float) -> A:
        """Send a message and wait for its answer.

        Raises:
            ServerError: the server refused it.
            AnswerTimeout: it didn't answer in time.
        """
        kind = str(message["type"])
        future = self._requests.expect(kind, answer)
        try:
            async with asyncio.timeout(timeout_s):
                await self.post(message)
                return await future
        except TimeoutError:
            raise AnswerTimeout(
                f"{self._connection.url} didn't answer `{kind}` within {timeout_s:g} s."
            ) from None
        finally:
            self._requests.forget(future)

    def spawn(
        self,
        work: Coroutine[object, object, None],
        failed: Callable[[Exception], None] | None = None,
    ) -> asyncio.Task[None]:
        """Run `work` until it ends or the link is closed; tell `failed` what it raises."""
        task = asyncio.create_task(work)
        self._tasks.add(task)

        def finished(done: asyncio.Task[None]) -> None:
            self._tasks.discard(done)
            error = None if done.cancelled() else done.exception()
            if isinstance(error, Exception) and failed is not None:
                failed(error)

        task.add_done_callback(finished)
        return task

    async def beat(self, every_s: float, timeout_s: float) -> None:
        """Ping for ever. A connection that has died quietly is only found out this way."""
        while self.closed_by is None:
            await asyncio.sleep(every_s)
            try:
                await self.request({"type": "ping", "sent_at": 0}, Pong, timeout_s)
            except ParleyClientError as silent:
                await self._fail(silent)

    async def close(self, reason: ParleyClientError) -> None:
        """Stop everything, for `reason` unless there was one before."""
        self._shut(reason)
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._connection.close()

    async def _receive(self) -> None:
        try:
            async for event in self._connection.events():
                self._dispatch(event)
        except ParleyClientError as ended:
            await self._fail(ended)

    def _dispatch(self, event: ServerEvent) -> None:
        if isinstance(event, Answer):
            self._requests.answer(event)
        elif not (isinstance(event, Error) and self._refuses_a_request(event)):
            self._listener.on_turn_event(event)

    def _refuses_a_request(self, error: Error) -> bool:
        if error.turn_id is not None:
            return False
        kind = (error.field or "").partition(".")[0] or None
        return self._requests.refuse(ServerError(error), kind)

    async def _fail(self, reason: ParleyClientError) -> None:
        self._shut(reason)
        await self._connection.close()

    def _shut(self, reason: ParleyClientError) -> None:
        if self.closed_by is None:
            self.closed_by = reason
            self._requests.fail_all(reason)
            self._listener.on_closed(reason)
