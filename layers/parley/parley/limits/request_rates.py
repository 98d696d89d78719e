"""Token buckets in the table for sessions opened, resumed and read, and for HTTP interruptions.

Each request takes from one account, so it costs one conditional write for an account at rest. The
account is the user's own, or the tenant's where nobody is known or users have no limit of their
own. `parley.limits.turn_quota` counts turns, for both.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable

from parley.clock import now_ms
from parley.errors import ParleyError
from parley.limits.bucket_update import build_bucket_update
from parley.limits.errors import too_many_requests
from parley.limits.rules import (
    Account,
    LimitRules,
    RequestKind,
    list_accounts,
    list_session_accounts,
)
from parley.limits.token_bucket import TokenBucket, Wait, bucket_per_minute
from parley.principal import Principal, SessionRef
from parley.storage.item_codec import number, read_number, read_text
from parley.storage.table import Item, Table

TRIES = 8
"""How often a write is tried when other writes are faster."""
KEPT_MS = 3_600_000
"""How long a bucket's item stays after a token was taken. The bucket is full again sooner."""
BUSY_MS = 1_000
"""When to try again if other writes were faster each time."""


class RequestRates:
    """Takes tokens from the buckets of requests.

    Args:
        table: the table.
        rules: the limits.
        clock: returns the time in ms since the epoch.
    """

    def __init__(self, table: Table, rules: LimitRules, clock: Callable[[], int] = now_ms) -> None:
        self._table = table
        self._rules = rules
        self._now = clock

    def count_request(self, principal: Principal, kind: RequestKind) -> None:
        """Count a request.

        Raises:
            ParleyError: `rate_limited`, with `retry_after_ms` and `limit`.
        """
        self._take_from(list_accounts(principal, self._rules), kind)

    def count_replay(self, ref: SessionRef) -> bool:
        """Return whether a client may be sent more of what it has missed.

        It counts as a session that is resumed: a client that acknowledges nothing could otherwise
        have it sent without end.
        """
        try:
            self._take_from(list_session_accounts(ref, self._rules), "sessions")
        except ParleyError:
            return False
        return True

    def count_tools(self, ref: SessionRef) -> bool:
        """Count a round of tool calls; return whether its calls may run."""
        try:
            self._take_from(list_session_accounts(ref, self._rules), "tool_rounds")
        except ParleyError:
            return False
        return True

    def _take_from(self, accounts: list[Account], kind: RequestKind) -> None:
        # The first account that has a limit counts alone: one write for each request.
        for account in accounts:
            per_minute = account.share.per_minute(kind)
            if per_minute:
                wait_ms = self._take(account, kind, per_minute)
                if wait_ms is not None:
                    raise too_many_requests(account.scope, kind, per_minute, wait_ms)
                return

    def _take(self, account: Account, kind: RequestKind, per_minute: int) -> float | None:
        """Take a token. Return None on success, otherwise the time in ms until there is one.

        The first attempt assumes that the account is at rest. Each later one knows the item.
        """
        # After an outage all connections of an account may return together.
        at_once = account.share.connections if kind == "sessions" else 1
        bucket = bucket_per_minute(per_minute, at_once)
        key, nonce, full_at_ms = _key(account, kind), uuid.uuid4().hex, 0
        for _ in range(TRIES):
            now = self._now()
            decision = bucket.take_tokens(full_at_ms, now)
            if isinstance(decision, Wait):
                return decision.ms
            taken, item = self._try_to_take(key, bucket, full_at_ms, now, nonce)
            # If the answer to this write was lost, its repetition found it done.
            if taken or read_text(item, "taken_by") == nonce:
                return None
            full_at_ms = read_number(item, "full_at")
        return BUSY_MS

    def _try_to_take(
        self, key: Item, bucket: TokenBucket, full_at_ms: int, now: int, nonce: str
    ) -> tuple[bool, Item]:
        change, condition, values = build_bucket_update(bucket, full_at_ms, now, nonce)
        expires = {":expires": number((now + KEPT_MS) // 1000)}
        return self._table.try_update(
            key, f"SET {change}, expires_at = :expires", condition, values | expires
        )


def _key(account: Account, kind: RequestKind) -> Item:
    return {"pk": {"S": account.pk}, "sk": {"S": kind.upper()}}
