"""Exactly once: attempts that die, overlap and overtake each other, and interruptions."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import Any

import pytest

from parley.aws.failures import ServiceError
from parley.protocol.messages import Custom, ToolUpdate, Transcript, TurnEnd
from parley.protocol.tool_rounds import CallResult
from parley.storage.item_codec import turn_key
from parley.storage.table import Table
from parley.tools.sentences import INTERRUPTED, NO_TIME, NOT_RUN, UNKNOWN
from parley.tools.tool import Answer, CustomEvent
from parley.tools.toolbox import BUILT_IN, Toolbox
from parley.turn.stop import StopReason, TurnStop
from parley.turn.tools import calls as runner
from tests.unit.fakes import FakeResponder, FakeTranscriber, Wire, until
from tests.unit.memory import REF
from tests.unit.stage import Stage
from tests.unit.turn.tools import ASKED, FakeTool, calls, outcomes, results, spec, toolbox


def holding(effect: Any = "write", replies: Any = None, **more: Any) -> tuple[Stage, FakeTool]:
    """A stage whose tool answers when it may."""
    tool = FakeTool()
    tool.may_answer.clear()
    stage = Stage(
        responder=FakeResponder(replies or [[ASKED], ["It is booked."]]),
        toolbox=toolbox(tool, spec(effect=effect, **more)),
    )
    return stage, tool


def another(stage: Stage) -> Stage:
    """The same services, for an attempt with a wire of its own."""
    other = Stage.__new__(Stage)
    other.__dict__.update(stage.__dict__)
    other.wire = Wire()
    return other


async def die(stage: Stage, tool: FakeTool) -> None:
    """Run a turn until its tool runs, and let its function die there."""
    turn = asyncio.create_task(stage.run("Book it."))
    await until(lambda: tool.invocations)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.gather(turn, return_exceptions=True)
    # What a dead function cannot do: keep a result, or end its turn.
    item = stage.store.client.table.get(turn_key(REF, "t1"))
    assert item is not None
    stage.store.fail_turn(REF, "t1", item["owner"]["S"])
    tool.may_answer.set()


async def test_a_later_attempt_goes_on_from_the_recorded_round_and_runs_nothing_again() -> None:
    tool = FakeTool()
    stage = Stage(
        responder=FakeResponder([[ASKED], ["Broken", OSError()], ["It is booked."]]),
        toolbox=toolbox(tool, spec(effect="write", show="all")),
    )
    await stage.run("Book it.")
    assert stage.wire.end.reason == "failed"
    later = another(stage)
    await later.run("Book it.", attempt=2)
    assert later.wire.end.text == "It is booked."
    assert len(tool.invocations) == 1
    assert len(stage.responder.prompts) == 3
    (told,) = later.wire.of(ToolUpdate)
    (*_, told_before) = stage.wire.of(ToolUpdate)
    assert told.state == "done"
    assert told.arguments
    assert (told.arguments, told.result) == (told_before.arguments, told_before.result)


async def test_a_write_of_a_dead_function_is_unknown_and_never_run_again() -> None:
    stage, tool = holding()
    await die(stage, tool)
    later = another(stage)
    await later.run("Book it.", attempt=2)
    assert len(tool.invocations) == 1
    assert results(stage) == [UNKNOWN]
    assert [update.state for update in later.wire.of(ToolUpdate)] == ["unknown"]
    assert later.wire.end.metrics.tools_unknown == 1
    assert stage.responder.prompts[-1].rounds[0].results == (UNKNOWN,)


@pytest.mark.parametrize("effect", ["read", "idempotent"])
async def test_what_may_run_twice_runs_again_with_the_same_key(effect: str) -> None:
    stage, tool = holding(effect)
    await die(stage, tool)
    later = another(stage)
    await later.run("Book it.", attempt=2)
    assert [each.key for each in tool.invocations] == ["s.t1.0.0"] * 2
    assert [each.attempt for each in tool.invocations] == [1, 2]
    assert outcomes(stage) == ["done"]
    assert later.wire.end.text == "It is booked."


async def test_a_write_that_an_overtaken_attempt_has_begun_is_waited_for() -> None:
    # Both go on with what it answers: the first one does not know yet that it was overtaken.
    stage, tool = holding(replies=[[ASKED], ["It is booked."], ["It is booked."]])
    first = asyncio.create_task(stage.run("Book it."))
    await until(lambda: tool.invocations)
    later = another(stage)
    second = asyncio.create_task(later.run("Book it.", attempt=2, owner="you"))
    await until(lambda: stage.store.turns[REF, "t1"].attempt.number == 2)
    tool.may_answer.set()
    await asyncio.gather(first, second)
    assert len(tool.invocations) == 1
    assert later.wire.end.text == "It is booked."
    assert outcomes(stage) == ["done"]


async def test_an_overtaken_attempt_runs_what_only_it_may_run() -> None:
    """Its second write waits for a slot when the later attempt begins."""
    stage, tool = holding(replies=[[calls(*["order_status"] * 5)], ["It is booked."]])
    first = asyncio.create_task(stage.run("Book five."))
    await until(lambda: tool.running == runner.MAX_AT_ONCE)
    later = another(stage)
    second = asyncio.create_task(later.run("Book five.", attempt=2, owner="you"))
    await until(lambda: stage.store.turns[REF, "t1"].attempt.number == 2)
    tool.may_answer.set()
    await asyncio.gather(first, second)
    assert outcomes(stage) == ["done"] * 5
    assert len(tool.invocations) == 5


@pytest.mark.parametrize("effect", ["write", "read"])
async def test_an_attempt_that_was_overtaken_records_nothing(effect: Any) -> None:
    go_on = asyncio.Event()
    tool = FakeTool()
    stage = Stage(
        responder=FakeResponder([[go_on, ASKED], ["Never mind."]]),
        toolbox=toolbox(tool, spec(effect=effect)),
    )
    first = asyncio.create_task(stage.run("Book it."))
    await until(lambda: stage.responder.prompts)
    later = another(stage)
    await later.run("Book it.", attempt=2, owner="you")
    go_on.set()
    await first
    assert tool.invocations == []
    assert (
        stage.rounds.read_rounds(REF, "t1", stage.store.turns[REF, "t1"].attempt.started_ms) == []
    )
    assert not stage.wire.of(TurnEnd)


async def test_a_round_that_another_attempt_has_recorded_is_followed() -> None:
    """The lease may have expired and be acquired again between a look and a write."""
    stage, tool = holding()
    tool.may_answer.set()
    theirs = calls("order_status", arguments='{"order": "B-9"}')
    record = stage.rounds.record_round

    def late(
        ref: Any, turn_id: str, started_ms: int, owner: str, attempt: int, planned: Any
    ) -> Any:
        other = planned.__class__(
            planned.index, theirs, "", (CallResult("done", "booked by the other"),), 1, "Book it."
        )
        stage.rounds.record_round = record  # type: ignore[method-assign]
        assert record(ref, turn_id, started_ms, owner, attempt, other).outcome == "ours"
        return record(ref, turn_id, started_ms, owner, attempt, planned)

    stage.rounds.record_round = late  # type: ignore[method-assign]
    await stage.run("Book it.")
    assert tool.invocations == []
    (followed,) = stage.responder.prompts[-1].rounds
    assert followed.request == theirs


async def test_a_record_whose_answer_was_lost_is_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    transact = Table.transact

    def twice(self: Table, update: Any, item: Any) -> Any:
        transact(self, update, item)
        return transact(self, update, item)

    monkeypatch.setattr(Table, "transact", twice)
    tool = FakeTool()
    stage = Stage(
        responder=FakeResponder([[ASKED], ["Here."]]), toolbox=toolbox(tool, spec(effect="write"))
    )
    await stage.run()
    assert len(tool.invocations) == 1
    assert stage.wire.end.text == "Here."


async def test_a_conflict_with_another_write_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage, tool = holding()
    tool.may_answer.set()
    real, conflicts = stage.store.client.transact_write_items, iter([True, True])

    def conflict(**request: Any) -> Any:
        if next(conflicts, False):
            answer: Any = {
                "Error": {"Code": "TransactionCanceledException"},
                "CancellationReasons": [{"Code": "TransactionConflict"}, {"Code": "None"}],
            }
            raise ServiceError(answer, "TransactWriteItems")
        return real(**request)

    monkeypatch.setattr(stage.store.client, "transact_write_items", conflict)
    await stage.run()
    assert len(tool.invocations) == 1


async def test_an_update_that_conflicts_with_a_transaction_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage()
    real, conflicts = stage.store.client.update_item, iter([True])

    def conflict(**request: Any) -> Any:
        if next(conflicts, False):
            answer: Any = {"Error": {"Code": "TransactionConflictException"}}
            raise ServiceError(answer, "UpdateItem")
        return real(**request)

    monkeypatch.setattr(stage.store.client, "update_item", conflict)
    assert stage.store.end_session(REF, 1) is not None
    assert stage.store.sessions[REF].status == "ended"


async def test_a_spoken_turn_that_has_acted_is_not_heard_again() -> None:
    tool = FakeTool()
    stage = Stage(
        responder=FakeResponder([[ASKED], [OSError()], ["It is booked."]]),
        toolbox=toolbox(tool, spec(effect="write")),
    )
    stage.say("Book it.")
    await stage.run(None)
    later = another(stage)
    later.transcriber = FakeTranscriber(mute=True)
    await later.run(None, attempt=2)
    assert [t.text for t in later.wire.of(Transcript)] == ["Book it."]
    assert later.wire.end.text == "It is booked."
    assert stage.responder.prompts[-1].text == "Book it."


# --- barge-in ---------------------------------------------------------------------------


async def test_a_write_that_has_begun_is_finished_after_an_interruption() -> None:
    stage, tool = holding()
    turn = asyncio.create_task(stage.run("Book it."))
    await until(lambda: tool.invocations)
    stage.interrupt(0)
    await until(lambda: stage.wire.of(TurnEnd))
    assert not turn.done(), "the function waits for what it has begun"
    tool.may_answer.set()
    await turn
    assert stage.wire.end.reason == "interrupted"
    assert outcomes(stage) == ["done"]
    assert tool.cancelled == 0


async def test_a_read_is_cancelled_by_an_interruption() -> None:
    stage, tool = holding("read")
    turn = asyncio.create_task(stage.run("Where is it?"))
    await until(lambda: tool.invocations)
    stage.interrupt(0)
    await turn
    assert tool.cancelled == 1
    assert results(stage) == [INTERRUPTED]


async def test_a_write_that_waits_for_its_turn_is_not_begun_after_an_interruption() -> None:
    stage, tool = holding(replies=[[calls(*["order_status"] * 6)], ["Yes."]])
    turn = asyncio.create_task(stage.run("Book six."))
    await until(lambda: tool.running == runner.MAX_AT_ONCE)
    stage.interrupt(0)
    await until(lambda: stage.wire.of(TurnEnd))
    tool.may_answer.set()
    await turn
    assert len(tool.invocations) == runner.MAX_AT_ONCE
    assert results(stage)[4:] == [NOT_RUN, NOT_RUN]
    assert outcomes(stage)[:4] == ["done"] * 4


async def test_a_call_of_a_reply_that_was_interrupted_before_it_came_does_not_run() -> None:
    go_on, tool = asyncio.Event(), FakeTool()
    stage = Stage(
        responder=FakeResponder([["I will.", go_on, ASKED]]),
        toolbox=toolbox(tool, spec(effect="write")),
    )
    turn = asyncio.create_task(stage.run("Book it."))
    await until(lambda: stage.text)
    stage.interrupt(0)
    go_on.set()
    await turn
    assert tool.invocations == []
    assert stage.wire.end.reason == "interrupted"


async def test_a_hedged_request_that_lost_has_no_calls() -> None:
    stalls, tool = asyncio.Event(), FakeTool()
    stage = Stage(
        responder=FakeResponder([[stalls, ASKED], [ASKED], ["It is booked."]]),
        toolbox=toolbox(tool, spec(effect="write")),
        hedge_after_s=0.02,
    )
    await stage.run("Book it.")
    stalls.set()
    assert len(tool.invocations) == 1
    assert stage.wire.end.text == "It is booked."


async def test_what_runs_longer_than_the_function_may_is_left_open_and_then_unknown() -> None:
    stage, tool = holding()
    turn = asyncio.create_task(
        stage.run("Book it.", remaining_s=runner.CALL_MARGIN_S + runner.LEAST_CALL_S + 0.1)
    )
    await until(lambda: tool.invocations)
    await turn
    assert outcomes(stage) == ["unknown"], "it was waited for as long as there was time"


# --- nothing comes after the end ------------------------------------------------------------


async def test_the_events_of_a_write_that_outlives_its_turn_are_not_sent_after_its_end() -> None:
    stage, tool = holding()
    tool.answer = Answer("Booked.", [CustomEvent("ticket", {"seat": 1})])
    turn = asyncio.create_task(stage.run("Book it."))
    await until(lambda: tool.invocations)
    stage.interrupt(0)
    await until(lambda: stage.wire.of(TurnEnd))
    tool.may_answer.set()
    await turn
    assert stage.wire.of(Custom) == []
    assert stage.wire.end.reason == "interrupted"


@pytest.mark.parametrize("effect", ["read", "write"])
async def test_a_call_without_time_does_not_begin(effect: str) -> None:
    stage, tool = holding(effect)
    await stage.run("Book it.", remaining_s=runner.CALL_MARGIN_S)
    assert tool.invocations == []
    assert results(stage) == [NO_TIME]


async def test_a_turn_that_is_overtaken_while_its_round_is_recorded_has_run_no_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only it could have run the write: the next attempt need not wait to hear that it did not."""
    stage, tool = holding(replies=[[ASKED], ["Not yet."]])
    request, reasons = TurnStop.request, list[StopReason]()

    def note(self: TurnStop, reason: StopReason, *more: Any) -> None:
        reasons.append(reason)
        request(self, reason, *more)

    monkeypatch.setattr(TurnStop, "request", note)
    tool.may_answer.set()
    record, recorded_, goes_on = stage.rounds.record_round, threading.Event(), threading.Event()

    def slow(*where: Any) -> Any:
        found = record(*where)
        recorded_.set()
        goes_on.wait(5)
        return found

    stage.rounds.record_round = slow  # type: ignore[assignment,method-assign]
    first = asyncio.create_task(stage.run("Book it."))
    await asyncio.to_thread(recorded_.wait, 5)
    stage.rounds.record_round = record  # type: ignore[method-assign]
    later = another(stage)
    second = asyncio.create_task(later.run("Book it.", attempt=2, owner="you"))
    await until(lambda: StopReason.SUPERSEDED in reasons)
    goes_on.set()
    await asyncio.gather(first, second)
    assert tool.invocations == []
    assert results(stage) == [NO_TIME]
    assert later.wire.end.text == "Not yet."


