"""The end of a turn's delivery: the client has everything, or it is kept for its return.

Costs a healthy client nothing but its `ack`. Of one that is away or silent, what it may
not have is stored, and the message function sends it at the session's next `init`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from parley.protocol.turn_request import TurnRequest
from parley.sessions.store_and_forward import find_session, next_address, stored_frames
from parley.storage.item_codec import StoredFrame, TurnClaim
from parley.storage.sessions import SessionStore
from parley.storage.turns import TurnStore
from parley.turn.input.poller import InboxPoller
from parley.turn.output.outbox import Outbox
from parley.turn.output.sender import Sender
from parley.turn.stop import TurnStop

ACK_WAIT_S = 1.5
"""How long a client may take to acknowledge what has been posted to it."""
SLOW_LINK_BYTES_PER_S = 125_000
"""1 Mbit/s: what was posted may still be on its way to a client on such a link."""
MAX_ACK_WAIT_S = 15.0


def ack_wait_s(posted_bytes: int) -> float:
    """How long to wait for a client that was sent so much."""
    return min(MAX_ACK_WAIT_S, ACK_WAIT_S + posted_bytes / SLOW_LINK_BYTES_PER_S)


class Delivery:
    """Sees a turn's events to their end.

    Args:
        remaining_s: how much of the invocation's time is left.
    """

    def __init__(
        self,
        request: TurnRequest,
        claim: TurnClaim,
        outbox: Outbox,
        poster: Sender,
        watching: InboxPoller,
        stop: TurnStop,
        store: SessionStore,
        turns: TurnStore,
        *,
        remaining_s: Callable[[], float],
    ) -> None:
        self._request = request
        self._claim = claim
        self._outbox = outbox
        self._poster = poster
        self._watching = watching
        self._stop = stop
        self._store = store
        self._turns = turns
        self._remaining_s = remaining_s

    async def finish(self) -> bool:
        """Wait until the client has everything, or keep what it may not have.

        The turn has ended in the table by now. A client that comes back tells the turn first
        and then reads what is stored; the turn stores first and then looks whether it was told.
        So one of the two finds the other.

        Returns:
            Whether the client has acknowledged everything.
        """
        while True:
            if await self._acknowledged():
                return True
            try:
                session = await asyncio.to_thread(find_session, self._store, self._request.session)
            except Exception:  # what matters more comes next: storing what has not arrived
                moved_to = None
            else:
                if session is None:
                    return False
                moved_to = next_address(session, self._poster.address)
            if moved_to is not None:  # without having told this turn
                self._poster.move(moved_to, self._watching.acknowledged_seq)
                continue
            await asyncio.to_thread(
                self._turns.put_undelivered, self._request.session, self._frames()
            )
            address = self._poster.address
            await self._watching.look()
            if self._poster.address == address:
                return False

    async def _acknowledged(self) -> bool:
        """Whether the client says, in time, that it has everything."""
        await self._poster.drained()
        wait_s = min(ack_wait_s(self._poster.posted_bytes), self._remaining_s() - 1.0)
        deadline = time.monotonic() + max(0.0, wait_s)
        while True:
            await self._poster.drained()
            self._watching.news.clear()
            self._outbox.acknowledge(self._watching.acknowledged_seq)
            if self._outbox.is_empty() and not self._outbox.after(0):
                return True
            left_s = deadline - time.monotonic()
            if self._poster.gone or left_s <= 0:
                return False
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._watching.news.wait(), left_s)

    def _frames(self) -> list[StoredFrame]:
        if self._stop.interrupted:
            self._outbox.drop_unsent()
        while self._outbox.next(time.monotonic(), everything=True) is not None:
            pass  # numbered now; `after` has it
        events = self._outbox.after(self._watching.acknowledged_seq)
        return stored_frames(self._request.turn_id, self._claim, events)
