"""An erased session leaves nothing: not in the table, not in the bucket, not by what comes late."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.e2e.raw import RawClient, opened, pcm_chunks
from tests.e2e.records import Records
from tests.e2e.until import until

pytestmark = pytest.mark.timeout(180)
QUESTION = "Tell me a long story about a periwinkle lighthouse."
RARE = "periwinkle"


def names(client: RawClient, *turns: str) -> list[str]:
    """What must be nowhere: the session, its turns, its token's owner's words."""
    return [client.ready["session_id"], RARE, *turns]


async def refused(client: RawClient) -> dict[str, Any]:
    """What a connected client is told when it goes on."""
    async with asyncio.timeout(20):
        while True:
            event = await client.other()
            if event["type"] == "error":
                return event


async def test_a_session_that_is_over_is_gone(records: Records) -> None:
    async with opened(records.stack.url, settings={"record": True}) as client:
        reply = await client.say(QUESTION, "turn-one")
        recording = "turn-one-assistant.wav"
        await until(lambda: any(each.endswith(recording) for each in records.objects()))
    traces = [*names(client, "turn-one"), reply.text]
    assert records.traces(traces) == traces
    assert (await records.erase(client.ready)).status == 204
    await records.no_traces(traces)
    assert (await records.erase(client.ready)).status == 404
    assert (await records.of(client)).status == 404


async def test_a_turn_that_runs_is_stopped_and_leaves_nothing(records: Records) -> None:
    records.stack.llm.put(delays={"llm_token_ms": 150})
    async with opened(records.stack.url, settings={"record": True}) as client:
        await client.send(type="user_message", turn_id="turn-two", text=QUESTION)
        await client.has("turn-two", "reply_text")
        assert (await records.erase(client.ready)).status == 204
        await records.no_traces(names(client, "turn-two"))
        reply = await client.ended("turn-two")
        assert reply.end["reason"] != "completed"
    await records.no_traces(names(client, "turn-two"))


async def test_chunks_that_still_come_leave_nothing(
    records: Records, speech: Callable[[str], bytes]
) -> None:
    chunks = pcm_chunks(speech(QUESTION), 200) * 20
    async with opened(records.stack.url) as client:
        await client.send(
            type="audio_start", turn_id="turn-three", format="pcm_16000", endpointing="manual"
        )
        erased = asyncio.Event()

        async def talk() -> None:
            for seq, chunk in enumerate(chunks, 1):
                await client.chunk("turn-three", seq, chunk)
                await asyncio.sleep(0.1)  # twice as fast as it is spoken
                if erased.is_set() and seq % 5 == 0:
                    return

        talking = asyncio.create_task(talk())
        await client.has("turn-three", "transcript")
        assert (await records.erase(client.ready)).status == 204
        erased.set()
        await talking
        error = await refused(client)
        assert error["code"] in ("session_not_found", "not_initialised")
    await records.no_traces(names(client, "turn-three"))


async def test_events_that_were_not_delivered_are_gone(records: Records) -> None:
    async with opened(records.stack.url) as client:
        client.acknowledges = False
        # Short: the longer a reply, the longer its acknowledgement is waited for.
        await client.say(f"Repeat after me: {RARE}.", "turn-four")
    await until(lambda: "OUT#" in records.everything(), timeout_s=30)
    assert (await records.erase(client.ready)).status == 204
    await records.no_traces(names(client, "turn-four"))


async def test_who_comes_back_at_the_same_time_brings_nothing_back(records: Records) -> None:
    records.stack.llm.put(delays={"llm_token_ms": 100})
    async with opened(records.stack.url) as client:
        await client.send(type="user_message", turn_id="turn-five", text=QUESTION)
        await client.has("turn-five", "reply_text")
    token = {name: client.ready[name] for name in ("session_id", "resume_token")}

    async def come_back() -> None:
        async with opened(records.stack.url, init=False) as second:
            await second.send(
                type="init", protocol=1, **token, received={"turn_id": "turn-five", "seq": 1}
            )
            answer = await second.other(30)
            if answer["type"] == "error":
                assert answer["code"] in ("session_not_found", "resume_denied")
                return
            try:
                for number in range(10):
                    turn = f"turn-five-{number}"
                    await second.send(type="user_message", turn_id=turn, text=QUESTION)
                    await second.send(type="ack", turn_id=turn, seq=1)
                    await asyncio.sleep(0.1)
            except ConnectionClosed:
                return

    coming = [asyncio.create_task(come_back()) for _ in range(2)]
    # Whoever comes back is given another token; this one stays good until that one is shown.
    assert (await records.erase(client.ready)).status == 204
    await asyncio.gather(*coming)
    assert (await records.of(client)).status == 404
    await records.no_traces(names(client, "turn-five"))
