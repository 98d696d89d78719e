"""What a session has used is the sum of what its turns say, over the whole stack."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.raw import RawClient, Reply, opened
from tests.e2e.records import Records
from tests.e2e.until import until

pytestmark = pytest.mark.timeout(120)

LONG = "Tell me a story about the sea."
SUMMED = (
    *("heard_ms", "spoken_chars", "audio_ms", "input_tokens", "output_tokens"),
    *("tool_calls", "posts", "table_reads", "table_writes"),
)


def sum_of(ends: list[dict[str, Any]]) -> dict[str, int]:
    sums = {name: sum(end["metrics"].get(name, 0) for end in ends) for name in SUMMED}
    return {name: total for name, total in sums.items() if total}


async def interrupted(client: RawClient) -> Reply:
    turn = client.new_turn_id()
    await client.send(type="user_message", turn_id=turn, text="Tell me a long story.")
    await client.has(turn, "audio")
    await client.send(type="interrupt", turn_id=turn, played_ms=50)
    return await client.ended(turn)


async def test_a_session_has_used_what_its_turns_have(
    records: Records, speech: Callable[[str], bytes]
) -> None:
    stack = records.stack
    logged_before = stack.log.stat().st_size
    async with opened(stack.url) as client:
        stack.llm.put(delays={"llm_token_ms": 30})
        question = speech("What time is it?")
        replies = [
            await client.say("Good morning."),
            await client.speak(question, speed=4),
            await interrupted(client),
        ]
        stack.llm.put(faults={"llm": {"status": 400, "times": "always"}})
        failed = await client.say("And now?")
        stack.llm.reset()
        replies.append(failed)
        first = await client.say("Count to five.", "again")
        replies.append(first)
        client.forget("again")
        await client.send(type="user_message", turn_id="again", text="Count to five.", attempt=2)
        replies.append(await client.ended("again"))
        reasons = [reply.end["reason"] for reply in replies]
        assert reasons == ["completed"] * 2 + ["interrupted", "failed"] + ["completed"] * 2
        ends = [reply.end for reply in replies]
        assert ends[1]["metrics"]["heard_ms"] == round(len(question) / 32)
        assert all(end["metrics"]["table_writes"] > 1 for end in ends)
        wanted = {"turns": 5, "tokens_estimated": True, **sum_of(ends)}
        assert {"heard_ms", "spoken_chars", "input_tokens", "output_tokens"} <= wanted.keys()
        assert (await records.of(client)).json["usage"] == wanted
        # Each of them has ended, but its function may still write: the session waits for none.
        await client.send(type="end")
        ended = await client.other()
        assert (ended["type"], ended["usage"]) == ("session_ended", wanted)
        await client.send(type="end")
        assert "usage" not in await client.other(), "once is enough"
    lines = [
        json.loads(line.partition(" | ")[2])
        for line in stack.logged_since(logged_before).splitlines()
        if '"session_ended"' in line
    ]
    told = [line for line in lines if line["session_id"] == client.ready["session_id"]]
    (line,) = told
    assert {name: line[name] for name in wanted} == wanted
    assert {type(line[name]) for name in wanted} <= {int, bool}


async def test_an_attempt_that_another_overtakes_is_in_the_sum(records: Records) -> None:
    stack = records.stack
    async with opened(stack.url) as client:
        await client.say("Good morning.")
        logged_before = stack.log.stat().st_size
        stack.llm.put(delays={"llm_token_ms": 500})
        question = {
            "type": "user_message",
            "turn_id": "t",
            "text": "Tell me a story about the sea.",
        }
        await client.send(**question)
        await client.has("t", "reply_text")
        stack.llm.reset()
        await client.send(**question, attempt=2)
        reply = await client.ended("t")
        await until(lambda: '"turn_already_claimed"' in stack.logged_since(logged_before))
        usage = (await records.of(client)).json["usage"]
        assert usage["turns"] == 2
        both = sum_of([reply.end])["input_tokens"]
        assert usage["input_tokens"] > both, "the first has asked the model, too"
        kept = f'{client.ready["session_id"]}"}}, "sk": {{"S": "USE#t#001"'
        assert records.traces([kept]) == [kept]
        await records.erase(client.ready)
        await records.no_traces([kept])
