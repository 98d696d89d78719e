"""How a turn ends early: what an interruption stops, and what it leaves in the history."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from parley.limits.rules import NO_LIMITS
from parley.protocol.messages import Transcript, encode
from parley.providers.llm import Prompt
from parley.turn.stages.reply import MAX_REPLY_CHARS
from tests.unit.fakes import (
    FakeResponder,
    FakeSynthesizer,
    Wire,
    text_in,
    until,
)
from tests.unit.memory import REF
from tests.unit.stage import Stage, holding


async def test_an_interruption_keeps_only_what_was_heard() -> None:
    responder, _ = holding("One two three four.")
    stage = Stage(responder=responder, provider_timeout_s=5)
    running = asyncio.create_task(stage.run())
    await until(lambda: text_in(stage.audio).startswith("One two three"))
    stage.interrupt(80)  # ten milliseconds a character: "One two " is 80 ms long
    await running
    end = stage.wire.end
    assert (end.reason, end.heard, end.text) == ("interrupted", "One two", "One two three four.")
    assert stage.history_texts[-1] == ("assistant", "One two three four.", "One two")


async def test_what_was_heard_of_speech_without_word_times_is_estimated() -> None:
    responder, _ = holding("One two three four.")
    stage = Stage(
        responder=responder, synthesizer=FakeSynthesizer(timed=False), provider_timeout_s=5
    )
    running = asyncio.create_task(stage.run())
    await until(lambda: text_in(stage.audio).startswith("One two three"))
    stage.interrupt(80)
    await running
    end = stage.wire.end
    # This voice is eight times as quick as is assumed of one that tells nothing.
    assert (end.reason, end.heard, end.heard_estimated) == ("interrupted", "", True)
    *_, reply = stage.store.messages()
    assert (reply.text, reply.heard, reply.heard_estimated) == ("One two three four.", "", True)


async def test_what_was_heard_reaches_the_next_prompt() -> None:
    responder, _ = holding("One two three four.")
    stage = Stage(responder=responder, provider_timeout_s=5)
    running = asyncio.create_task(stage.run())
    await until(lambda: text_in(stage.audio).startswith("One two three"))
    stage.interrupt(80)
    await running
    stage.wire = Wire()
    await stage.run("Go on.", "t2")
    assert stage.responder.prompts[-1].history[-1].heard == "One two"


async def test_what_the_agent_said_unasked_is_known_as_that_in_the_next_prompt() -> None:
    stage = Stage()
    await stage.run(None, "g1", say="Hello, I am Ada.", cause="greeting")
    await stage.run("Hi.", "t2")
    assert [each.agent for each in stage.responder.prompts[-1].history] == [True]
    await stage.run("And now?", "t3")
    assert [each.agent for each in stage.responder.prompts[-1].history] == [True, False, False]


async def test_an_interruption_while_the_user_talks_ends_the_turn() -> None:
    stage = Stage(listen_timeout_s=5)
    stage.say("What", end=False)
    running = asyncio.create_task(stage.run(None))
    await until(lambda: stage.wire.of(Transcript))
    stage.interrupt(0)
    await running
    assert (stage.wire.end.reason, stage.wire.end.text) == ("interrupted", "")
    assert stage.responder.prompts == []
    assert stage.history_texts == []


async def test_an_interruption_that_came_before_the_turn_stops_it_at_once() -> None:
    responder, _ = holding("Too late.")
    stage = Stage(responder=responder, provider_timeout_s=5)
    stage.interrupt(0)
    await stage.run()
    assert stage.wire.end.reason == "interrupted"


async def test_an_interruption_drops_what_has_not_been_posted() -> None:
    stage = Stage(responder=FakeResponder([["word " * 400]]))
    stage.wire.slow_s = 0.03
    running = asyncio.create_task(stage.run())
    await until(lambda: stage.audio)
    stage.interrupt(0)
    await until(lambda: stage.wire.events and not stage.store.turns[REF, "t1"].running)
    await running
    assert stage.wire.end.reason == "interrupted"
    assert stage.wire.end.heard == ""
    assert len(text_in(stage.audio)) < 1000


async def test_what_is_not_on_its_way_when_an_interruption_comes_never_leaves() -> None:
    responder, _ = holding("word " * 400)
    stage = Stage(responder=responder, provider_timeout_s=5)
    running = asyncio.create_task(stage.run())
    await until(lambda: stage.audio)
    stage.wire.open.clear()
    await until(lambda: stage.wire.posting)
    before = len(stage.wire.events)
    stage.interrupt(10)
    await until(lambda: stage.synthesizer.streams[0].closed)
    for _ in range(20):  # the reply has been cancelled; let the turn see it
        await asyncio.sleep(0)
    stage.wire.open.set()
    await running
    late = stage.wire.events[before:]
    assert len(late) <= 2, "the post under way, and the end"
    assert stage.wire.end.reason == "interrupted"


async def test_nothing_leaves_while_an_interrupted_turn_s_model_is_slow_to_let_go() -> None:
    closing, may_close = asyncio.Event(), asyncio.Event()

    class SlowToLetGo(FakeResponder):
        async def reply(self, *arguments: Any) -> Any:
            try:
                async for delta in super().reply(*arguments):
                    yield delta
            finally:
                closing.set()
                await may_close.wait()

    responder = SlowToLetGo([["word " * 400, asyncio.Event()]])
    stage = Stage(responder=responder, provider_timeout_s=5)
    running = asyncio.create_task(stage.run())
    await until(lambda: stage.audio)
    stage.wire.open.clear()
    await until(lambda: stage.wire.posting)
    before = len(stage.wire.events)
    stage.interrupt(10)
    await closing.wait()
    stage.wire.open.set()
    for _ in range(100):  # enough to post all that waits
        await asyncio.sleep(0)
    assert len(stage.wire.events) == before + 1, "the post under way"
    may_close.set()
    await running
    assert len(stage.wire.events) == before + 2
    assert stage.wire.end.reason == "interrupted"


async def test_the_first_interruption_counts() -> None:
    responder, _ = holding("One two three four.")
    stage = Stage(responder=responder, provider_timeout_s=5)
    running = asyncio.create_task(stage.run())
    await until(lambda: text_in(stage.audio).startswith("One two three"))
    stage.interrupt(30)
    stage.interrupt(1000)
    await running
    assert stage.wire.end.heard == "One"


async def test_an_interruption_at_the_very_end_is_honoured() -> None:
    stage = Stage(responder=FakeResponder([["One two three."]]))
    finish = stage.store.finish_turn

    def interrupted_meanwhile(*arguments: Any, **options: Any) -> bool:
        stage.interrupt(60)
        return finish(*arguments, **options)

    stage.store.finish_turn = interrupted_meanwhile  # type: ignore[method-assign]  # a race
    outcome = await stage.run()
    assert outcome is not None
    assert (outcome.reason, stage.wire.end.reason) == ("interrupted", "interrupted")
    assert (stage.wire.end.text, stage.wire.end.heard) == ("One two three.", "One")
    assert stage.history_texts[-1] == ("assistant", "One two three.", "One")


async def test_a_model_that_does_not_stop_is_not_listened_to_for_ever() -> None:
    endless = FakeResponder([["word " * (MAX_REPLY_CHARS // 5 + 100)]])
    stage = Stage(responder=endless, limits=NO_LIMITS)
    await stage.run()
    assert stage.wire.end.reason == "completed"
    assert len(stage.wire.end.text) == MAX_REPLY_CHARS
    assert stage.text == stage.wire.end.text
    assert len(encode(stage.wire.end)) < 128 * 1024


async def test_nothing_is_written_before_the_model_was_asked() -> None:
    stage = Stage()
    before: list[Any] = []
    reply = stage.responder.reply

    def asked_late(prompt: Prompt, asked: Callable[[], None]) -> Any:
        before.extend([*stage.store.messages(), stage.store.sessions[REF].active_turn])
        before.extend(stage.synthesizer.opened)
        return reply(prompt, asked)

    stage.responder.reply = asked_late  # type: ignore[method-assign]  # looks around first
    await stage.run()
    assert before == [None]
    assert stage.store.sessions[REF].active_turn == "t1"
    assert stage.history_texts[0] == ("user", "Hello there.", None)
