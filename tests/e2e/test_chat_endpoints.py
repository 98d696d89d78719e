"""Whole conversations with chat endpoints that are stricter, or odder, than OpenAI's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.http_api import until_asked
from tests.e2e.raw import opened
from tests.e2e.stack import Stack

pytestmark = pytest.mark.timeout(120)


@contextmanager
def odd(stack: Stack, *names: str) -> Iterator[None]:
    """While this lasts, the chat endpoint is odd in these ways."""
    stack.llm.put(oddities=dict.fromkeys(names, True))
    try:
        yield
    finally:
        stack.llm.put(oddities=dict.fromkeys(names, False), delays={"llm_first_token_ms": 0})


def prompts(stack: Stack) -> list[list[tuple[str, str]]]:
    """The messages of every request so far."""
    bodies: list[dict[str, Any]] = [
        r["body"] for r in stack.llm.requests() if "completions" in r["path"]
    ]
    return [[(m["role"], m["content"]) for m in body["messages"][1:]] for body in bodies]


async def test_after_an_interruption_before_the_first_word_a_strict_endpoint_goes_on(
    stack: Stack,
) -> None:
    async with opened(stack.url) as client:
        with odd(stack, "strict_roles"):
            stack.llm.put(delays={"llm_first_token_ms": 5_000})
            await client.send(type="user_message", turn_id="a", text="My name is Ada.")
            await until_asked(stack)
            await client.send(type="interrupt", turn_id="a", played_ms=0)
            assert (await client.ended("a")).end["reason"] == "interrupted"
            stack.llm.put(delays={"llm_first_token_ms": 0})
            second = await client.say("What is two plus three?", "b")
            third = await client.say("What is my name?", "c")
    assert (second.end["reason"], second.text) == ("completed", "Two plus three is five.")
    assert third.end["reason"] == "completed"
    assert "Ada" in third.text
    assert prompts(stack)[-2:] == [
        [("user", "My name is Ada.\nWhat is two plus three?")],
        [
            ("user", "My name is Ada.\nWhat is two plus three?"),
            ("assistant", "Two plus three is five."),
            ("user", "What is my name?"),
        ],
    ]


async def test_after_a_reply_of_which_nothing_was_heard_and_a_turn_that_failed_it_goes_on(
    stack: Stack,
) -> None:
    async with opened(stack.url) as client:
        with odd(stack, "strict_roles"):
            await client.send(type="user_message", turn_id="a", text="Count to thirty.")
            await client.has("a", "audio")
            await client.send(type="interrupt", turn_id="a", played_ms=0)
            await client.ended("a")
            stack.llm.put(faults={"llm": {"status": 401}})
            assert (await client.say("Are you there?", "b")).end["reason"] == "failed"
            reply = await client.say("What is two plus three?", "c")
    assert (reply.end["reason"], reply.text) == ("completed", "Two plus three is five.")
    (turn,) = prompts(stack)[-1:]
    assert turn == [("user", "Count to thirty.\nAre you there?\nWhat is two plus three?")]


@pytest.fixture
def forgetful(stack: Stack) -> Iterator[Stack]:
    """No environment knows from before, or keeps for later, what its model takes."""
    stack.renew("TurnFunction")
    yield stack
    stack.renew("TurnFunction")


async def test_a_model_that_takes_no_system_message_converses(forgetful: Stack) -> None:
    stack, before = forgetful, forgetful.log.stat().st_size
    with odd(stack, "strict_roles", "no_system_role"):
        async with opened(stack.url) as client:
            first = await client.say("My name is Ada.", "a")
            second = await client.say("What is my name?", "b")
    assert "takes no system message" in stack.logged_since(before)
    assert [reply.end["reason"] for reply in (first, second)] == ["completed", "completed"]
    assert "Ada" in second.text
    bodies = [r["body"] for r in stack.llm.requests() if "completions" in r["path"]]
    accepted = bodies[-1]["messages"]
    assert [message["role"] for message in accepted] == ["user", "assistant", "user"]
    assert accepted[0]["content"].endswith("\n\nMy name is Ada.")


async def test_what_a_model_thinks_is_neither_shown_nor_spoken_nor_kept(stack: Stack) -> None:
    async with opened(stack.url) as client:
        with odd(stack, "thinks"):
            reply = await client.say("What is two plus three?", "a")
        await client.say("And what is one plus one?", "b")
    spoken = [w[0] for e in reply.events if e["type"] == "audio" for w in e.get("words", [])]
    assert reply.text == reply.end["text"] == "Two plus three is five."
    assert spoken == reply.text.split()
    assert ("assistant", "Two plus three is five.") in prompts(stack)[-1]


async def test_an_endpoint_that_does_not_stream_is_understood(stack: Stack) -> None:
    async with opened(stack.url) as client:
        with odd(stack, "whole_answers", "thinks"):
            reply = await client.say("What is two plus three?")
    assert (reply.end["reason"], reply.text) == ("completed", "Two plus three is five.")
    assert reply.audio
