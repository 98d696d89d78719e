"""The conditional write that takes a token from a bucket in the table. It may be repeated."""

from __future__ import annotations

from typing import NamedTuple

from parley.limits.token_bucket import TokenBucket
from parley.storage.item_codec import number
from parley.storage.table import Item


class BucketUpdate(NamedTuple):
    """A write, in DynamoDB's expressions.

    Attributes:
        change: the content of the `SET` clause.
        condition: the condition expression.
        values: the values of both.
    """

    change: str
    condition: str
    values: Item


def build_bucket_update(
    bucket: TokenBucket, full_at_ms: int, now_ms: int, nonce: str
) -> BucketUpdate:
    """Return the write that takes a token.

    Args:
        bucket: the bucket's rule.
        full_at_ms: the bucket's state when it was last read; 0 for a bucket that has not been used.
        now_ms: the time, in ms since the epoch.
        nonce: the same for all attempts to take this token. If the answer to an attempt is lost,
            the next one finds it in `taken_by`.
    """
    interval = round(bucket.interval_ms)
    values = {":now": number(now_ms), ":nonce": {"S": nonce}}
    if full_at_ms <= now_ms:
        change, state = ":full", "(attribute_not_exists(full_at) OR full_at <= :now)"
        values[":full"] = number(now_ms + interval)
    else:  # others may take tokens in the meantime, as long as one is left
        change, state = "full_at + :interval", "full_at > :now AND full_at <= :latest"
        values |= {
            ":interval": number(interval),
            ":latest": number(now_ms + round((bucket.burst - 1) * interval)),
        }
    condition = f"{state} AND (attribute_not_exists(taken_by) OR taken_by <> :nonce)"
    return BucketUpdate(f"full_at = {change}, taken_by = :nonce", condition, values)
