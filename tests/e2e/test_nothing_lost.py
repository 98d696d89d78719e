"""Connections break, clients come back, functions die: nothing is lost, nothing comes twice."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Any

from tests.e2e.raw import Event, RawClient, opened, pcm_chunks
from tests.e2e.stack import Stack
from tests.e2e.until import until

LONG = "Tell me a story about the sea."


def back(client: RawClient, turn_id: str) -> dict[str, Any]:
    """What a client comes back with: it has this turn as far as it goes."""
    return {
        "session_id": client.ready["session_id"],
        "resume_token": client.ready["resume_token"],
        "received": {"turn_id": turn_id, "seq": len(client.reply(turn_id).events)},
    }


async def vanish(client: RawClient) -> None:
    """Break the connection, without a goodbye."""
    client.socket.transport.abort()
    await client.socket.wait_closed()


def spoken(stack: Stack) -> bytes:
    """All audio of the last reply, as the synthesizer sent it."""
    record = [r for r in stack.elevenlabs.requests() if "multi-stream" in r["path"]][-1]
    return stack.elevenlabs.audio(record["id"], "out")


def joined(*parts: list[Event]) -> list[Event]:
    """The events of a turn from several connections."""
    return [event for part in parts for event in part]


def audio_of(events: list[Event]) -> bytes:
    return b"".join(base64.b64decode(e["audio"]) for e in events if e["type"] == "audio")


async def test_a_turn_follows_its_client_to_a_new_connection(stack: Stack) -> None:
    stack.llm.put(delays={"llm_token_ms": 40})
    async with opened(stack.url) as first:
        await first.send(type="user_message", turn_id="t", text=LONG)
        await first.has("t", "audio")
        await vanish(first)
    async with opened(stack.url, **back(first, "t")) as second:
        assert second.ready["resumed"] is True
        reply = await second.ended("t")
    events = joined(first.reply("t").events, reply.events)
    assert [event["seq"] for event in events] == [*range(1, len(events) + 1)]
    assert reply.end["reason"] == "completed"
    assert audio_of(events) == spoken(stack)
    assert "".join(e["delta"] for e in events if e["type"] == "reply_text") == reply.end["text"]


async def test_a_reply_that_ended_while_its_client_was_away_waits_for_it(stack: Stack) -> None:
    stack.llm.put(delays={"llm_token_ms": 5})
    async with opened(stack.url) as first:
        await first.send(type="user_message", turn_id="t", text=LONG)
        await first.has("t", "reply_text")
        await vanish(first)
    log = len(stack.logs())
    await until(lambda: '"turn_ended"' in stack.logs()[log:])
    async with opened(stack.url, **back(first, "t")) as second:
        reply = await second.ended("t")
        again = back(second, "t")
        again["received"]["seq"] = reply.end["seq"]
    events = joined(first.reply("t").events, reply.events)
    assert [event["seq"] for event in events] == [*range(1, len(events) + 1)]
    assert audio_of(events) == spoken(stack)
    async with opened(stack.url, **again) as third:
        await third.send(type="ping", sent_at=1)
        assert (await third.other())["type"] == "pong"
        assert third.reply("t").events == [], "it has all of it"


async def test_a_client_that_never_acknowledges_gets_it_again(stack: Stack) -> None:
    async with opened(stack.url) as first:
        first.acknowledges = False
        reply = await first.say("My name is Ada.", "t")
        log = len(stack.logs())
        await until(lambda: '"turn_ended"' in stack.logs()[log:])
    have_one = back(first, "t")
    have_one["received"]["seq"] = 1
    async with opened(stack.url, **have_one) as second:
        again = await second.ended("t")
    assert again.events == reply.events[1:]


async def test_the_same_message_again_after_a_return_runs_no_second_turn(stack: Stack) -> None:
    before = len(stack.llm.requests())
    async with opened(stack.url) as first:
        await first.send(type="user_message", turn_id="t", text=LONG, attempt=1)
        await first.has("t", "reply_text")
    async with opened(stack.url, **back(first, "t")) as second:
        await second.send(type="user_message", turn_id="t", text=LONG, attempt=1)
        reply = await second.ended("t")
        assert reply.end["reason"] == "completed"
        await second.say("And then?")
    asked = [r for r in stack.llm.requests()[before:] if r["path"].endswith("/chat/completions")]
    assert len(asked) == 2


async def test_of_two_places_the_newer_wins_and_the_older_is_told(stack: Stack) -> None:
    async with opened(stack.url) as older:
        await older.say("My name is Ada.", "t")
        async with opened(stack.url, **back(older, "t")) as newer:
            told = await older.other()
            assert (told["type"], told["reason"]) == ("session_ended", "replaced")
            await asyncio.wait_for(older.socket.wait_closed(), 10)
            assert "Ada" in (await newer.say("What is my name?", "u")).text


async def test_a_spoken_turn_goes_on_over_another_connection(
    stack: Stack, speech: Callable[[str], bytes]
) -> None:
    chunks = pcm_chunks(speech("What time is it?"), 200)
    cut = len(chunks) // 2
    async with opened(stack.url) as first:
        await first.send(type="audio_start", turn_id="t", format="pcm_16000", attempt=1)
        for seq, chunk in enumerate(chunks[:cut], 1):
            await first.chunk("t", seq, chunk)
        await vanish(first)
    async with opened(stack.url, **back(first, "t")) as second:
        await second.send(type="audio_start", turn_id="t", format="pcm_16000", attempt=1)
        for seq, chunk in enumerate(chunks, 1):  # what was on its way may have been lost
            await second.chunk("t", seq, chunk)
        await second.send(type="audio_end", turn_id="t", chunks=len(chunks))
        reply = await second.ended("t")
    assert reply.end["reason"] == "completed"
    finals = [e["text"] for e in reply.events if e["type"] == "transcript" and e["final"]]
    assert [text.lower() for text in finals] == ["what time is it?"]


async def test_after_an_interruption_while_away_the_rest_is_not_sent_again(stack: Stack) -> None:
    stack.llm.put(delays={"llm_token_ms": 30})
    async with opened(stack.url) as first:
        await first.send(type="user_message", turn_id="t", text=LONG)
        await first.has("t", "audio")
        await vanish(first)
    resumed = back(first, "t")
    resumed["received"]["seq"] = 0
    async with opened(stack.url, init=False) as second:
        await second.send(type="init", protocol=1, **resumed)
        assert (await second.other())["type"] == "ready"
        await second.send(type="interrupt", turn_id="t", played_ms=0)
        reply = await second.ended("t")
    assert reply.end["reason"] == "interrupted"
    assert reply.end["heard"] == ""
    reply.check_gapless()
