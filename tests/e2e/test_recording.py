"""Both sides of a turn, recorded if the deployment records and the user consents."""

from __future__ import annotations

import asyncio
import io
import json
import urllib.error
import urllib.request
import wave
from collections.abc import Callable

import pytest

from tests.e2e.http_api import HttpSession, until_asked
from tests.e2e.raw import opened
from tests.e2e.records import Records
from tests.e2e.until import until

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
    before = len(records.stack.logs())
    async with opened(records.stack.url, settings={"record": True}) as client:
        await client.send(type="config", settings={"record": False})
        assert (await client.other())["settings"]["record"] is False
        await client.say("Good morning.", "t")
        # the last that its function does
        await logged(records, '"turn_ended"', before, client.ready["session_id"])
        assert "recording" not in json.dumps((await records.of(client)).json)
        assert not [name for name in records.objects() if client.ready["session_id"] in name]


async def logged(records: Records, text: str, before: int, session_id: str = "") -> None:
    """Wait for a line of the log that holds a text, and names a session."""
    await until(
        lambda: any(
            text in line and session_id in line
            for line in records.stack.logs()[before:].splitlines()
        )
    )


async def test_a_bucket_that_fails_costs_the_recording_and_not_the_turn(records: Records) -> None:
    before = len(records.stack.logs())
    with records.stack.without("TurnFunction", "s3:PutObject"):
        async with opened(records.stack.url, settings={"record": True}) as client:
            reply = await client.say("Good morning.", "t")
            assert reply.end["reason"] == "completed"
            await logged(records, '"not_recorded"', before)


async def test_a_bucket_that_fails_costs_a_turn_over_http_its_recording_alone(
    records: Records,
) -> None:
    before = len(records.stack.logs())
    with records.stack.without("HttpTurnFunction", "s3:PutObject"):
        async with HttpSession(records.stack) as session:
            turn = await session.say("Good morning.", settings={"record": True})
    assert turn["reason"] == "completed"
    await logged(records, '"not_recorded"', before)


@pytest.mark.parametrize(
    ("action", "method"), [("s3:ListBucket", "GET"), ("s3:DeleteObject", "DELETE")]
)
async def test_reading_and_erasing_need_what_is_granted(
    records: Records, action: str, method: str
) -> None:
    before = len(records.stack.logs())
    async with opened(records.stack.url, settings={"record": True}) as client:
        await client.say("Good morning.", "t")
        await sounds(records, client, 1)
        # until then it removes what it has kept by itself, should the session be erased
        await logged(records, '"turn_ended"', before, client.ready["session_id"])
        path, token = f"/sessions/{client.ready['session_id']}", client.ready["resume_token"]
        with records.stack.without("SessionsFunction", action):
            assert (await records.ask(path, method, X_Resume_Token=token)).status == 500
        assert (await records.erase(client.ready)).status == 204, "what broke off is finished"
        assert records.traces([client.ready["session_id"]]) == []


async def test_a_link_is_good_for_what_the_function_may_read(records: Records) -> None:
    async with opened(records.stack.url, settings={"record": True}) as client:
        await client.say("Good morning.", "t")
        await sounds(records, client, 1)
        link = (await records.of(client)).json["messages"][1]["recording"]
        with records.stack.without("SessionsFunction", "s3:GetObject"):
            with pytest.raises(urllib.error.HTTPError) as refused:
                await asyncio.to_thread(urllib.request.urlopen, link, timeout=10)
            refused.value.close()
            assert refused.value.code == 403


async def test_a_turn_of_an_erased_session_removes_what_it_may_have_recorded(
    records: Records,
) -> None:
    before = len(records.stack.logs())
    async with opened(records.stack.url, settings={"record": True}) as client:
        await client.say("Good morning.", "t1")
        with records.stack.without("TurnFunction", "s3:DeleteObject"):
            erasing = asyncio.create_task(records.erase(client.ready))
            while (await records.of(client)).status != 404:
                await asyncio.sleep(0.05)
            await client.send(type="user_message", turn_id="t2", text="Good morning.")
            await logged(records, '"not_swept"', before)
            assert (await erasing).status == 204


async def test_a_turn_over_http_of_an_erased_session_removes_what_it_may_have_recorded(
    records: Records,
) -> None:
    before = len(records.stack.logs())
    records.stack.llm.put(delays={"llm_first_token_ms": 20_000})  # it runs until it is stopped
    async with HttpSession(records.stack) as session:
        await session.open()
        ready = {"session_id": session.session_id, "resume_token": session.token}
        turn = asyncio.create_task(session.post(text="Hello.", settings={"record": True}))
        await until_asked(records.stack)
        with records.stack.without("HttpTurnFunction", "s3:DeleteObject"):
            assert (await records.erase(ready)).status == 204
            await turn
        own = [x for x in records.stack.logs()[before:].splitlines() if "HttpTurnFunction" in x]
    assert any('"not_swept"' in line for line in own)
    assert any("s3:DeleteObject" in line for line in own)


async def test_a_conversation_is_held_and_recorded_under_the_users_own_key(
    records: Records,
) -> None:
    before = len(records.stack.logs())
    async with opened(records.stack.url, settings={"record": True}) as client:
        assert (await client.say("Good morning.", "t")).end["reason"] == "completed"
        await sounds(records, client, 1)
    assert "is not authorized" not in records.stack.logs()[before:]