async def test_a_turn_that_is_stopped_while_its_round_is_recorded_has_run_nothing() -> None:
    stage, tool = holding()
    record, recording, goes_on = stage.rounds.record_round, threading.Event(), threading.Event()

    def slow(*arguments: Any) -> Any:
        found = record(*arguments)
        recording.set()
        assert goes_on.wait(5)
        return found

    stage.rounds.record_round = slow  # type: ignore[assignment,method-assign]
    turn = asyncio.create_task(stage.run("Book it."))
    await until(recording.is_set)
    stage.interrupt(0)
    await until(lambda: stage.wire.of(TurnEnd))
    goes_on.set()
    await turn
    assert tool.invocations == []
    assert results(stage) == [NOT_RUN]


async def test_a_call_that_was_refused_is_none_that_was_called() -> None:
    stage = Stage(
        responder=FakeResponder([[calls("pay", "order_status")], ["Shall I pay?"]]),
        toolbox=toolbox(FakeTool(), spec("pay", "write", confirm=True), spec()),
    )
    await stage.run("Pay.")
    assert stage.store.messages()[-1].tools == ["order_status"]
    assert stage.wire.end.metrics.tool_calls == 1


async def test_a_turn_that_is_interrupted_at_its_first_call_has_called_it() -> None:
    stage, tool = holding("read")
    turn = asyncio.create_task(stage.run("Where is it?"))
    await until(lambda: tool.invocations)
    stage.interrupt(0)
    await turn
    assert stage.wire.end.metrics.tool_calls == 1


