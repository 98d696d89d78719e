"""Conversations over HTTP, through the local API Gateway."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.http_api import ALWAYS, HttpSession, asked, problem, sound_of, until_asked, wav
from tests.e2e.raw import opened
from tests.e2e.stack import Stack

Speech = Callable[[str], bytes]
pytestmark = pytest.mark.timeout(120)
STORY = "Tell me a story about the sea."


def synthesized(stack: Stack) -> list[bytes]:
    """The audio of every reply that the synthesizer made, in order."""
    records = [r for r in stack.elevenlabs.requests() if "multi-stream-input" in r["path"]]
    return [stack.elevenlabs.audio(record["id"], "out") for record in records]


# --- conversations --------------------------------------------------------------------------


async def test_a_conversation_typed_and_spoken(stack: Stack, speech: Speech) -> None:
    pcm = speech("What is my name?")
    async with HttpSession(stack) as session:
        first = await session.say("My name is Alice.")
        spoken = [
            await session.speak(pcm, "audio/pcm;rate=16000"),
            await session.speak(wav(pcm), "audio/wav"),
            await session.say_audio(pcm, "pcm_16000"),
            await session.say_audio(wav(pcm), "wav"),
        ]
    for answer in (first, *spoken):
        assert answer["reason"] == "completed", answer
        assert answer["audio"]["format"] == "pcm_24000"
        assert answer["audio"]["duration_ms"] == pytest.approx(len(sound_of(answer)) / 48, abs=1)
        assert [word[0] for word in answer["words"]] == answer["text"].split()
    for answer in spoken:
        assert "name" in answer["transcript"].lower()
        assert "Alice" in answer["text"], "the second answer depends on the first"
    assert "transcript" not in first
    assert synthesized(stack) == [sound_of(answer) for answer in (first, *spoken)]


async def test_the_transcriber_hears_all_of_the_audio_once(stack: Stack, speech: Speech) -> None:
    pcm = speech("How many days are in a week?")
    async with HttpSession(stack) as session:
        await session.speak(wav(pcm), "audio/wav")
    (record,) = [r for r in stack.elevenlabs.requests() if "speech-to-text" in r["path"]]
    assert stack.elevenlabs.audio(record["id"], "in") == pcm


async def test_the_parts_of_the_time_add_up(stack: Stack, speech: Speech) -> None:
    async with HttpSession(stack) as session:
        answer = await session.speak(speech("What time is it?"), "audio/pcm;rate=16000")
    metrics = answer["metrics"]
    names = ["dispatch", "transcript", "prepare", "responder", "clause", "synthesizer", "delivery"]
    parts = [metrics.get(f"{name}_ms") or 0 for name in names]
    assert sum(parts) == pytest.approx(metrics["first_audio_ms"], abs=1)


async def test_settings_hold_from_their_turn_on(stack: Stack) -> None:
    async with HttpSession(stack) as session:
        slow = await session.say("Count to five.", settings={"speed": 0.7})
        same = await session.say("Count to five.")
        fast = await session.say("Count to five.", settings={"speed": 1.2})
    lengths = [len(sound_of(answer)) for answer in (slow, same, fast)]
    assert lengths[0] == lengths[1] > lengths[2]


async def test_with_events_the_answer_is_what_a_websocket_would_have_carried(
    stack: Stack,
) -> None:
    async with opened(stack.url) as client:
        over_websocket = await client.say("Count to five.")
    async with HttpSession(stack) as session:
        answer = await session.say("Count to five.", turn_id="mine", events=True)
    events = answer["events"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert {event["turn_id"] for event in events} == {answer["turn_id"], "mine"}
    assert {event["type"] for event in events} == {e["type"] for e in over_websocket.events}
    assert events[-1]["type"] == "turn_end"
    assert events[-1]["text"] == over_websocket.text
    audio = b"".join(base64.b64decode(e["audio"]) for e in events if e["type"] == "audio")
    assert audio == over_websocket.audio == synthesized(stack)[-1]


async def test_one_session_over_websocket_and_http(stack: Stack) -> None:
    async with opened(stack.url) as client, HttpSession(stack) as session:
        await client.say("My name is Alice.")
        session.session_id = client.ready["session_id"]
        session.token = client.ready["resume_token"]
        answer = await session.say("What is my name?")
        assert "Alice" in answer["text"]
        again = await client.say("What is my name?")
        assert "Alice" in again.text
        assert client.no_others(), "what is asked over HTTP is answered there alone"


async def test_a_websocket_may_take_over_a_session_that_http_opened(stack: Stack) -> None:
    async with HttpSession(stack) as session:
        await session.say("My name is Alice.")
        assert session.session_id is not None
        async with opened(
            stack.url, session_id=session.session_id, resume_token=session.token
        ) as client:
            assert next(m["text"] for m in client.ready["history"]) == "My name is Alice."
            assert "Alice" in (await client.say("What is my name?")).text


# --- the same request twice -----------------------------------------------------------------


async def test_a_turn_that_has_ended_is_not_run_again_but_answered_again(
    stack: Stack, speech: Speech
) -> None:
    async with HttpSession(stack) as session:
        await session.open()
        first = await session.say("My name is Alice.", turn_id="once")
        again = await session.say("My name is Alice.", turn_id="once")
        events = await session.say("My name is Alice.", turn_id="once", events=True)
        other_words = await session.say("Something else.", turn_id="once")
        spoken = await session.speak(speech("What is my name?"), "audio/pcm;rate=16000")
    assert asked(stack) == 2
    assert len(synthesized(stack)) == 2
    for repeated in (again, other_words):
        assert {**repeated, "resume_token": ""} == {**first, "resume_token": ""}
    assert events["events"][-1]["text"] == first["text"]
    assert "Alice" in spoken["text"]


async def test_of_requests_at_the_same_time_for_one_turn_one_runs_it(stack: Stack) -> None:
    async with HttpSession(stack) as session:
        await session.open()
        answers = await asyncio.gather(
            *(session.post(text="Count to five.", turn_id="once") for _ in range(4))
        )
        answered = [answer.json() for answer in answers if answer.status_code == 200]
        for refused in answers:
            if refused.status_code != 200:
                problem(refused, 409, "turn_running")
        later = await session.say("Count to five.", turn_id="once")
    for answer in answered:
        assert sound_of(answer) == sound_of(later) == synthesized(stack)[0]
    assert answered
    assert asked(stack) == 1


async def test_a_turn_that_runs_is_not_run_beside(stack: Stack) -> None:
    stack.llm.put(delays={"llm_token_ms": 300})
    async with HttpSession(stack) as session:
        await session.open()
        running = asyncio.create_task(session.post(text=STORY, turn_id="running"))
        await until_asked(stack)
        refused = await session.client.post(
            "/turns",
            json={"text": STORY, "turn_id": "running", "session_id": session.session_id},
            headers={"x-resume-token": session.token or ""},
        )
        assert "runs already" in problem(refused, 409, "turn_running")
        assert refused.json()["retryable"] is True
        assert refused.json()["retry_after_ms"] == 1000
        assert refused.headers["retry-after"] == "1"
        assert not running.done()
        await session.interrupt("running", 0)
        assert (await running).json()["reason"] == "interrupted"
    assert asked(stack) == 1


async def test_a_turn_that_failed_runs_again_when_it_is_sent_again(stack: Stack) -> None:
    stack.llm.put(faults={"llm": {"status": 401, "times": ALWAYS}})
    async with HttpSession(stack) as session:
        failed = await session.say("Count to five.", turn_id="twice")
        stack.llm.put(faults={"llm": None})
        first_again = await session.say("Count to five.", turn_id="twice", attempt=1)
        second = await session.say("Count to five.", turn_id="twice")
    assert failed["reason"] == first_again["reason"] == "failed"
    assert "attempt" not in failed
    assert (second["reason"], second["attempt"]) == ("completed", 2)


async def test_a_turn_that_began_over_a_websocket_is_answered_over_http(stack: Stack) -> None:
    async with HttpSession(stack) as session:
        async with opened(stack.url) as client:
            client.acknowledges = False
            reply = await client.say("Count to five.", turn_id="moved")
            session.session_id = client.ready["session_id"]
            session.token = client.ready["resume_token"]
        async with asyncio.timeout(30):
            while (answer := await session.post(text="Count to five.", turn_id="moved")).is_error:
                problem(answer, 409, "turn_running")
                await asyncio.sleep(answer.json()["retry_after_ms"] / 1000)
    assert sound_of(answer.json()) == reply.audio
    assert answer.json()["text"] == reply.text
    assert asked(stack) == 1


# --- the session's token --------------------------------------------------------------------


async def test_each_answer_brings_a_new_token_and_the_one_before_stays_good(stack: Stack) -> None:
    async with HttpSession(stack) as session:
        await session.open()
        tokens = [session.token]
        for _ in range(3):
            await session.say("Hello.")
            tokens.append(session.token)
        assert len(set(tokens)) == 4
        session.token = tokens[1]
        problem(await session.post(text="Hello."), 403, "resume_denied", "resume_token")
        session.token = tokens[2]
        await session.say("Hello.")


async def test_the_answer_of_an_interrupted_turn_brings_no_token(stack: Stack) -> None:
    """Of two answers that cross, the client could not tell which token is the latest."""
    stack.llm.put(delays={"llm_token_ms": 60})
    async with HttpSession(stack) as session:
        await session.open()
        older = asyncio.create_task(session.post(text=STORY, turn_id="older"))
        await until_asked(stack)
        newer = await session.post(text="Count to five.", turn_id="newer")
        interrupted = (await older).json()
    assert interrupted["reason"] == "interrupted"
    assert "resume_token" not in interrupted
    assert "audio" not in interrupted, "nobody will hear it"
    assert newer.json()["reason"] == "completed"
    assert "resume_token" in newer.json()


@pytest.mark.parametrize(
    ("changes", "status", "code", "field"),
    [
        ({"resume_token": "wrong"}, 403, "resume_denied", "resume_token"),
        ({"resume_token": None}, 400, "bad_request", "resume_token"),
        ({"session_id": "another"}, 404, "session_not_found", "session_id"),
    ],
    ids=["wrong token", "no token", "no such session"],
)
async def test_a_session_needs_its_token(
    stack: Stack, changes: dict[str, Any], status: int, code: str, field: str
) -> None:
    async with HttpSession(stack) as session:
        await session.open()
        problem(await session.post(text="Hello.", **changes), status, code, field)
        assert asked(stack) == 0
        await session.say("Hello.")


# --- interruptions --------------------------------------------------------------------------


async def test_a_reply_that_is_stopped_while_it_plays_keeps_what_was_heard(stack: Stack) -> None:
    async with HttpSession(stack) as session:
        answer = await session.say("Count to ten.")
        word = answer["words"][2]
        interrupted = await session.interrupt(answer["turn_id"], word[2] + 1)
        again = await session.interrupt(answer["turn_id"], word[2] + 1)
    heard = " ".join(text for text, _, _ in answer["words"][:3])
    for said in (interrupted, again):
        assert said.status_code == 200
        assert said.json() == {"turn_id": answer["turn_id"], "state": "ended", "heard": heard}


async def test_a_turn_that_runs_is_stopped(stack: Stack) -> None:
    stack.llm.put(delays={"llm_token_ms": 60})
    async with HttpSession(stack) as session:
        await session.open()
        running = asyncio.create_task(session.post(text=STORY, turn_id="running"))
        await until_asked(stack)
        interrupted = await session.interrupt("running", 0)
        answer = (await running).json()
    assert interrupted.json() == {"turn_id": "running", "state": "running"}
    assert answer["reason"] == "interrupted"
    assert answer["heard"] == ""
    assert "audio" not in answer


async def test_a_turn_that_has_not_begun_is_interrupted_when_it_does(stack: Stack) -> None:
    async with HttpSession(stack) as session:
        await session.open()
        for _ in range(2):
            interrupted = await session.interrupt("early", 0)
            assert interrupted.status_code == 200
            assert interrupted.json() == {"turn_id": "early", "state": "pending"}
        before = asked(stack)
        answer = await session.say("Count to five.", turn_id="early")
        assert (answer["reason"], answer["text"], answer["heard"]) == ("interrupted", "", "")
        assert "error" not in answer
        assert "audio" not in answer
        assert asked(stack) == before
        next_one = await session.say("And now?")
        assert next_one["reason"] == "completed"


async def test_what_is_no_turn_s_id_or_without_a_token_is_not_interrupted(stack: Stack) -> None:
    async with HttpSession(stack) as session:
        await session.open()
        problem(await session.interrupt("no id!", 0), 400, "bad_request", "turn_id")
        session.token = "wrong"
        problem(await session.interrupt("none", 0), 403, "resume_denied", "resume_token")


async def test_a_reply_that_is_too_long_for_an_answer_is_cut(stack: Stack) -> None:
    async with HttpSession(stack) as session:
        await session.open()
        cut = await session.say(
            "Repeat after me: " + "the sea is calm and wide, " * 100, turn_id="long"
        )
        events = await session.say("Once more.", turn_id="long", events=True)
    assert (cut["reason"], cut["truncated"]) == ("interrupted", True)
    audio = sound_of(cut)
    assert 3_500_000 <= len(audio) < 4_200_000
    heard = [word for word, _, end_ms in cut["words"] if end_ms <= len(audio) / 48]
    assert cut["heard"].split() == heard
    assert len(heard) > 100
    ended = events["events"][-1]
    assert (ended["reason"], ended["heard"]) == ("interrupted", cut["heard"])
    parts = [base64.b64decode(e["audio"]) for e in events["events"] if e["type"] == "audio"]
    assert b"".join(parts) == audio
