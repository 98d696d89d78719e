"""Recordings of a session's turns in S3: the user's audio and the reply's.

There is one WAV file for each turn and side, under the session's own prefix, so an erasure finds
them all. The calls are synchronous, as botocore is; asynchronous callers run them in threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from parley.audio.wav import write_wav
from parley.principal import SessionRef

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_s3 import S3Client

Side = Literal["user", "assistant"]
LINK_S = 300
"""How long a link to a recording is good, in s."""


class NotErased(Exception):
    """S3 did not delete a recording."""


class Recordings:
    """The recordings in one bucket.

    Args:
        client: makes the S3 client when it is first needed. Making one takes 0.1 s.
        bucket: the bucket's name.
    """

    def __init__(self, client: Callable[[], S3Client], bucket: str) -> None:
        self._make_client = client
        self._made: S3Client | None = None
        self._bucket = bucket

    @property
    def _client(self) -> S3Client:
        if self._made is None:
            self._made = self._make_client()
        return self._made

    def put(self, ref: SessionRef, turn_id: str, side: Side, pcm: bytes, rate_hz: int) -> None:
        """Store one side of a turn. A later attempt at the turn replaces an earlier one's."""
        self._client.put_object(
            Bucket=self._bucket,
            Key=f"{_prefix(ref)}{turn_id}-{side}.wav",
            Body=write_wav(pcm, rate_hz),
            ContentType="audio/wav",
        )

    def delete(self, ref: SessionRef) -> None:
        """Delete all recordings of a session.

        Raises:
            NotErased: some are still there.
        """
        while keys := self._keys(ref):
            answer = self._client.delete_objects(
                Bucket=self._bucket,
                Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True},
            )
            if answer.get("Errors"):
                raise NotErased(f"{len(answer['Errors'])} recordings")

    def delete_turn(self, ref: SessionRef, turn_id: str) -> None:
        """Delete the recordings of one turn, if there are any."""
        for side in get_args(Side):
            key = f"{_prefix(ref)}{turn_id}-{side}.wav"
            self._client.delete_object(Bucket=self._bucket, Key=key)

    def sign_links(self, ref: SessionRef) -> dict[tuple[str, Side], str]:
        """Return URLs of a session's recordings, by turn id and side. They are good for
        `LINK_S`."""
        found: dict[tuple[str, Side], str] = {}
        after = ""
        while keys := self._keys(ref, after):
            after = keys[-1]
            for key in keys:
                turn_id, _, end = key.removeprefix(_prefix(ref)).rpartition("-")
                side: Side = "user" if end == "user.wav" else "assistant"
                found[turn_id, side] = self._client.generate_presigned_url(
                    "get_object", Params={"Bucket": self._bucket, "Key": key}, ExpiresIn=LINK_S
                )
        return found

    def _keys(self, ref: SessionRef, after: str = "") -> list[str]:
        """Return keys of a session's recordings that come after `after`, at most 1,000."""
        answer = self._client.list_objects_v2(
            Bucket=self._bucket, Prefix=_prefix(ref), StartAfter=after
        )
        return [each["Key"] for each in answer.get("Contents", [])]


def _prefix(ref: SessionRef) -> str:
    return f"recordings/{ref}/"
