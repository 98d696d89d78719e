"""Turns that are stopped while their function starts: a success without a word, and no error later.

Each of these turns is a cold start, which takes longer than it takes to stop it.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from parley_client import Conversation
from tests.e2e.http_api import HttpSession, asked, url_of
from tests.e2e.knocking import NODE
from tests.e2e.raw import RawClient, opened, pcm_chunks
from tests.e2e.stack import ROOT, Stack

pytestmark = pytest.mark.timeout(120)

STOPPER = ROOT / "tests" / "e2e" / "stop_early.mjs"
CLIENT = ROOT / "client" / "js" / "index.js"


async def ask(client: RawClient, turn_id: str, pcm: bytes | None) -> None:
    """Begin a turn, typed or spoken."""
    if pcm is None:
        await client.send(type="user_message", turn_id=turn_id, text=f"Hello {turn_id}.")
        return
    await client.send(type="audio_start", turn_id=turn_id, format="pcm_16000")
    for seq, chunk in enumerate(pcm_chunks(pcm, 500), 1):
        await client.chunk(turn_id, seq, chunk)


def history_of(stack: Stack) -> list[tuple[str, str]]:
    """What the model was told last, without the instructions."""
    told = stack.llm.requests()[-1]["body"]["messages"]
    return [(m["role"], m["content"]) for m in told if m["role"] != "system"]


@pytest.mark.parametrize(
    ("spoken", "after_ms"),
    [(False, 0), (False, 300), (True, 100)],
    ids=["typed, at once", "typed, later", "spoken"],
)
async def test_an_interruption_while_the_function_starts_is_a_success_without_a_word(
    stack: Stack, speech: Callable[[str], bytes], spoken: bool, after_ms: int
) -> None:
    stack.renew("TurnFunction")
    before = asked(stack)
    async with opened(stack.url) as client:
        await ask(client, "a", speech("What time is it?") if spoken else None)
        await asyncio.sleep(after_ms / 1000)
        await client.send(type="interrupt", turn_id="a", played_ms=0)
        reply = await client.ended("a")
        reply.check_gapless()
        assert (reply.end["reason"], reply.end["text"]) == ("interrupted", "")
        assert reply.end.get("heard", "") == ""
        assert reply.errors == []
        assert asked(stack) == before, "no model was asked"
        assert client.no_others()
        assert (await client.say("And now?")).end["reason"] == "completed"
        assert client.no_others()


async def test_a_turn_that_a_newer_one_overtakes_while_the_function_starts_ends_interrupted(
    stack: Stack,
) -> None:
    stack.renew("TurnFunction")
    async with opened(stack.url) as client:
        await ask(client, "a", None)
        await client.send(type="interrupt", turn_id="a", played_ms=0)
        await ask(client, "b", None)
        first, second = await asyncio.gather(client.ended("a"), client.ended("b"))
        assert first.end["reason"] == "interrupted"
        assert second.end["reason"] == "completed"
        assert first.errors == second.errors == []
        await client.say("Which were mine?")
        said = [text for role, text in history_of(stack) if role == "user"]
        assert any("Hello a." in text for text in said)
        assert any("Hello b." in text for text in said)
        assert client.no_others()


async def test_a_session_that_ends_while_the_function_starts_shows_no_error(stack: Stack) -> None:
    stack.renew("TurnFunction")
    before = asked(stack)
    async with opened(stack.url) as client:
        await ask(client, "a", None)
        await client.send(type="end")
        assert (await client.other())["type"] == "session_ended"
        reply = await client.ended("a")
        assert (reply.end["reason"], reply.errors) == ("interrupted", [])
        assert client.no_others()
    assert asked(stack) == before


async def test_a_turn_that_never_comes_may_be_interrupted_again_and_again(stack: Stack) -> None:
    async with opened(stack.url) as client:
        for _ in range(3):
            await client.send(type="interrupt", turn_id="never", played_ms=0)
        await client.send(type="ping", sent_at=1)
        assert (await client.other())["type"] == "pong"
        assert (await client.say("Hello.")).end["reason"] == "completed"
        assert client.no_others()


async def test_an_http_turn_is_interrupted_while_its_function_starts(stack: Stack) -> None:
    async with HttpSession(stack) as session:
        await session.open()
        stack.renew("HttpTurnFunction")
        stack.llm.put(delays={"llm_first_token_ms": 1_800})
        running = asyncio.create_task(session.post(text="Hello.", turn_id="a"))
        again = [await session.interrupt("a", 0) for _ in range(2)]
        answer = (await running).json()
        assert {each.status_code for each in again} == {200}
        assert (answer["reason"], answer["text"], answer["heard"]) == ("interrupted", "", "")
        assert "error" not in answer


@pytest.mark.parametrize("newer", [False, True], ids=["interrupts", "says more"])
async def test_the_python_client_s_user_sees_no_error(stack: Stack, newer: bool) -> None:
    stack.renew("TurnFunction")
    async with Conversation.connect(stack.url) as conversation:
        # The second message may have to wait for a function that takes it.
        stack.llm.put(delays={"llm_first_token_ms": 2_300})
        if newer:
            turn, second = conversation.say("one"), conversation.say("two")
            reply = await turn
            assert (await second).reason == "completed"
        else:
            turn = conversation.say("one")
            await asyncio.sleep(0.1)
            await turn.interrupt()
            reply = await turn
        assert (reply.reason, reply.text, reply.heard or "") == ("interrupted", "", "")
        assert reply.errors == ()
        assert (await conversation.say("And now?")).reason == "completed"
        assert not conversation.errors


@pytest.mark.parametrize(
    ("after_ms", "http"),
    [(0, False), (300, False), (100, True)],
    ids=["at once, over a WebSocket", "later, over a WebSocket", "over HTTP"],
)
async def test_the_javascript_client_s_user_sees_no_error(
    stack: Stack, after_ms: int, http: bool
) -> None:
    stack.llm.put(delays={"llm_first_token_ms": 1_800})
    stack.renew("HttpTurnFunction" if http else "TurnFunction")
    address = [stack.url, url_of(stack) if http else "", str(after_ms)]
    done = await asyncio.to_thread(
        subprocess.run,
        [str(NODE), str(STOPPER), str(CLIENT), *address],
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert done.stdout, done.stderr
    came: dict[str, Any] = json.loads(done.stdout)
    assert came["problems"] == []
    stopped, second = came["reasons"]
    # Over HTTP the turn and its interruption start a function each, and either may be first.
    assert stopped == "interrupted" or (http and stopped == "completed")
    assert second == "completed"
    assert [turn["status"] for turn in came["turns"]] == ["done"] * 2
    assert [turn["said"] for turn in came["turns"]] == ["one", "two"]
    if stopped == "interrupted":
        assert came["turns"][0].get("heard", "") == ""
        assert http or came["turns"][0]["text"] == ""
    assert came["transport"] == ("http" if http else "websocket")
