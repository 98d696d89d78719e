"""Preemptive replies through the whole stack: begun at a pause, and heard only at the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from parley.text.same_words import bare_words
from tests.e2e.hands_free import HandsFree
from tests.e2e.raw import RawClient, Reply, opened, pcm_chunks
from tests.e2e.stack import STANDIN_KEY, Stack, Standins, running_stack
from tests.e2e.tone_words import ToneTranscriber, speak

PARTS = ("what time is it", "book a table", "for two at eight", "count", "to five")
VOCABULARY = sorted({word for part in PARTS for word in part.split()})
TONES = {part: speak(part.split(), VOCABULARY) for part in PARTS}
PAUSE = bytes(32 * 400)
FINAL_MS, PARTIAL_MS = 400, 20


@contextmanager
def tones(folder: Path, standins: Standins, **parameters: str) -> Iterator[Stack]:
    """A stack whose transcriber hears tones, and takes its time for the final transcript."""
    with ToneTranscriber(VOCABULARY, PARTIAL_MS, FINAL_MS).running() as url:
        chosen = {
            "Transcriber": "cartesia",
            "TranscriptionBaseUrl": url,
            "CartesiaApiKey": STANDIN_KEY,
            **parameters,
        }
        with running_stack(folder, parameters=chosen, standins=standins) as stack:
            yield stack


@pytest.fixture(scope="module")
def tone_stack(tmp_path_factory: pytest.TempPathFactory, standins: Standins) -> Iterator[Stack]:
    with tones(tmp_path_factory.mktemp("tones"), standins, ToolsFile="demo.toml") as stack:
        yield stack


@pytest.fixture(autouse=True)
def fresh(standins: Standins) -> Iterator[None]:
    standins.reset()
    yield
    standins.reset()


def asked(stack: Stack) -> list[str]:
    """What the model has been asked, each time."""
    found = [r for r in stack.llm.requests() if r["path"].endswith("/chat/completions")]
    return [record["body"]["messages"][-1]["content"] for record in found]


async def until_asked(stack: Stack, times: int) -> None:
    """Wait until the model has been asked so often."""
    async with asyncio.timeout(20):
        while len(await asyncio.to_thread(asked, stack)) < times:
            await asyncio.sleep(0.02)


def early(reply: Reply, ended_at_s: float) -> list[str]:
    """What came before the end of the utterance, but for transcripts that are not final."""
    return [
        event["type"]
        for event, at_s in zip(reply.events, reply.times, strict=True)
        if at_s < ended_at_s and (event["type"] != "transcript" or event["final"])
    ]


async def kept(client: RawClient, stack: Stack) -> list[tuple[str, str]]:
    """The session's history."""
    ready = client.ready
    resume = {"session_id": ready["session_id"], "resume_token": ready["resume_token"]}
    async with opened(stack.url, **resume) as again:
        return [(m["role"], m["text"]) for m in again.ready.get("history") or []]


async def test_hands_free_the_reply_is_ready_at_the_end(tone_stack: Stack) -> None:
    async with opened(tone_stack.url) as client:
        assert client.ready["choices"]["preemptive_replies"]
        said = await HandsFree(client).say(TONES["what time is it"])
        metrics = said.reply.end["metrics"]
        assert (metrics["preemptive_tries"], metrics["preemptive_hit"]) == (1, True)
        assert early(said.reply, said.ended_at_s) == []
        assert asked(tone_stack)[0].startswith("what time is it")
        assert await kept(client, tone_stack) == [
            ("user", said.reply.transcript),
            ("assistant", said.reply.text),
        ]


async def test_with_push_to_talk_a_transcript_that_has_settled_is_enough(
    tone_stack: Stack,
) -> None:
    async with opened(tone_stack.url) as client:
        turn = client.new_turn_id()
        await client.send(type="audio_start", turn_id=turn)
        chunks = pcm_chunks(TONES["what time is it"] + bytes(32 * 900))
        for seq, chunk in enumerate(chunks, 1):
            await client.chunk(turn, seq, chunk)
        async with asyncio.timeout(20):
            while not any(text.startswith("what time is it") for text in asked(tone_stack)):
                await asyncio.sleep(0.02)
        ended_at_s = time.monotonic()
        await client.send(type="audio_end", turn_id=turn, chunks=len(chunks))
        reply = await client.ended(turn)
        assert reply.end["metrics"]["preemptive_hit"]
        assert early(reply, ended_at_s) == []
        assert len(asked(tone_stack)) == reply.end["metrics"]["preemptive_tries"]


