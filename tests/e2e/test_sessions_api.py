"""What was said, read afterwards over HTTP."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
import webvtt

from tests.e2e.raw import opened
from tests.e2e.records import Records

pytestmark = pytest.mark.timeout(120)


async def test_a_conversation_is_read_with_its_resume_token(
    records: Records, speech: Callable[[str], bytes]
) -> None:
    async with opened(records.stack.url) as client:
        typed = await client.say("Good morning.")
        spoken = await client.speak(speech("What time is it?"), speed=4)
        session = (await records.of(client)).json
    assert session["id"] == client.ready["session_id"]
    assert (session["status"], session["turns"]) == ("active", 2)
    roles = [(each["role"], each["turn_id"]) for each in session["messages"]]
    turns = [typed.turn_id, typed.turn_id, spoken.turn_id, spoken.turn_id]
    assert roles == list(zip(["user", "assistant"] * 2, turns, strict=True))
    question, answer, said, reply = session["messages"]
    assert (question["text"], question["duration_ms"]) == ("Good morning.", 0)
    assert answer["text"] == typed.text
    assert answer["duration_ms"] == pytest.approx(len(typed.audio) / 48, abs=2)
    assert said["text"] == spoken.transcript
    assert said["duration_ms"] == pytest.approx(len(speech("What time is it?")) / 32, abs=2)
    assert reply["text"] == spoken.text
    times = [datetime.fromisoformat(each["at"]) for each in session["messages"]]
    assert times == sorted(times)
    assert datetime.fromisoformat(session["created_at"]) <= times[0] + timedelta(seconds=1)
    assert "recording" not in json.dumps(session), "nobody consented"


async def test_an_interrupted_reply_says_what_was_heard(records: Records) -> None:
    async with opened(records.stack.url) as client:
        reply = await client.say("Tell me a long story.")
        words = [word for each in reply.events for word in each.get("words", [])]
        _, _, end_ms = words[4]
        await client.send(type="interrupt", turn_id=reply.turn_id, played_ms=end_ms)
        async with asyncio.timeout(10):
            while True:
                message = (await records.of(client)).json["messages"][-1]
                if "heard" in message:
                    break
        assert message["heard"] == " ".join(word[0] for word in words[:5])
        assert message["heard_ms"] == end_ms
        text = (await records.of(client, "?format=md")).body.decode()
        assert text.count("~~") == 2
        captions = webvtt.from_string(
            (await records.of(client, "?format=vtt")).body.decode()
        ).captions
    assert "<c.unheard>" in captions[-1].raw_text
    assert captions[-1].raw_text.split("<c.unheard>")[0].rstrip().endswith(words[4][0])


async def test_captions_have_the_times_at_which_the_words_sounded(records: Records) -> None:
    async with opened(records.stack.url) as client:
        reply = await client.say("Tell me a long story.")
        answer = await records.of(client, accept="text/vtt")
        session = (await records.of(client)).json
    assert answer.headers["content-type"].startswith("text/vtt")
    captions = webvtt.from_buffer(io.StringIO(answer.body.decode())).captions
    lines = [each for each in captions if each.voice == "Assistant"]
    assert len(lines) > 1
    assert " ".join(line.text for line in lines).split() == reply.text.split()
    began = datetime.fromisoformat(session["messages"][1]["at"])
    created = datetime.fromisoformat(session["created_at"])
    first_ms = (began - created) / timedelta(milliseconds=1)
    words = [word for each in reply.events for word in each.get("words", [])]
    start_ms, end_ms = lines[0].start_time.in_milliseconds(), lines[-1].end_time.in_milliseconds()
    assert start_ms == pytest.approx(first_ms + words[0][1], abs=2)
    assert end_ms == pytest.approx(first_ms + words[-1][2], abs=2)


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        ("/sessions", {}, 401, "unauthorized"),
        ("/sessions/{id}", {}, 401, "unauthorized"),
        ("/sessions/{id}", {"X_Resume_Token": "wrong"}, 403, "resume_denied"),
        ("/sessions/none", {"X_Resume_Token": "{token}"}, 404, "session_not_found"),
        ("/sessions/{id}?format=pdf", {"X_Resume_Token": "{token}"}, 400, "bad_request"),
    ],
)
async def test_who_may_not_read_is_told_why(
    records: Records, path: str, headers: dict[str, str], status: int, code: str
) -> None:
    async with opened(records.stack.url) as client:
        ready = client.ready

        def filled(text: str) -> str:
            return text.replace("{id}", ready["session_id"]).replace(
                "{token}", ready["resume_token"]
            )

        shown = {name: filled(value) for name, value in headers.items()}
        answer = await records.ask(filled(path), **shown)
    problem: dict[str, Any] = answer.json
    assert (answer.status, problem["code"]) == (status, code)
    assert problem["detail"].endswith(".")
