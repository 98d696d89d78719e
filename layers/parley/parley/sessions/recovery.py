"""Ends turns whose function died, so that nobody waits for them.

A turn function that is killed, runs out of memory or out of time says nothing more. Lambda
tells its failure destination at once; a client that has waited long may ask too.
"""

from __future__ import annotations

from collections.abc import Callable

from parley.errors import ParleyError
from parley.principal import SessionRef
from parley.protocol.messages import Error, Metrics, TurnEnd, encode
from parley.sessions.store_and_forward import StoreAndForward, stored_frames
from parley.storage.item_codec import TurnClaim
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
        self, store: SessionStore, turns: TurnStore, post: Callable[[str, str, bytes], None]
    ) -> None:
        self._store = store
        self._turns = turns
        self._post = post

    def end_dead_turn(
        self, ref: SessionRef, turn_id: str, owner: str | None, attempt: int = 1
    ) -> bool:
        """End an attempt and tell the client, unless it has ended or somebody runs it.

        One whose owner is known to be dead is told of again: whoever ended it may have failed
        before the client knew, and a client that knows takes no notice.

        Args:
            owner: the invocation that is known to be dead; None if only its lease tells.
            attempt: which attempt it was to run, or the client waits for: it has given up those
                before.
        """
        claim = self._turns.fail_turn(ref, turn_id, owner, attempt)
        if claim is None and owner is not None:
            claim = self._turns.failed_with(ref, turn_id, owner)
        if claim is not None:
            self.tell(ref, turn_id, claim)
        if not self._store.is_there(ref):  # erased: nothing of the turn may be left
            self._store.sweep(ref)
            return False
        return claim is not None

    def tell(self, ref: SessionRef, turn_id: str, claim: TurnClaim) -> None:
        """Tell the client that a turn has failed, wherever it is now, or when it returns."""
        error = Error.of(DIED, turn_id=turn_id, seq=0, attempt=claim.attempt)
        end = TurnEnd(turn_id, 0, "failed", "", Metrics(), code=DIED.code, attempt=claim.attempt)
        end.retryable = DIED.retryable
        # Both have no number, and what is stored is found by it. The end alone says all.
        stored = stored_frames(turn_id, claim, [end])
        forward = StoreAndForward(self._store, self._turns, self._post)
        forward.post_or_store(ref, [encode(error), encode(end)], stored)
