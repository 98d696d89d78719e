"""How a token is taken out of a bucket in the table: one conditional write that can be repeated."""

from __future__ import annotations

from typing import NamedTuple

from parley.limits.token_bucket import TokenBucket
from parley.storage.item_codec import number
from parley.storage.table import Item


class Taking(NamedTuple):
    """A write in DynamoDB's words.

    Attributes:
        change: what is `SET`.
        condition: what must hold.
        values: of both.
    """

    change: str
    condition: str
    values: Item


def taking(bucket: TokenBucket, full_at_ms: int, now_ms: int, nonce: str) -> Taking:
    """Take a token.

    Args:
        full_at_ms: how the bucket was last seen to be; 0 for one that has not been used.
        nonce: of all tries to take this token: should the answer to one be lost, the next finds
            `taken_by` to be it.
    """
    interval = round(bucket.interval_ms)
    values = {":now": number(now_ms), ":nonce": {"S": nonce}}
    if full_at_ms <= now_ms:
        change, state = ":full", "(attribute_not_exists(full_at) OR full_at <= :now)"
        values[":full"] = number(now_ms + interval)
    else:  # whatever others take meanwhile: as long as there is one left
        change, state = "full_at + :interval", "full_at > :now AND full_at <= :latest"
        values |= {
            ":interval": number(interval),
            ":latest": number(now_ms + round((bucket.burst - 1) * interval)),
        }
    condition = f"{state} AND (attribute_not_exists(taken_by) OR taken_by <> :nonce)"
    return Taking(f"full_at = {change}, taken_by = :nonce", condition, values)