async def test_what_the_agent_says_unasked_lets_a_write_of_the_users_turn_finish() -> None:
    stage, tool = holding()
    turn = asyncio.create_task(stage.run("Book it."))
    await until(lambda: tool.invocations)
    other = another(stage)
    await other.run(None, "agent-1", say="Your driver is here.", cause="say", owner="you")
    assert other.text == "Your driver is here."
    tool.may_answer.set()
    await turn
    assert len(tool.invocations) == 1
    assert outcomes(stage) == ["done"]


async def test_an_attempt_that_cannot_read_what_is_recorded_follows_it_all_the_same() -> None:
    tool = FakeTool()
    stage = Stage(
        responder=FakeResponder([[ASKED], [OSError()], [ASKED], ["It is booked."]]),
        toolbox=toolbox(tool, spec(effect="write")),
    )
    await stage.run("Book it.")
    read = stage.rounds.read_rounds

    def fail(*_arguments: Any) -> Any:
        stage.rounds.read_rounds = read  # type: ignore[method-assign]
        raise OSError

    stage.rounds.read_rounds = fail  # type: ignore[assignment,method-assign]
    later = another(stage)
    await later.run("Book it.", attempt=2)
    assert len(tool.invocations) == 1
    assert later.wire.end.text == "It is booked."


