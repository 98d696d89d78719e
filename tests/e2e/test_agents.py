"""What a backend says of the agent, through the whole stack: who it is, and what it says first."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.e2e.backend import token_for
from tests.e2e.http_api import HttpSession
from tests.e2e.raw import opened
from tests.e2e.stack import Stack
from tests.e2e.test_access_secret import instructions, invoke

pytestmark = pytest.mark.timeout(120)
AGENT: dict[str, Any] = {
    "prompt": "You help {{name}} with the harbour.",
    "variables": {"name": "Ada"},
    "greeting": "Good evening, {{name}}.",
}


@pytest.fixture
def stack(secret_stack: Stack) -> Stack:
    secret_stack.standins.reset()
    return secret_stack


async def asked(backend: HttpSession, path: str, **body: Any) -> httpx.Response:
    return await backend.client.post(path, json=body)


async def test_a_backend_opens_a_session_greets_and_speaks_in_it(stack: Stack) -> None:
    token = invoke(stack, {"subject": "ada", "backend": True})["token"]
    async with HttpSession(stack, token) as backend:
        answer = (await asked(backend, "/sessions", agent=AGENT)).json()
        session = {key: answer[key] for key in ("session_id", "resume_token")}
        async with opened(stack.url, init=False, token=token_for(stack, "ada")) as ada:
            await ada.init(**session)
            greeting = await ada.ended("agent-greeting")
            greeting.check_gapless()
            assert (greeting.events[0]["type"], greeting.events[0]["cause"]) == (
                "agent_turn",
                "greeting",
            )
            assert greeting.text == "Good evening, Ada."
            assert greeting.audio
            assert (await ada.say("Hello.")).end["reason"] == "completed"
            assert "You help Ada with the harbour." in instructions(stack)
            say = f"/sessions/{session['session_id']}/say"
            answers = [
                (await asked(backend, say, text="The ferry leaves.", id="ferry")).json()
                for _ in range(2)
            ]
            assert answers[0] == answers[1]
            said = await ada.ended(answers[0]["turn_id"])
            assert said.text == "The ferry leaves."
            said.check_gapless()
        read = (await backend.client.get(f"/sessions/{session['session_id']}")).json()
    spoken = [each["text"] for each in read["messages"] if each["role"] == "assistant"]
    assert spoken[0] == "Good evening, Ada."
    assert spoken.count("The ferry leaves.") == 1
    assert "harbour" not in stack.logs()
    assert "ferry" not in stack.logs()


async def test_what_could_not_be_said_is_said_once_when_it_is_asked_for_again(stack: Stack) -> None:
    token = invoke(stack, {"subject": "ada", "backend": True})["token"]
    async with (
        HttpSession(stack, token) as backend,
        opened(stack.url, token=token_for(stack, "ada")) as ada,
    ):
        say, words = f"/sessions/{ada.ready['session_id']}/say", {"text": "Now.", "id": "now"}
        with stack.without("HttpTurnFunction", "lambda:InvokeFunction"):
            assert (await asked(backend, say, **words)).status_code == 500
        again = await asked(backend, say, **words)
        assert again.status_code == 202
        assert (await ada.ended(again.json()["turn_id"])).text == "Now."


async def test_a_browser_says_nothing_of_its_agent(stack: Stack) -> None:
    async with HttpSession(stack, token_for(stack, "eve")) as eve:
        requests: dict[str, dict[str, Any]] = {
            "/sessions": {"agent": AGENT},
            "/sessions/01M7Z612AHZV40TG3J7990619J/say": {"text": "x"},
            "/sessions/01M7Z612AHZV40TG3J7990619J/context": {"text": "x"},
        }
        for path, body in requests.items():
            assert (await asked(eve, path, **body)).status_code == 403
        await eve.post(text="Hello.", agent=AGENT, **AGENT)
    assert "harbour" not in instructions(stack)
