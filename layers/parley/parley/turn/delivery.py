"""The end of a turn's delivery: the client has everything, or it is stored for its return.

Costs a healthy client nothing but its `ack`. Of one that is away or silent, what it may
not have is stored, and the message function sends it at the session's next `init`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

from parley.aws.management_api import Address
from parley.sessions.store_and_forward import find_session, next_address, stored_frames
from parley.storage.item_codec import StoredFrame
from parley.turn.context import TurnContext

ACK_WAIT_S = 1.5
"""How long a client may take to acknowledge what has been posted to it."""
SLOW_LINK_BYTES_PER_S = 125_000
"""1 Mbit/s: what was posted may still be on its way to a client on such a link."""
MAX_ACK_WAIT_S = 15.0


def ack_wait_s(posted_bytes: int) -> float:
    """Return how long to wait for a client that was sent so much."""
    return min(MAX_ACK_WAIT_S, ACK_WAIT_S + posted_bytes / SLOW_LINK_BYTES_PER_S)


class SessionErased(Exception):
    """The session is erased: nothing of it may be stored."""


class Delivery:
    """See the events of a turn that has ended in the table to their end."""

    def __init__(self, turn: TurnContext) -> None:
        self._turn = turn

    async def deliver(self) -> bool:
        """Wait until the client has everything, or store what it may not have.

        A client that comes back tells the turn first and then reads what is stored; the turn
        stores first and then looks whether it was told. So one of the two finds the other.

        Returns:
            Whether the client has acknowledged everything.
        """
        sender, poller = self._turn.sender, self._turn.poller
        while True:
            if await self._wait_for_ack():
                return True
            try:
                moved_to = await self._find_client_elsewhere()
            except SessionErased:
                return False
            if moved_to is not None:
                sender.move(moved_to, poller.acknowledged_seq)
                continue
            # Before the last look: a client that returns in between finds what is stored.
            turns, ref = self._turn.services.turns, self._turn.request.session
            await asyncio.to_thread(turns.put_undelivered, ref, self._undelivered())
            address = sender.address
            await poller.poll()
            if sender.address == address:
                return False

    async def _wait_for_ack(self) -> bool:
        """Return whether the client says, in time, that it has everything."""
        sender, poller, outbox = self._turn.sender, self._turn.poller, self._turn.outbox
        await sender.drain()
        poller.expect_ack()
        # The last second of the invocation is for storing what has not arrived.
        wait_s = min(ack_wait_s(sender.posted_bytes), self._turn.invocation.remaining_s() - 1.0)
        deadline = time.monotonic() + max(0.0, wait_s)
        while True:
            await sender.drain()
            # Cleared before it is looked what came: what comes while we look sets it again.
            poller.client_news.clear()
            outbox.acknowledge(poller.acknowledged_seq)
            if outbox.is_empty() and not outbox.unacknowledged(0):
                return True
            left_s = deadline - time.monotonic()
            if sender.gone or left_s <= 0:
                return False
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(poller.client_news.wait(), left_s)

    async def _find_client_elsewhere(self) -> Address | None:
        """Return where the session has moved to without having told this turn; None if nowhere.

        Raises:
            SessionErased: nobody comes back to it.
        """
        store, ref = self._turn.services.sessions, self._turn.request.session
        try:
            session = await asyncio.to_thread(find_session, store, ref)
        except Exception:
            return None  # what matters more comes next: storing what has not arrived
        if session is None:
            raise SessionErased
        return next_address(session, self._turn.sender.address)

    def _undelivered(self) -> list[StoredFrame]:
        outbox = self._turn.outbox
        if self._turn.stop.interrupted:
            outbox.drop_unsent()
        outbox.number_all(time.monotonic())
        events = outbox.unacknowledged(self._turn.poller.acknowledged_seq)
        return stored_frames(self._turn.request.turn_id, self._turn.attempt, events)