async def test_a_call_that_the_tools_of_now_refuse_does_not_run_in_a_later_attempt() -> None:
    stage, tool = holding("read")
    await die(stage, tool)
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    offer = replace(spec().offer, schema=schema)
    stage.toolbox = toolbox(tool, replace(spec(), offer=offer))
    await another(stage).run("Where is it?", attempt=2)
    assert len(tool.invocations) == 1
    assert outcomes(stage) == ["failed"]


def with_built_in(tool: FakeTool, name: str) -> Toolbox:
    return toolbox(tool, spec(name, "idempotent", kind=BUILT_IN, target=name), spec(effect="write"))


async def test_a_later_attempt_ends_the_session_that_an_earlier_one_was_to_end() -> None:
    stage = Stage(
        responder=FakeResponder([[calls("end_session")], [OSError()], ["Goodbye."]]),
        toolbox=with_built_in(FakeTool(), "end_session"),
    )
    await stage.run("Bye.")
    later = another(stage)
    await later.run("Bye.", attempt=2)
    assert (later.wire.end.text, later.wire.end.ends_session) == ("Goodbye.", True)


async def test_a_later_attempt_says_nothing_where_an_earlier_one_was_to_say_nothing() -> None:
    stage, tool = holding(replies=[[calls("skip_turn", "order_status")]])
    stage.toolbox = with_built_in(tool, "skip_turn")
    await die(stage, tool)
    later = another(stage)
    await later.run("Book it.", attempt=2)
    assert (later.wire.end.reason, later.wire.end.text) == ("completed", "")
    assert len(stage.responder.prompts) == 1
