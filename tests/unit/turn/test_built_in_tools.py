"""The built-in tools: end the session, skip the turn, set the language."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from parley.tools.toolbox import BUILT_IN
from tests.unit.fakes import FakeResponder
from tests.unit.memory import REF
from tests.unit.stage import Stage
from tests.unit.turn.tools import FakeTool, calls, outcomes, spec, told, toolbox


def built_in(name: str) -> Any:
    return toolbox(FakeTool(), spec(name, "idempotent", kind=BUILT_IN, target=name))


async def test_a_session_ends_after_the_goodbye() -> None:
    stage = Stage(
        responder=FakeResponder([[calls("end_session")], ["Goodbye."]]),
        toolbox=built_in("end_session"),
    )
    await stage.run("Bye.")
    assert (stage.wire.end.text, stage.wire.end.ends_session) == ("Goodbye.", True)
    assert stage.responder.prompts[-1].may_call is False


async def test_a_goodbye_before_the_call_is_not_said_twice() -> None:
    stage = Stage(
        responder=FakeResponder([["Goodbye.", calls("end_session")]]),
        toolbox=built_in("end_session"),
    )
    await stage.run("Bye.")
    assert (stage.wire.end.text, stage.wire.end.ends_session) == ("Goodbye.", True)


async def test_a_skipped_turn_says_nothing_and_is_no_failure() -> None:
    stage = Stage(responder=FakeResponder([[calls("skip_turn")]]), toolbox=built_in("skip_turn"))
    await stage.run("Wait a moment.")
    assert (stage.wire.end.reason, stage.wire.end.text) == ("completed", "")
    assert stage.audio == b""


async def test_the_language_of_the_next_turns_is_set() -> None:
    wanted = calls("set_language", arguments='{"language": "de"}')
    stage = Stage(responder=FakeResponder([[wanted], ["Gern."]]), toolbox=built_in("set_language"))
    await stage.run("Speak German.")
    assert stage.store.sessions[REF].settings.language == "de"
    assert outcomes(stage) == ["done"]


async def test_a_language_that_the_deployment_does_not_have_is_refused() -> None:
    wanted = calls("set_language", arguments='{"language": "xx"}')
    stage = Stage(responder=FakeResponder([[wanted], ["Sorry."]]), toolbox=built_in("set_language"))
    await stage.run("Speak Klingon.")
    assert outcomes(stage) == ["failed"]


async def test_a_language_that_is_not_for_the_session_to_choose_stays() -> None:
    wanted = calls("set_language", arguments='{"language": "de"}')
    stage = Stage(responder=FakeResponder([[wanted], ["Sorry."]]), toolbox=built_in("set_language"))
    stage.deployment = replace(stage.deployment, client_settings=frozenset({"speed"}))
    await stage.run("Speak German.")
    assert outcomes(stage) == ["failed"]
    assert told(stage)[0].endswith("The language is fixed for this user.")
