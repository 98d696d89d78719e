"""Both sides of a turn, recorded if the deployment records and the user consents."""

from __future__ import annotations

import asyncio
import io
import json
import urllib.request
import wave
from collections.abc import Callable

import pytest

from tests.e2e.raw import opened
from tests.e2e.records import Records
from tests.e2e.stack import Stack

pytestmark = pytest.mark.timeout(120)


async def sounds(records: Records, client: object, count: int) -> dict[str, tuple[int, bytes]]:
    """The recordings of a session's newest turn, fetched by their links: rate and samples."""
    async with asyncio.timeout(20):
        while True:
            messages = (await records.of(client)).json["messages"]  # type: ignore[arg-type]
            links = {each["role"]: each["recording"] for each in messages if "recording" in each}
            if len(links) == count:
                break
            await asyncio.sleep(0.1)
    found = {}
    for role, url in links.items():
        with urllib.request.urlopen(url, timeout=10) as response:
            assert response.headers["content-type"] == "audio/wav"
            with wave.open(io.BytesIO(response.read())) as sound:
                assert (sound.getnchannels(), sound.getsampwidth()) == (1, 2)
                found[role] = (sound.getframerate(), sound.readframes(sound.getnframes()))
    return found


async def test_both_sides_are_recorded_as_they_were_heard_and_sent(
    records: Records, speech: Callable[[str], bytes]
) -> None:
    said = speech("What time is it?")
    async with opened(records.stack.url, settings={"record": True}) as client:
        assert client.ready["settings"]["record"] is True
        reply = await client.speak(said, "t", speed=4)
        found = await sounds(records, client, 2)
    assert found == {"user": (16_000, said), "assistant": (24_000, reply.audio)}
    session = client.ready["session_id"]
    kept = [name for name in records.objects() if session in name]
    prefix = f"recordings/default/anonymous/{session}/t"
    assert sorted(kept) == [f"{prefix}-assistant.wav", f"{prefix}-user.wav"]


async def test_consent_can_be_taken_back(records: Records) -> None:
    async with opened(records.stack.url, settings={"record": True}) as client:
        await client.send(type="config", settings={"record": False})
        assert (await client.other())["settings"]["record"] is False
        await client.say("Good morning.", "t")
        await asyncio.sleep(1)
        assert "recording" not in json.dumps((await records.of(client)).json)


async def test_a_bucket_that_fails_costs_the_recording_and_not_the_turn(records: Records) -> None:
    permissions = records.stack.info["lambda_endpoint"] + "/_local/permissions"
    with urllib.request.urlopen(permissions, timeout=10) as answer:
        roles = json.loads(answer.read())["roles"]
    (name,) = [name for name in roles if "TurnFunction" in name and "Http" not in name]
    without = json.loads(json.dumps(roles[name]).replace("s3:PutObject", "s3:None"))
    try:
        _put(permissions, {name: without})
        async with opened(records.stack.url, settings={"record": True}) as client:
            reply = await client.say("Good morning.", "t")
            assert reply.end["reason"] == "completed"
            async with asyncio.timeout(20):
                while '"not_recorded"' not in records.stack.logs():
                    await asyncio.sleep(0.1)
    finally:
        _put(permissions, roles)


async def test_a_deployment_that_does_not_record_says_so(stack: Stack) -> None:
    async with opened(stack.url, settings={"record": True}) as client:
        assert client.ready["settings"]["record"] is False
        await client.say("Good morning.")


def _put(url: str, roles: dict[str, object]) -> None:
    data = json.dumps({"roles": roles}).encode()
    urllib.request.urlopen(urllib.request.Request(url, data, method="PUT"), timeout=10).close()
