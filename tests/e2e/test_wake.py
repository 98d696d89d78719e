"""A session's first turn finds a warm function, because its `init` has woken one."""

from __future__ import annotations

from tests.e2e.raw import opened
from tests.e2e.stack import Stack
from tests.e2e.until import until


async def test_the_first_turn_after_init_is_warm(stack: Stack) -> None:
    stack.renew("TurnFunction")
    before = stack.log.stat().st_size
    async with opened(stack.url) as client:
        await until(lambda: ended_invocations(stack, before))
        reply = await client.say("Good morning.")
    assert reply.end["reason"] == "completed"
    assert reply.end["metrics"]["cold"] is False
    assert reply.end["metrics"]["connection_reused"] is True


async def test_a_turn_that_nothing_has_woken_is_cold(stack: Stack) -> None:
    before = stack.log.stat().st_size
    async with opened(stack.url) as client:
        await until(lambda: ended_invocations(stack, before))  # or it would wake the next one
        stack.renew("TurnFunction")
        reply = await client.say("Good morning.")
    assert reply.end["metrics"]["cold"] is True


async def test_a_session_is_opened_also_where_nothing_can_be_woken(stack: Stack) -> None:
    before = stack.log.stat().st_size
    with stack.without("MessageFunction", "lambda:InvokeFunction"):
        async with opened(stack.url) as client:
            assert client.ready["type"] == "ready"
            line = await until(lambda: line_of(stack, before, "not_woken"))
    assert '"aws_code":"AccessDeniedException"' in line


async def test_a_session_that_comes_back_again_and_again_wakes_once(stack: Stack) -> None:
    before = stack.log.stat().st_size
    async with opened(stack.url) as client:
        await until(lambda: ended_invocations(stack, before))
        ready = client.ready
    for _ in range(5):
        token = {name: ready[name] for name in ("session_id", "resume_token")}
        async with opened(stack.url, **token) as client:
            ready = client.ready
    async with opened(
        stack.url, session_id=ready["session_id"], resume_token=ready["resume_token"]
    ) as client:
        reply = await client.say("Good morning.")  # whose invocation is the next one
    assert reply.end["reason"] == "completed"
    await until(lambda: ended_invocations(stack, before) > 1)
    assert ended_invocations(stack, before) == 2


def ended_invocations(stack: Stack, since: int) -> int:
    """How many invocations of the turn function have ended."""
    lines = stack.logged_since(since).splitlines()
    return sum(x.startswith("TurnFunction | ") and "platform.report" in x for x in lines)


def line_of(stack: Stack, since: int, words: str) -> str:
    """The first line with some words; empty for none."""
    return next((x for x in stack.logged_since(since).splitlines() if words in x), "")
