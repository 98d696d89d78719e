"""Post a turn's outbox to its connection: one at a time, in order, wherever the client is.

A connection that is gone does not end the turn: the outbox fills until the session has
moved to another connection, which then gets everything that the client has not received.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable

from parley.aws.management_api import Address
from parley.errors import ConnectionGone, PostRefused
from parley.protocol.messages import encode
from parley.turn.output.outbox import Numbered, Outbox

REFUSED_PAUSE_S = 0.5
"""Between posts to a connection that has been busy for longer than a post is tried."""
REFUSED_GIVE_UP_S = 20.0
"""A connection that takes nothing for so long is of no use: what is left is kept instead."""

Post = Callable[[Address, bytes], Awaitable[None]]
"""Sends one text frame to a connection; raises `ConnectionGone`."""


class Sender:
    """Empty an outbox.

    Args:
        outbox: what to post.
        post: how to post.
        address: where to, until it moves.
        on_posted: told every event that API Gateway has taken, the first time.
        fixed: what it posts answers one request, wherever the session goes.
    """

    def __init__(
        self,
        outbox: Outbox,
        post: Post,
        address: Address,
        on_posted: Callable[[Numbered], None],
        *,
        fixed: bool = False,
    ) -> None:
        self._outbox = outbox
        self._post = post
        self._on_posted = on_posted
        self._again: deque[Numbered] = deque()
        self._changed = asyncio.Event()
        self._idle = asyncio.Event()
        self._is_draining = False
        self._held = False
        self._refused_since_s: float | None = None
        self._fixed = fixed
        self.address = address
        self.gone = False
        self.posts = 0
        self.posted_bytes = 0

    def wake(self) -> None:
        """Look again: the outbox has something new."""
        if not self.gone:  # one that is gone takes nothing: who waits for it must not hang
            self._idle.clear()
        self._changed.set()

    def move(self, address: Address, received_seq: int) -> None:
        """Post to another connection, whose client has everything up to `received_seq`."""
        if self._fixed:
            return
        self.address = address
        self.gone = False
        self._refused_since_s = None
        # What was on its way to the old connection may be lost. The client drops what it has twice.
        self._again = deque(self._outbox.unacknowledged(received_seq))
        self.wake()

    def hold(self) -> None:
        """Post nothing more until it is to be drained: what waits may not be wanted."""
        self._held = True

    async def run(self) -> None:
        """Post what comes, until cancelled."""
        while True:
            self._changed.clear()  # first: what changes while we look wakes us again
            now = time.monotonic()
            silent = self.gone or self._held
            event = None if silent else self._next(now)
            if event is not None:
                await self._send(event)
                continue
            if self.gone or self._outbox.is_empty():
                self._idle.set()
            # In silence only a move or a drain can be worth waking up for.
            due_in_s = None if silent else self._outbox.due_in_s(now)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), due_in_s)

    async def drain(self) -> None:
        """Hold nothing back, and wait until all is posted or the connection is gone."""
        self._is_draining = True
        self._held = False
        self.wake()
        await self._idle.wait()

    async def _retry(self, event: Numbered, address: Address, *, may_pass: bool) -> None:
        """Post again, in order, what a connection refused, unless it is of no use.

        A busy connection is not a lost one: no client returns from it to ask for the event.
        """
        if address != self.address:  # moved meanwhile: it is sent again from there
            return
        now = time.monotonic()
        self._refused_since_s = self._refused_since_s or now
        if not may_pass or now > self._refused_since_s + REFUSED_GIVE_UP_S:
            self.gone = True
            return
        self._again.appendleft(event)
        await asyncio.sleep(REFUSED_PAUSE_S)

    def _next(self, now_s: float) -> Numbered | None:
        if self._again:
            return self._again.popleft()
        return self._outbox.take_next(now_s, everything=self._is_draining)

    async def _send(self, event: Numbered) -> None:
        address, frame = self.address, encode(event)  # the address may move during the post
        try:
            await self._post(address, frame)
        except PostRefused as refused:
            await self._retry(event, address, may_pass=refused.may_pass)
            return
        except ConnectionGone:
            if address == self.address:  # if not, `move` has put the event up for posting again
                self.gone = True
            return
        self._refused_since_s = None
        self.posts += 1
        self.posted_bytes += len(frame)
        self._on_posted(event)
