"""What the history keeps of an interrupted reply: the words whose audio had ended, to the word."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import boto3
import pytest

from parley.principal import ANONYMOUS
from parley_client import Word, heard_text
from tests.e2e.raw import Reply, opened
from tests.e2e.stack import Stack
from tests.local.own_key import own_key

pytestmark = pytest.mark.timeout(180)

QUESTIONS = (
    "Tell me a story about the sea.",
    "Count to twenty.",
    "Tell me a joke.",
    "Repeat after me: one, two, and then three. Not four!",
)
CUTS_EACH = 50
LATE_S = 5.0


def heard(reply: Reply, played_ms: float) -> str:
    """What had been played, by the times that came with the audio and the client's own rule."""
    words = [word for e in reply.events if e["type"] == "audio" for word in e.get("words", [])]
    return heard_text(reply.end["text"], [Word(*word) for word in words], played_ms)


class History:
    """What the table, looked into from outside, keeps of the reply of a session's only turn."""

    def __init__(self, stack: Stack, session_id: str) -> None:
        self._table = next(iter(stack.info["tables"].values()))
        self._client: Any = boto3.client(
            "dynamodb",
            endpoint_url=stack.info["aws_endpoint"],
            region_name="us-east-1",
            **own_key(stack.info),
        )
        messages = self._client.query(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :message)",
            ExpressionAttributeValues={
                ":pk": {"S": f"SESSION#{ANONYMOUS.session(session_id)}"},
                ":message": {"S": "MESSAGE#"},
            },
            ConsistentRead=True,
        )["Items"]
        (reply,) = [item for item in messages if item["role"]["S"] == "assistant"]
        self._key = {"pk": reply["pk"], "sk": reply["sk"]}

    def heard(self) -> tuple[str | None, int]:
        """What was heard (None if all of it), and since when that is known."""
        found = self._client.get_item(TableName=self._table, Key=self._key, ConsistentRead=True)
        text: str | None = found["Item"].get("heard", {}).get("S")
        return text, int(found["Item"].get("heard_at", {}).get("N", 0))

    async def changes(self, known_since_ms: int) -> tuple[str | None, int]:
        """What was heard, once something newer than that is known."""
        async with asyncio.timeout(LATE_S):
            while (now := await asyncio.to_thread(self.heard))[1] <= known_since_ms:
                await asyncio.sleep(0.02)
        return now


async def test_of_200_cuts_after_the_end_every_one_is_right_to_the_word(stack: Stack) -> None:
    chance = random.Random(4)
    wrong: list[tuple[str, float, str, str | None]] = []
    cuts = 0
    for question in QUESTIONS:
        async with opened(stack.url) as client:
            reply = await client.say(question)
            history = History(stack, client.ready["session_id"])
            length_ms = reply.end["metrics"]["audio_ms"]
            assert heard(reply, length_ms + 1).split() == reply.end["text"].split()
            known_since_ms = 0
            for _ in range(CUTS_EACH):
                played_ms = round(chance.uniform(0, length_ms), 1)
                expected = heard(reply, played_ms)
                await client.send(type="interrupt", turn_id=reply.turn_id, played_ms=played_ms)
                kept, known_since_ms = await history.changes(known_since_ms)
                cuts += 1
                if kept != expected:
                    wrong.append((question, played_ms, expected, kept))
    assert cuts == 200
    assert wrong == []


@pytest.mark.parametrize("after_events", [2, 4, 6, 9])
async def test_a_cut_while_the_turn_runs_is_right_to_the_word(
    stack: Stack, after_events: int
) -> None:
    stack.llm.put(delays={"llm_token_ms": 40})
    async with opened(stack.url) as client:
        await client.send(type="user_message", turn_id="t", text=QUESTIONS[0])
        async with asyncio.timeout(20):
            while len(client.reply("t").events) < after_events:
                await asyncio.sleep(0.005)
        audio = [e for e in client.reply("t").events if e["type"] == "audio"]
        come_ms = sum(event["duration_ms"] for event in audio)
        played_ms = round(come_ms * 0.7, 1)
        await client.send(type="interrupt", turn_id="t", played_ms=played_ms)
        reply = await client.ended("t")
    assert reply.end["reason"] == "interrupted"
    assert reply.end["heard"] == heard(reply, played_ms)
