"""The longest principal's keys fit into S3 and DynamoDB, with the longest ids of the rest."""

from __future__ import annotations

from typing import Any

from parley.auth.claims import MAX_KEY_BYTES
from parley.ids import new_ulid
from parley.principal import Principal
from parley.storage.item_codec import answer_key, session_key
from parley.storage.recordings import Recordings

S3_KEY_BYTES = 1_024
PARTITION_KEY_BYTES, SORT_KEY_BYTES = 2_048, 1_024


class _Bucket:
    def __init__(self) -> None:
        self.keys: list[str] = []

    def put_object(self, *, Key: str, **_: Any) -> None:
        self.keys.append(Key)


def test_what_the_longest_principal_says_can_be_kept_and_recorded() -> None:
    principal = Principal("t", "x" * (MAX_KEY_BYTES - 2))
    assert len(principal.key) == MAX_KEY_BYTES
    ref, turn_id, bucket = principal.session(new_ulid()), "t" * 64, _Bucket()
    bucket_client: Any = bucket  # no whole client
    recordings: Any = Recordings(lambda: bucket_client, "bucket")
    recordings.put(ref, turn_id, "assistant", b"\0\0", 8_000)
    assert len(bucket.keys[0]) <= S3_KEY_BYTES
    assert len(session_key(ref)["pk"]["S"]) <= PARTITION_KEY_BYTES
    assert len(answer_key(ref, turn_id, 999, 1)["sk"]["S"]) <= SORT_KEY_BYTES
