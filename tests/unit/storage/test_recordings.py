"""Recordings: one turn's audio as it is kept, and the bucket, which is moto's."""

from __future__ import annotations

import io
import urllib.parse
import wave
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.config import Config

from parley.principal import Principal
from parley.protocol.messages import Audio, ReplyText
from parley.protocol.turn_request import TurnRequest
from parley.storage.recordings import LINK_S, NotErased, Recordings
from parley.turn import audio_recorder as recording_module
from parley.turn.audio_recorder import TIME_S, AudioRecorder
from tests import moto_table
from tests.moto_table import mock_aws

ADA = Principal("acme", "ada/../bob")
REF = ADA.session("s")


@pytest.fixture
def client() -> Iterator[Any]:
    with mock_aws():
        found = moto_table.client("s3", config=Config(signature_version="s3v4"))
        found.create_bucket(Bucket="bucket")
        yield found


@pytest.fixture
def recordings(client: Any) -> Recordings:
    return Recordings(lambda: client, "bucket")


def keys(client: Any) -> list[str]:
    found = client.list_objects_v2(Bucket="bucket", MaxKeys=1_000)
    return [each["Key"] for each in found.get("Contents", [])]


def kept(client: Any, key: str) -> tuple[int, bytes]:
    """Sample rate and samples of a recording."""
    body = client.get_object(Bucket="bucket", Key=key)["Body"].read()
    with wave.open(io.BytesIO(body)) as sound:
        return sound.getframerate(), sound.readframes(sound.getnframes())


def request(ref: Any = REF) -> TurnRequest:
    return TurnRequest(ref, "t", "c", "https://x", 0, format="pcm_8000")


def audio(seq: int, pcm: bytes) -> Audio:
    return Audio("t", seq, pcm, "pcm_24000", 0, 0)


async def recorded(
    recordings: Recordings | None, *, remaining_s: float = 60
) -> tuple[AudioRecorder, list[tuple[str, dict[str, Any]]]]:
    """A turn in which both sides said something, and what was logged."""
    log: list[tuple[str, dict[str, Any]]] = []
    made = AudioRecorder(
        recordings, request(), "pcm_24000", lambda name, fields: log.append((name, fields))
    )
    for event in (ReplyText("t", 1, "x"), audio(2, b"ab"), audio(3, b"cd"), audio(2, b"")):
        made.note_posted(event)
    await made.store([b"12", b"34"], remaining_s)
    return made, log


async def test_both_sides_are_kept_and_what_is_sent_again_is_not_kept_twice(
    client: Any, recordings: Recordings
) -> None:
    _, log = await recorded(recordings)
    prefix = f"recordings/{REF}/t"
    assert keys(client) == [f"{prefix}-assistant.wav", f"{prefix}-user.wav"]
    assert kept(client, f"{prefix}-user.wav") == (8_000, b"1234")
    assert kept(client, f"{prefix}-assistant.wav") == (24_000, b"abcd")
    assert log == []


async def test_nothing_is_kept_of_who_did_not_consent(client: Any) -> None:
    made, _ = await recorded(None)
    assert not made.failed
    assert keys(client) == []


async def test_a_bucket_that_fails_is_logged_and_counted(client: Any) -> None:
    made, log = await recorded(Recordings(lambda: client, "no-such-bucket"))
    assert made.failed
    assert [name for name, _ in log] == ["not_recorded"] * 2


async def test_a_turn_whose_time_is_up_is_not_recorded(client: Any, recordings: Recordings) -> None:
    made, log = await recorded(recordings, remaining_s=TIME_S - 1)
    assert (made.failed, keys(client)) == (True, [])
    assert log == [("not_recorded", {"error": "TimeIsUp"})]


async def test_only_so_much_is_kept(
    client: Any, recordings: Recordings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording_module, "MAX_BYTES", 2)
    _, log = await recorded(recordings)
    assert kept(client, f"recordings/{REF}/t-user.wav") == (8_000, b"12")
    assert ("recording_cut", {"side": "user"}) in log


def test_a_session_s_recordings_are_found_and_erased_and_no_other_s(
    client: Any, recordings: Recordings
) -> None:
    for ref in (REF, ADA.session("s2"), Principal("acme", "ada").session("s")):
        recordings.put(ref, "t-1", "user", b"ab", 8_000)
        recordings.put(ref, "t-1", "assistant", b"ab", 8_000)
    links = recordings.sign_links(REF)
    assert set(links) == {("t-1", "user"), ("t-1", "assistant")}
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(links["t-1", "user"]).query)
    assert int(query["X-Amz-Expires"][0]) == LINK_S
    recordings.delete_turn(REF, "t-2")
    assert len(recordings.sign_links(REF)) == 2
    recordings.delete(REF)
    assert recordings.sign_links(REF) == {}
    assert len(keys(client)) == 4


def test_more_than_one_page_is_found_and_erased(
    client: Any, recordings: Recordings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "10")  # S3's pages have 1,000
    for number in range(23):
        client.put_object(Bucket="bucket", Key=f"recordings/{REF}/t{number}-user.wav", Body=b"")
    assert len(recordings.sign_links(REF)) == 23
    recordings.delete(REF)
    assert keys(client) == []


def test_what_s3_would_not_delete_is_an_error(client: Any, recordings: Recordings) -> None:
    recordings.put(REF, "t", "user", b"ab", 8_000)
    client.delete_objects = lambda **_: {"Errors": [{"Key": "k", "Code": "InternalError"}]}
    with pytest.raises(NotErased):
        recordings.delete(REF)
