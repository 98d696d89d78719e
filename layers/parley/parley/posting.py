"""Posts a turn's outbox to its connection: one at a time, in order.

A connection that is gone does not end the turn: what would have been posted is
dropped, and the turn goes on to its place in the history.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from parley.errors import ConnectionGone
from parley.outbox import Outbox
from parley.protocol import ServerEvent, encode

Post = Callable[[bytes], Awaitable[None]]
"""Sends one text frame to the turn's connection; raises `ConnectionGone`."""


class Poster:
    """Empties an outbox.

    Args:
        outbox: what to post.
        post: how to post.
        on_posted: told every event that API Gateway has taken.
    """

    def __init__(
        self, outbox: Outbox, post: Post, on_posted: Callable[[ServerEvent], None]
    ) -> None:
        self._outbox = outbox
        self._post = post
        self._on_posted = on_posted
        self._changed = asyncio.Event()
        self._idle = asyncio.Event()
        self._draining = False
        self.gone = False
        self.posts = 0

    def wake(self) -> None:
        """The outbox has something new."""
        self._idle.clear()
        self._changed.set()

    async def run(self) -> None:
        """Post what comes, until cancelled."""
        while True:
            self._changed.clear()
            now = time.monotonic()
            event = self._outbox.next(now, everything=self._draining)
            if event is not None:
                await self.post(event)
                continue
            if self._outbox.is_empty():
                self._idle.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), self._outbox.due_in_s(now))

    async def drained(self) -> None:
        """Hold nothing back any more, and wait until everything has been posted."""
        self._draining = True
        self.wake()
        await self._idle.wait()

    async def post(self, event: ServerEvent) -> None:
        """Post one event, unless the connection is gone."""
        if self.gone:
            return
        try:
            await self._post(encode(event))
        except ConnectionGone:
            self.gone = True
            return
        self.posts += 1
        self._on_posted(event)
