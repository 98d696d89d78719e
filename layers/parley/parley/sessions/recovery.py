"""Ends turns whose function died, so that no client waits for them.

A turn function that is killed, or runs out of memory or time, sends nothing more. API Gateway tells
the client whose message began the turn, which then asks. Lambda reports a turn that the agent began
to the failure destination. A client that has waited long may ask too.
"""

from __future__ import annotations

from collections.abc import Callable

from parley.errors import ParleyError
from parley.principal import SessionRef
from parley.protocol.messages import Error, Metrics, TurnEnd, encode
from parley.sessions.store_and_forward import StoreAndForward, stored_frames
from parley.sessions.sweep import sweep_if_erased
from parley.storage.item_codec import TurnAttempt
from parley.storage.sessions import SessionStore
from parley.storage.turns import TurnStore

DIED = ParleyError(
    "internal", "The reply broke off through a fault on our side. Try again.", retryable=True
)


class Recovery:
    """Ends dead turns.

    Args:
        post: sends a frame: endpoint, connection id, frame.
    """

    def __init__(
        self, sessions: SessionStore, turns: TurnStore, post: Callable[[str, str, bytes], None]
    ) -> None:
        self._sessions = sessions
        self._turns = turns
        self._post = post

    def end_dead_turn(
        self, ref: SessionRef, turn_id: str, owner: str | None, attempt: int = 1
    ) -> bool:
        """End an attempt and tell the client, unless it has ended or an invocation runs it.

        Args:
            owner: the invocation that is known to be dead; None if only its lease tells.
            attempt: the attempt that it was to run, or that the client waits for: the client has
                given up those before.

        Returns:
            Whether the turn has failed and the client was told, now or for its return.
        """
        failed = self._turns.fail_turn(ref, turn_id, owner, attempt)
        if failed is None and owner is not None:
            # Report it again: who ended it may have died before the client knew. A client that
            # knows ignores the report.
            failed = self._turns.get_failed_attempt(ref, turn_id, owner)
        if failed is not None:
            self.report_failed_turn(ref, turn_id, failed)
        if sweep_if_erased(self._sessions, ref):
            return False
        return failed is not None

    def report_failed_turn(self, ref: SessionRef, turn_id: str, failed: TurnAttempt) -> None:
        """Tell the client that a turn has failed: on its connection, or when it returns.

        Args:
            failed: the attempt that has failed.
        """
        error = Error.from_error(DIED, turn_id=turn_id, seq=0, attempt=failed.number)
        end = TurnEnd(turn_id, 0, "failed", "", Metrics(), code=DIED.code, attempt=failed.number)
        end.retryable = DIED.retryable
        # Stored events are found by their number, which these two lack. The end alone says all.
        stored = stored_frames(turn_id, failed, [end])
        forward = StoreAndForward(self._sessions, self._turns, self._post)
        forward.post_or_store(ref, [encode(error), encode(end)], stored)