async def test_a_user_who_goes_on_has_no_tool_run_and_is_answered_once(tone_stack: Stack) -> None:
    since = len(tone_stack.logs())
    async with opened(tone_stack.url) as client:
        said = await HandsFree(client).say(
            TONES["book a table"] + PAUSE + TONES["for two at eight"]
        )
        reply = said.reply
        assert bare_words(reply.transcript) == bare_words("book a table for two at eight")
        assert reply.end["metrics"]["preemptive_tries"] >= 1
        assert early(reply, said.ended_at_s) == []
        calls = {e["call_id"] for e in reply.events if e["type"] == "tool"}
        assert len(calls) == 1
        runs = [
            line
            for line in tone_stack.logs()[since:].splitlines()
            if line.startswith("ToolBookTableFunction | ") and "platform.report" in line
        ]
        assert len(runs) == 1
        assert await kept(client, tone_stack) == [
            ("user", reply.transcript),
            ("assistant", reply.text),
        ]


async def test_an_interruption_during_a_try_leaves_nothing(tone_stack: Stack) -> None:
    async with opened(tone_stack.url) as client:
        turn = client.new_turn_id()
        await client.send(type="audio_start", turn_id=turn, pauses=True)
        chunks = pcm_chunks(TONES["what time is it"] + bytes(32 * 200))
        for seq, chunk in enumerate(chunks, 1):
            await client.chunk(turn, seq, chunk)
        await client.send(type="speech_paused", turn_id=turn, chunks=len(chunks), pause=1)
        await until_asked(tone_stack, 1)
        await client.send(type="interrupt", turn_id=turn, played_ms=0)
        reply = await client.ended(turn)
        assert (reply.end["reason"], reply.text, reply.audio) == ("interrupted", "", b"")
        assert reply.end["metrics"]["preemptive_hit"] is False
        assert await kept(client, tone_stack) == []


async def test_switched_off_nothing_begins_before_the_end(
    tmp_path_factory: pytest.TempPathFactory, standins: Standins
) -> None:
    with tones(tmp_path_factory.mktemp("off"), standins, PreemptiveReplies="off") as stack:
        async with opened(stack.url) as client:
            assert not client.ready["choices"].get("preemptive_replies", False)
            said = await HandsFree(client).say(TONES["what time is it"])
            metrics = said.reply.end["metrics"]
            assert "preemptive_tries" not in metrics
            assert metrics["transcript_ms"] >= FINAL_MS * 0.9
            assert asked(stack) == [said.reply.transcript]


async def test_the_transcribers_own_signs_begin_a_reply(
    tmp_path_factory: pytest.TempPathFactory, standins: Standins
) -> None:
    parameters = {
        "Transcriber": "deepgram",
        "TranscriptionBaseUrl": standins.urls["deepgram"],
        "DeepgramApiKey": STANDIN_KEY,
    }
    folder = tmp_path_factory.mktemp("flux")
    pcm = standins.speech("What time is it?") + bytes(32 * 2_000)
    with running_stack(folder, parameters=parameters, standins=standins) as stack:
        async with opened(stack.url) as client:
            turn = client.new_turn_id()
            await client.send(type="audio_start", turn_id=turn, endpointing="server_vad")
            began = time.monotonic()
            for seq, chunk in enumerate(pcm_chunks(pcm), 1):
                await asyncio.sleep(max(0.0, began + seq / 10 - time.monotonic()))
                if not client.has_ended(turn):
                    await client.chunk(turn, seq, chunk)
            reply = await client.ended(turn)
            assert reply.end["reason"] == "completed"
            assert reply.end["metrics"]["preemptive_tries"] >= 1
            kinds = [e["type"] for e in reply.events if e["type"] != "transcript" or e["final"]]
            assert kinds[0] == "transcript"
            (socket,) = [
                r for r in standins.control("deepgram").requests() if "/v2/listen" in r["path"]
            ]
            events = [
                frame["frame"].get("event")
                for frame in socket["frames"]
                if isinstance(frame["frame"], dict)
            ]
            assert "EagerEndOfTurn" in events
