"""Finds the answers of turns that were run before, so that a request can be repeated safely."""

from __future__ import annotations

from parley.clock import now_ms
from parley.errors import ParleyError
from parley.http.turn_answer import encode_broken_turn, is_complete, is_remainder
from parley.limits.request_rates import RequestRates
from parley.principal import Principal, SessionRef
from parley.storage.turns import TurnStore

RETRY_AFTER_MS = 1000
"""When to ask again for a turn that still runs."""


class StoredAnswers:
    """Finds the answers of earlier turns.

    Args:
        requests: counts the answers that are read; None if they are not limited.
    """

    def __init__(self, turns: TurnStore, requests: RequestRates | None) -> None:
        self._turns = turns
        self._requests = requests

    def is_repeated(self, ref: SessionRef, turn_id: str, attempt: int | None) -> bool:
        """Return whether a turn was asked for before, so that this request would not run it.

        Args:
            attempt: the attempt that the request asks for; None if it does not say.
        """
        turn = self._turns.get_turn(ref, turn_id)
        if turn is None:
            return False
        if attempt is not None:
            return turn.attempt.number >= attempt
        return turn.lease_until_ms > now_ms() if turn.running else turn.state != "failed"

    def read_events(
        self, principal: Principal, ref: SessionRef, turn_id: str, *, complete: bool
    ) -> list[bytes]:
        """Read the events of a turn that is not this request's to run, as JSON.

        Args:
            principal: whose reads are counted, because an answer may have megabytes.
            complete: whether all events are needed. A client that follows the events may have
                received the first ones over its WebSocket.

        Raises:
            ParleyError: `turn_running`, `turn_over` or `rate_limited`.
        """
        turn = self._turns.get_turn(ref, turn_id)
        if turn is not None and not turn.running:
            if self._requests is not None:
                self._requests.count_request(principal, "reads")
            attempt = turn.attempt.number
            frames = self._turns.get_answer(ref, turn_id, attempt) or [
                stored.frame
                for stored in self._turns.list_undelivered_of_turn(
                    ref, turn_id, turn.attempt.started_ms
                )
                if stored.attempt == attempt
            ]
            if is_complete(frames) or (not complete and is_remainder(frames)):
                return frames
        if turn is not None and turn.running and turn.lease_until_ms <= now_ms():
            failed = self._turns.fail_turn(ref, turn_id, None, turn.attempt.number)
            # The request names this attempt, so it is not run again: its function has died.
            if failed is not None:
                frames = encode_broken_turn(turn_id, failed.number)
                self._turns.put_answer(ref, turn_id, failed.number, frames)
                return frames
        if turn is None or turn.running or turn.lease_until_ms > now_ms():
            raise ParleyError(
                "turn_running",
                "This turn runs already. Send the same request again for its answer.",
                retryable=True,
                turn_id=turn_id,
                retry_after_ms=RETRY_AFTER_MS,
            )
        raise ParleyError(
            "turn_over",
            "This turn has ended, and its answer is no longer kept. What was said is in the "
            "session's history.",
            turn_id=turn_id,
        )
