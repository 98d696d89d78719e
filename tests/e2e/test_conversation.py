"""A conversation through the real socket, held by a client that knows only the protocol."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.raw import RawClient, Reply, opened, pcm_chunks
from tests.e2e.stack import Stack

Speech = Callable[[str], bytes]

pytestmark = pytest.mark.timeout(120)


def made_by_synthesizer(stack: Stack) -> list[bytes]:
    """The audio of every reply that the synthesizer made, in order."""
    records = [r for r in stack.elevenlabs.requests() if "multi-stream-input" in r["path"]]
    return [stack.elevenlabs.audio(record["id"], "out") for record in records]


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.lower()))


async def test_ten_turns_typed_and_spoken(stack: Stack, speech: Speech) -> None:
    replies: list[Reply] = []
    async with opened(stack.url) as client:
        replies.append(await client.say("My name is Alice."))
        replies.append(await client.speak(speech("What is my name?"), chunk_ms=100, speed=2))
        replies.append(await client.say("What is two plus three?"))
        replies.append(await client.speak(speech("How many days are in a week?"), speed=4))
        replies.append(await client.say("Count to five."))
        replies.append(await client.speak(speech("What time is it?"), speed=4))
        replies.append(await client.say("Repeat after me: the sea is calm."))
        replies.append(await client.speak(speech("Tell me a story about the sea."), speed=4))
        replies.append(await client.say("What is my name?"))
        replies.append(await client.speak(speech("Thank you very much."), speed=4))
        assert client.no_others()

    for reply in replies:
        reply.check_gapless()
        assert reply.end["reason"] == "completed", reply.end
        assert not reply.errors
        assert reply.text == reply.end["text"]
    assert "Alice" in replies[1].text, "the second turn's answer depends on the first"
    assert "five" in replies[2].text.lower() or "5" in replies[2].text
    assert "Alice" in replies[8].text
    made = iter(made_by_synthesizer(stack))
    # In order; what was begun in vain before an utterance was over is between them, unheard.
    assert all(reply.audio in made for reply in replies)


async def test_reply_audio_is_timed_word_by_word(stack: Stack) -> None:
    async with opened(stack.url) as client:
        reply = await client.say("Count to ten.")
    audio = [event for event in reply.events if event["type"] == "audio"]
    assert audio[0]["duration_ms"] <= 60, "the first packet is small"
    position = 0
    for event in audio:
        assert event["start_ms"] == position
        position += event["duration_ms"]
    spoken = [word for event in audio for word in event.get("words", [])]
    assert [word[0] for word in spoken] == reply.text.split()
    assert all(start <= end for _, start, end in spoken)
    assert [start for _, start, _ in spoken] == sorted(start for _, start, _ in spoken)
    assert spoken[-1][2] <= position + 1


async def test_first_clause_is_spoken_before_the_reply_is_complete(stack: Stack) -> None:
    stack.llm.put(delays={"llm_token_ms": 40})
    async with opened(stack.url) as client:
        reply = await client.say("Tell me a story about the sea.")
    first_audio = reply.time_of("audio")
    text_before_audio = "".join(
        event["delta"]
        for event, at in zip(reply.events, reply.times, strict=True)
        if event["type"] == "reply_text" and at <= first_audio
    )
    assert len(text_before_audio) < len(reply.text) / 2


async def test_metrics_add_up_to_the_first_audio(stack: Stack, speech: Speech) -> None:
    async with opened(stack.url) as client:
        typed = await client.say("Good morning.")
        spoken = await client.speak(speech("What time is it?"), speed=2)
    for reply in (typed, spoken):
        metrics = reply.end["metrics"]
        names = ["dispatch", "transcript", "prepare", "responder", "clause", "synthesizer"]
        parts = [metrics.get(f"{name}_ms") for name in [*names, "delivery"]]
        assert sum(part for part in parts if part is not None) == pytest.approx(
            metrics["first_audio_ms"], abs=1
        )
        assert metrics["first_text_ms"] <= metrics["total_ms"]
        assert metrics["audio_ms"] == pytest.approx(len(reply.audio) / 48, abs=1)
    assert "transcript_ms" not in typed.end["metrics"]
    assert "transcript_ms" in spoken.end["metrics"]


@pytest.mark.parametrize("seed", [1, 2])
async def test_chunks_in_any_order_reach_the_transcriber_whole_in_order_once(
    stack: Stack, speech: Speech, seed: int
) -> None:
    pcm = speech("How many days are in a week?")
    chunks = list(enumerate(pcm_chunks(pcm), 1))
    shuffled = chunks + random.Random(seed).sample(chunks, len(chunks) // 3)
    random.Random(seed).shuffle(shuffled)
    third = len(shuffled) // 3
    async with opened(stack.url) as client:
        turn = client.new_turn_id()
        for seq, chunk in shuffled[:third]:
            await client.chunk(turn, seq, chunk)
        await client.send(type="audio_start", turn_id=turn, format="pcm_16000")
        for seq, chunk in shuffled[third : 2 * third]:
            await client.chunk(turn, seq, chunk)
        await client.send(type="audio_end", turn_id=turn, chunks=len(chunks))
        for seq, chunk in shuffled[2 * third :]:
            await client.chunk(turn, seq, chunk)
        reply = await client.ended(turn)
    reply.check_gapless()
    assert reply.end["reason"] == "completed", reply.events
    (record,) = [r for r in stack.elevenlabs.requests() if "speech-to-text" in r["path"]]
    assert stack.elevenlabs.audio(record["id"], "in") == pcm


async def test_missing_chunks_are_named_and_can_be_sent_again(stack: Stack, speech: Speech) -> None:
    pcm = speech("What time is it?")
    chunks = list(enumerate(pcm_chunks(pcm, 200), 1))
    assert len(chunks) > 5
    async with opened(stack.url) as client:
        turn = client.new_turn_id()
        await client.send(type="audio_start", turn_id=turn, format="pcm_16000")
        for seq, chunk in chunks:
            if seq not in (3, 5):
                await client.chunk(turn, seq, chunk)
        await client.send(type="audio_end", turn_id=turn, chunks=len(chunks))
        await client.has(turn, "error")
        (error,) = client.reply(turn).errors
        assert (error["code"], error["missing"]) == ("audio_gap", [3, 5])
        for seq in error["missing"]:
            await client.chunk(turn, seq, chunks[seq - 1][1])
        reply = await client.ended(turn)
    assert reply.end["reason"] == "completed"
    (record,) = [r for r in stack.elevenlabs.requests() if "speech-to-text" in r["path"]]
    assert stack.elevenlabs.audio(record["id"], "in") == pcm


async def test_an_utterance_whose_end_never_comes_closes_by_itself(
    stack: Stack, speech: Speech
) -> None:
    async with opened(stack.url) as client:
        turn = client.new_turn_id()
        await client.send(type="audio_start", turn_id=turn, format="pcm_16000")
        for seq, chunk in enumerate(pcm_chunks(speech("What time is it?"), 400), 1):
            await client.chunk(turn, seq, chunk)
        reply = await client.ended(turn)
    assert reply.end["reason"] == "completed", reply.events
    assert "time" in words(reply.transcript)


async def test_silence_is_no_speech_and_the_session_goes_on(stack: Stack) -> None:
    async with opened(stack.url) as client:
        reply = await client.speak(bytes(32_000), speed=4)
        assert [error["code"] for error in reply.errors] == ["no_speech"]
        assert reply.end["reason"] == "failed"
        assert (await client.say("Good morning.")).end["reason"] == "completed"


async def test_the_server_can_find_the_end_of_an_utterance(stack: Stack, speech: Speech) -> None:
    pcm = speech("What time is it?") + bytes(32_000 * 3)
    async with opened(stack.url) as client:
        turn = client.new_turn_id()
        await client.send(
            type="audio_start", turn_id=turn, format="pcm_16000", endpointing="server_vad"
        )
        for seq, chunk in enumerate(pcm_chunks(pcm, 400), 1):
            await client.chunk(turn, seq, chunk)
            await asyncio.sleep(0.2)  # twice as fast as it is spoken
        reply = await client.ended(turn)
    assert reply.end["reason"] == "completed"
    assert "time" in words(reply.transcript)


async def test_the_same_turn_sent_twice_runs_once(stack: Stack) -> None:
    async with opened(stack.url) as client:
        for _ in range(3):
            await client.send(type="user_message", turn_id="once", text="Count to five.")
        reply = await client.ended("once")
        assert (await client.say("Good morning.")).end["reason"] == "completed"
    reply.check_gapless()
    asked = [r for r in stack.llm.requests() if r["path"].endswith("/chat/completions")]
    assert len(asked) == 2


async def test_settings_change_from_the_next_turn_on(stack: Stack) -> None:
    async with opened(stack.url) as client:
        slow = await client.say("Count to five.")
        await client.send(type="config", settings={"speed": 1.2})
        updated = await client.other()
        assert (updated["type"], updated["settings"]["speed"]) == ("config_updated", 1.2)
        fast = await client.say("Count to five.")
    assert len(fast.audio) < 0.95 * len(slow.audio)


async def test_ping_comes_back_and_end_ends_the_session(stack: Stack) -> None:
    async with opened(stack.url) as client:
        await client.send(type="ping", sent_at=12.5)
        assert await client.other() == {"type": "pong", "sent_at": 12.5}
        await client.send(type="end")
        ended = await client.other()
        session_id = client.ready["session_id"]
        assert ended == {"type": "session_ended", "session_id": session_id, "usage": {}}
        after = await client.say("Are you there?")
        assert [error["code"] for error in after.errors] == ["session_not_found"]


async def test_a_session_is_resumed_with_its_token_and_its_history(stack: Stack) -> None:
    async with opened(stack.url) as client:
        first = await client.say("My name is Alice.")
        ready = client.ready
    async with opened(stack.url, init=False) as client:
        await client.init(session_id=ready["session_id"], resume_token=ready["resume_token"])
        assert client.ready["resumed"] is True
        assert client.ready["resume_token"] != ready["resume_token"]
        assert [(m["role"], m["text"]) for m in client.ready["history"]] == [
            ("user", "My name is Alice."),
            ("assistant", first.text),
        ]
        assert "Alice" in (await client.say("What is my name?", "again")).text


async def test_a_resume_token_is_refused_once_the_next_one_has_been_used(stack: Stack) -> None:
    async with opened(stack.url) as client:
        ready = client.ready
    old = {"session_id": ready["session_id"], "resume_token": ready["resume_token"]}
    async with opened(stack.url, **old):
        pass  # whether this client got its new token, nobody knows
    async with opened(stack.url, **old) as client:
        newer = {**old, "resume_token": client.ready["resume_token"]}
    async with opened(stack.url, **newer):
        pass
    async with opened(stack.url, init=False) as client:
        await client.send(type="init", protocol=1, **old)
        assert (await client.other())["code"] == "resume_denied"


def words_of(reply: Reply) -> list[Any]:
    """The words of the audio that has come, each with its times."""
    return [w for e in reply.events if e["type"] == "audio" for w in e.get("words", [])]


async def test_interrupt_stops_the_reply_and_keeps_what_was_heard(stack: Stack) -> None:
    stack.llm.put(delays={"llm_token_ms": 60})
    async with opened(stack.url) as client:
        turn = client.new_turn_id()
        await client.send(type="user_message", turn_id=turn, text="Tell me a story about the sea.")
        await client.has(turn, "audio")
        timed = words_of(await client.until(turn, lambda reply: bool(words_of(reply))))
        played_ms = timed[0][2]
        await client.send(type="interrupt", turn_id=turn, played_ms=played_ms)
        reply = await client.ended(turn)
        reply.check_gapless()
        assert reply.end["reason"] == "interrupted"
        assert reply.end["heard"] == timed[0][0]
        stack.llm.put(delays={"llm_token_ms": 0})
        await client.say("Go on.")
    asked = [r for r in stack.llm.requests() if r["path"].endswith("/chat/completions")]
    history = asked[-1]["body"]["messages"]
    assert history[-2]["role"] == "assistant"
    assert history[-2]["content"].startswith(reply.end["heard"])
    assert "interrupted" in history[-2]["content"]


async def test_interrupt_after_the_turn_has_ended_still_cuts_the_history(stack: Stack) -> None:
    async with opened(stack.url) as client:
        reply = await client.say("Count to ten.")
        timed = [w for e in reply.events if e["type"] == "audio" for w in e.get("words", [])]
        played_ms = timed[3][2]
        await client.send(type="interrupt", turn_id=reply.turn_id, played_ms=played_ms)
        await client.send(type="ping", sent_at=0)
        await client.other()
        heard = " ".join(text for text, _, end in timed if end <= played_ms)
        await wait_for_heard(stack, client, heard)


async def wait_for_heard(stack: Stack, client: RawClient, heard: str) -> None:
    """The interrupt and the next message may overtake each other: ask until it is seen."""
    for _ in range(5):
        await client.say("Go on.")
        asked = [r for r in stack.llm.requests() if r["path"].endswith("/chat/completions")]
        said = [m["content"] for m in asked[-1]["body"]["messages"] if m["role"] == "assistant"]
        if said[0].startswith(heard + "…"):
            return
    raise AssertionError(f"the history does not say that only {heard!r} was heard: {said}")


async def test_a_deployment_that_does_not_record_says_so(stack: Stack) -> None:
    async with opened(stack.url, settings={"record": True}) as client:
        assert client.ready["settings"]["record"] is False
        await client.say("Good morning.")
