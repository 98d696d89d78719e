"""What turns have used is what their ends say, and a session's sum is that of its turns."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncGenerator, Callable, Iterable

import pytest

from parley.protocol.messages import Metrics, TurnEnd, Usage
from parley.providers.llm import Prompt, ReplyPiece, Tokens
from parley.providers.rules import CallRules
from tests.unit.fakes import CHAR_MS, FakeResponder, Step, broken, until
from tests.unit.memory import REF
from tests.unit.stage import Stage, holding

SUMMED = [n for n in Usage.__struct_fields__ if n not in ("turns", "tokens_estimated")]


class TellingResponder(FakeResponder):
    """Says how many tokens it has read and written, as vendors do at the end."""

    async def reply(
        self, prompt: Prompt, asked: Callable[[], None]
    ) -> AsyncGenerator[ReplyPiece, None]:
        async for piece in super().reply(prompt, asked):
            yield piece
        prompt.note_tokens(Tokens(100, 7))


def used(stage: Stage) -> Usage:
    found = stage.store.usage.read(REF)
    assert found is not None
    return found


def sum_of(metrics: Iterable[Metrics]) -> dict[str, int]:
    listed = list(metrics)
    return {name: sum(getattr(each, name) or 0 for each in listed) for name in SUMMED}


def check_sum(stage: Stage, turns: int, *more: Metrics) -> None:
    """The sum is that of the ends that were sent, and of what else is known."""
    found = used(stage)
    ends = [end.metrics for end in stage.wire.of(TurnEnd)]
    assert {name: getattr(found, name) for name in SUMMED} == sum_of([*ends, *more])
    assert found.turns == turns


async def test_a_turn_says_what_it_has_used() -> None:
    stage = Stage(responder=TellingResponder([["All is well."]]))
    stage.say("Hello there.")
    outcome = await stage.run(None)
    assert outcome is not None
    metrics = outcome.metrics
    heard = len("Hello there.".encode("utf-16-le"))
    assert metrics.heard_ms == round(heard / 2 / 16)
    assert metrics.spoken_chars == len("All is well.")
    assert (metrics.input_tokens, metrics.output_tokens) == (100, 7)
    assert metrics.tokens_estimated is None
    check_sum(stage, 1)


async def test_tokens_that_nobody_tells_are_estimated() -> None:
    stage = Stage(responder=FakeResponder([["x" * 40]]), system_prompt="p" * 388)
    await stage.run("Hello there.")
    (end,) = stage.wire.of(TurnEnd)
    assert (end.metrics.input_tokens, end.metrics.output_tokens) == (100, 10)
    assert end.metrics.tokens_estimated
    assert used(stage).tokens_estimated


async def test_of_a_workflow_no_tokens_are_known() -> None:
    stage = Stage(responder=FakeResponder([["Hi."]], CallRules(has_tokens=False)))
    await stage.run()
    (end,) = stage.wire.of(TurnEnd)
    assert (end.metrics.input_tokens, end.metrics.output_tokens) == (None, None)
    check_sum(stage, 1)


async def test_a_call_that_failed_before_it_answered_has_no_tokens() -> None:
    stage = Stage(responder=TellingResponder([[broken("unavailable")], ["Hi."]]))
    await stage.run()
    (end,) = stage.wire.of(TurnEnd)
    assert end.metrics.retries == 1
    assert (end.metrics.input_tokens, end.metrics.output_tokens) == (100, 7)


async def test_the_sum_is_that_of_the_turns() -> None:
    stage = Stage(responder=TellingResponder())
    for number in range(4):
        await stage.run(f"Turn {number}.", f"t{number}")
    check_sum(stage, 4)
    assert used(stage).input_tokens == 400


async def test_a_turn_that_is_interrupted_counts() -> None:
    responder, _ = holding("Well, let me see. ")
    stage = Stage(responder=responder)
    running = asyncio.create_task(stage.run())
    await until(lambda: stage.text)
    stage.interrupt(0)
    await running
    (end,) = stage.wire.of(TurnEnd)
    assert end.reason == "interrupted"
    assert end.metrics.output_tokens
    check_sum(stage, 1)


async def test_a_turn_that_is_interrupted_before_a_word_counts() -> None:
    responder, _ = holding()
    stage = Stage(responder=responder)
    running = asyncio.create_task(stage.run())
    await until(lambda: responder.prompts)
    stage.interrupt(None)
    await running
    (end,) = stage.wire.of(TurnEnd)
    assert end.text == ""
    assert end.metrics.input_tokens, "the model has read the prompt"
    check_sum(stage, 1)


async def test_replies_that_were_begun_in_vain_count() -> None:
    stage = Stage(responder=TellingResponder())
    running = asyncio.create_task(stage.run(None, pauses=True))
    streams = stage.synthesizer.streams

    def spoken(number: int) -> bool:
        return len(streams) >= number and streams[number - 1].finished

    def opened(count: int) -> bool:
        return len(streams) == count

    for number, text in enumerate(("One two.", "One two. Three four."), 1):
        stage.say(text, end=False)
        stage.pause(number, -(-len(text) // 4))
        await until(functools.partial(spoken, number))
        stage.pause(number, 0, over=True)
        await until(functools.partial(opened, number + 1))
    stage.say("One two. Three four. Five.")
    await running
    (end,) = stage.wire.of(TurnEnd)
    assert end.metrics.preemptive_tries == 2
    assert end.metrics.spoken_chars == sum(len("".join(each.clauses)) for each in streams)
    assert end.metrics.audio_ms == sum(len(each.said) for each in streams) * CHAR_MS
    assert len(stage.audio) / 48 < end.metrics.audio_ms / 2
    assert (end.metrics.input_tokens, end.metrics.output_tokens) == (300, 21)
    check_sum(stage, 1)


async def test_a_reply_that_was_begun_and_interrupted_unseen_counts() -> None:
    responder, _ = holding("Well, let me see. ")
    stage = Stage(responder=responder)
    running = asyncio.create_task(stage.run(None, pauses=True))
    stage.say("Hello there.", end=False)
    stage.pause(1, 3)
    await until(lambda: any(stream.said for stream in stage.synthesizer.streams))
    stage.interrupt(0)
    await running
    (end,) = stage.wire.of(TurnEnd)
    assert (end.text, end.metrics.reply_chars) == ("", 0)
    assert end.metrics.input_tokens
    assert end.metrics.output_tokens
    (stream,) = stage.synthesizer.streams
    assert end.metrics.spoken_chars == sum(map(len, stream.clauses))
    assert end.metrics.audio_ms == len(stream.said) * CHAR_MS
    check_sum(stage, 1)


async def test_attempts_that_fail_count_beside_the_one_that_does_not() -> None:
    fails: list[Step] = ["So far, so good. ", broken("unavailable")]
    stage = Stage(responder=FakeResponder([fails, [*fails], ["Hi."]]))
    for attempt in (1, 2, 3):
        await stage.run(attempt=attempt)
    ends = stage.wire.of(TurnEnd)
    assert [end.reason for end in ends] == ["failed", "failed", "completed"]
    assert all(end.metrics.output_tokens for end in ends)
    check_sum(stage, 1)


async def test_a_reply_that_is_asked_for_again_counts_twice() -> None:
    stage = Stage(responder=TellingResponder([["First."], ["Second."]]))
    await stage.run(attempt=1)
    await stage.run(attempt=2)
    assert used(stage).output_tokens == 14
    check_sum(stage, 1)


async def test_an_attempt_that_another_overtakes_counts() -> None:
    responder, go_on = holding("Well, let me see. ")
    responder.replies.append(["Hi."])
    stage = Stage(responder=responder)
    first = asyncio.create_task(stage.run(owner="first"))
    await until(lambda: stage.text)
    await stage.run(owner="second", attempt=2)
    assert await first is None
    (end,) = stage.wire.of(TurnEnd)
    (end_tokens, all_tokens) = (end.metrics.output_tokens, used(stage).output_tokens)
    assert end_tokens is not None
    assert all_tokens > end_tokens
    assert used(stage).turns == 1
    go_on.set()


async def test_two_turns_at_once_both_count() -> None:
    responder, _ = holding("Well, let me see. ")
    responder.replies.append(["Hi."])
    stage = Stage(responder=responder)
    first = asyncio.create_task(stage.run(turn_id="t1"))
    await until(lambda: stage.text)
    await stage.run("And now?", "t2")
    await first
    assert len(stage.wire.of(TurnEnd)) == 2
    check_sum(stage, 2)


@pytest.mark.parametrize("name", ["put_message", "finish_turn"])
async def test_a_table_that_fails_costs_the_record_and_not_the_turn(name: str) -> None:
    stage = Stage()
    stage.store.failing.add(name)
    outcome = await stage.run()
    assert outcome is not None
    assert outcome.reason == "completed"
