"""What the history keeps of an interrupted reply: the words whose audio had ended, to the word."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import boto3
import pytest

from parley.principal import ANONYMOUS
from parley_client import Word, heard_text
from samwire_tests.own_key import own_key
from tests.e2e.raw import Reply, opened
from tests.e2e.stack import Stack
from tests.e2e.until import until

pytestmark = pytest.mark.timeout(180)

QUESTIONS = (
    "Tell me a story about the sea.",
    "Count to twenty.",
    "Tell me a joke.",
    "Repeat after me: one, two, and then three. Not four!",
)
CUTS_EACH = 10
"""A connection may interrupt twenty times at once."""
LATE_S = 5.0


def words_of(reply: Reply) -> list[Word]:
    """The words of a reply's audio, with their times."""
    events = [event for event in reply.events if event["type"] == "audio"]
    return [Word(*word) for event in events for word in event.get("words", [])]


def heard(reply: Reply, played_ms: float) -> str:
    """What had been played, by the times that came with the audio and the client's own rule."""
    return heard_text(reply.end["text"], words_of(reply), played_ms)


@cache
def client_of(stack: Stack) -> Any:
    """A client of the stack's DynamoDB; to make one takes longer than to use it."""
    return boto3.client(
        "dynamodb",
        endpoint_url=stack.info["aws_endpoint"],
        region_name="us-east-1",
        **own_key(stack.info),
    )


class History:
    """What the table, looked into from outside, keeps of the reply of a session's only turn."""

    def __init__(self, stack: Stack, session_id: str) -> None:
        self._table = next(iter(stack.info["tables"].values()))
        self._client = client_of(stack)
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

        def newer() -> tuple[str | None, int] | None:
            now = self.heard()
            return now if now[1] > known_since_ms else None

        found = await until(newer, LATE_S)
        assert found is not None
        return found


async def test_of_many_cuts_after_the_end_every_one_is_right_to_the_word(stack: Stack) -> None:
    chance = random.Random(4)
    wrong: list[tuple[str, float, str, str | None]] = []
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
                if kept != expected:
                    wrong.append((question, played_ms, expected, kept))
    assert wrong == []


@pytest.mark.parametrize("after_events", [2, 4, 6, 9])
async def test_a_cut_while_the_turn_runs_is_right_to_the_word(
    stack: Stack, after_events: int
) -> None:
    stack.llm.put(delays={"llm_token_ms": 40})
    async with opened(stack.url) as client:
        await client.send(type="user_message", turn_id="t", text=QUESTIONS[0])
        so_far = await client.until("t", lambda reply: len(reply.events) >= after_events)
        audio = [event for event in so_far.events if event["type"] == "audio"]
        come_ms = sum(event["duration_ms"] for event in audio)
        played_ms = round(come_ms * 0.7, 1)
        await client.send(type="interrupt", turn_id="t", played_ms=played_ms)
        reply = await client.ended("t")
    assert reply.end["reason"] == "interrupted"
    assert reply.end["heard"] == heard(reply, played_ms)


BROKEN_OFF = "Repeat after me: lulu du lu duriri, du lu du ba. nime kolume ni pa."
"""What the user says in the turn of `make chaos --seed 723` whose voice breaks off in `Lulu`."""


def is_whole(text: str, heard: str) -> bool:
    """Whether it is the text's beginning, and ends with a word of it."""
    return text.startswith(heard) and (not heard or text[len(heard) :][:1] in ("", " "))


async def test_of_a_voice_that_broke_off_no_half_a_word_counts_as_heard(stack: Stack) -> None:
    stack.elevenlabs.put(faults={"tts": {"cut": 1, "times": 1}})
    async with opened(stack.url) as client:
        reply = await client.say(BROKEN_OFF)
        assert "speech_failed" in [event.get("code") for event in reply.events]
        length_ms = reply.end["metrics"]["audio_ms"]
        assert 0 < length_ms < 2_000, "it broke off"
        history, known_since_ms = History(stack, client.ready["session_id"]), 0
        ends = [word.end_ms for word in words_of(reply)]
        cuts = {0, length_ms, length_ms + 300, *ends, *(end - 1 for end in ends)}
        assert len(cuts) <= 2 * CUTS_EACH
        for played_ms in sorted(cuts):
            await client.send(type="interrupt", turn_id=reply.turn_id, played_ms=played_ms)
            kept, known_since_ms = await history.changes(known_since_ms)
            assert kept == heard(reply, played_ms)
            assert is_whole(reply.end["text"], kept or ""), kept


async def test_an_interruption_that_comes_twice_finds_the_same_both_times(stack: Stack) -> None:
    stack.elevenlabs.put(faults={"tts": {"cut": 1, "times": 1}})
    stack.llm.put(delays={"llm_token_ms": 60})
    async with opened(stack.url) as client:
        turn_id = client.new_turn_id()
        await client.send(type="user_message", turn_id=turn_id, text=BROKEN_OFF)
        await client.has(turn_id, "error")
        for _ in range(2):  # while it runs, and when it has ended
            await client.send(type="interrupt", turn_id=turn_id, played_ms=400)
            reply = await client.ended(turn_id)
        told = reply.end["heard"]
        assert reply.end["reason"] == "interrupted"
        assert told == heard(reply, 400)
        assert is_whole(reply.end["text"], told)
        kept, _ = await History(stack, client.ready["session_id"]).changes(0)
        assert kept == told


async def test_marks_are_not_spoken_and_han_is_heard_to_the_character(stack: Stack) -> None:
    async with opened(stack.url) as client:
        reply = await client.say(
            "Repeat after me: the **menu** of [today](https://a.example/b): 今天天气很好"
        )
        text, words = reply.end["text"], words_of(reply)
        assert "**menu**" in text
        assert "".join("".join(word.text for word in words).split()) == "".join(text.split())
        ends = sorted({word.end_ms for word in words})
        cuts = [0, *ends, ends[-1] + 100]
        assert len(cuts) <= 2 * CUTS_EACH
        history, known_since_ms, found = History(stack, client.ready["session_id"]), 0, set()
        for played_ms in cuts:
            await client.send(type="interrupt", turn_id=reply.turn_id, played_ms=played_ms)
            kept, known_since_ms = await history.changes(known_since_ms)
            assert kept == heard(reply, played_ms)
            assert text.startswith(kept or "")
            found.add(kept)
    assert any("今" in each and "好" not in each for each in found if each), "to the character"
    said = [r for r in stack.elevenlabs.requests() if "multi-stream-input" in r["path"]][-1]
    spoken = "".join(f["frame"].get("text") or "" for f in said["frames"] if f["direction"] == "in")
    assert "menu of today" in spoken
    assert not {"*", "[", "/"} & set(spoken)
