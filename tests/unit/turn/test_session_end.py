"""A session that its agent ends: once the goodbye is over, and only if nothing newer has come."""

from __future__ import annotations

import time

from parley.protocol.messages import TurnEnd
from parley.protocol.tool_rounds import ToolCall, ToolCalls
from parley.providers.llm import ToolOffer
from parley.tools.tool import ToolSpec
from parley.tools.toolbox import BUILT_IN, Toolbox
from parley.turn.finish import GOODBYE_MARGIN_S
from tests.unit.fakes import FakeResponder
from tests.unit.memory import REF
from tests.unit.stage import Stage

END = ToolSpec(
    ToolOffer("end_session", "Ends the session.", {"type": "object", "properties": {}}),
    BUILT_IN,
    target="end_session",
)
HANGS_UP = ToolCalls((ToolCall("end_session", "{}", "id"),))


def stage() -> Stage:
    return Stage(responder=FakeResponder([[HANGS_UP], ["Goodbye."]]), toolbox=Toolbox([END]))


def left_s(ending: Stage) -> float:
    """How long the session can still be resumed."""
    return ending.store.sessions[REF].expires_at - time.time()


async def test_a_session_is_over_when_the_goodbye_has_been_heard() -> None:
    ending = stage()
    await ending.run("That was all.")
    (end,) = ending.wire.of(TurnEnd)
    assert (end.reason, end.text, end.ends_session) == ("completed", "Goodbye.", True)
    assert 0 < left_s(ending) <= GOODBYE_MARGIN_S + 2


async def test_a_session_over_http_is_over_with_its_answer() -> None:
    ending = stage()
    await ending.run("That was all.", connection_id="")
    assert left_s(ending) <= 1


async def test_a_client_that_is_away_may_return_for_the_goodbye() -> None:
    ending = stage()
    ending.wire.gone_after = 0
    await ending.run("That was all.")
    assert left_s(ending) > 3_600


async def test_a_user_who_speaks_before_the_goodbye_is_over_goes_on() -> None:
    ending = stage()
    await ending.run("That was all.")
    ending.wire.events.clear()
    await ending.run("One more thing.", "t2")
    assert ending.wire.end.reason == "completed"
    assert left_s(ending) > 3_600


async def test_a_session_whose_user_has_spoken_since_goes_on() -> None:
    ending = stage()
    original = ending.store.finish_turn

    def speak_then_finish(*arguments: object, **options: object) -> bool:
        ending.store.set_active_turn(REF, "t2", 2**50)
        return original(*arguments, **options)  # type: ignore[arg-type]

    ending.store.finish_turn = speak_then_finish  # type: ignore[method-assign]
    await ending.run("That was all.")
    assert left_s(ending) > 3_600


async def test_a_session_that_was_erased_meanwhile_stays_erased() -> None:
    ending = stage()
    original = ending.store.finish_turn

    def erase_then_finish(*arguments: object, **options: object) -> bool:
        ending.store.mark_erased(REF)
        return original(*arguments, **options)  # type: ignore[arg-type]

    ending.store.finish_turn = erase_then_finish  # type: ignore[method-assign]
    await ending.run("That was all.")
    session = ending.store.get_session(REF)
    assert session is None or session.status == "erased"


async def test_an_interrupted_goodbye_ends_nothing() -> None:
    ending = stage()
    original = ending.store.finish_turn

    def interrupt_after(*arguments: object, **options: object) -> bool:
        finished = original(*arguments, **options)  # type: ignore[arg-type]
        ending.interrupt(0)
        return finished

    ending.store.finish_turn = interrupt_after  # type: ignore[method-assign]
    await ending.run("That was all.")
    (end,) = ending.wire.of(TurnEnd)
    assert (end.reason, end.ends_session) == ("interrupted", False)
    assert left_s(ending) > 3_600


async def test_a_turn_that_does_not_end_the_session_leaves_it() -> None:
    plain = Stage(toolbox=Toolbox([END]))
    await plain.run("Hello.")
    assert left_s(plain) > 3_600
