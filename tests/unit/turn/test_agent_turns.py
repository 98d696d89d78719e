"""Turns that the agent begins by itself: said as they are, and kept like any reply."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from parley.agents.catalog import AgentCatalog
from parley.agents.file import AgentFiles
from parley.clock import now_ms
from parley.protocol.agent_overrides import AgentOverrides
from parley.protocol.messages import AgentTurn, ReplyText, TurnEnd
from tests.unit.memory import REF
from tests.unit.stage import Stage

HELLO = "Good evening. What can I do for you?"


async def test_a_greeting_is_the_first_thing_that_is_said() -> None:
    stage = Stage()
    await stage.run(None, "agent-greeting", say=HELLO, cause="greeting")
    first, *_ = stage.wire.events
    assert isinstance(first, AgentTurn)
    assert (first.cause, first.seq) == ("greeting", 1)
    assert stage.text == HELLO
    assert stage.audio
    assert stage.history_texts == [("assistant", HELLO, None)]
    (end,) = stage.wire.of(TurnEnd)
    assert (end.reason, end.text) == ("completed", HELLO)


async def test_a_greeting_asks_no_model() -> None:
    stage = Stage()
    await stage.run(None, "agent-greeting", say=HELLO, cause="greeting")
    assert stage.responder.prompts == []


async def test_a_greeting_can_be_interrupted() -> None:
    stage = Stage()
    asked: dict[str, Any] = {"say": HELLO, "cause": "greeting", "received_at_ms": now_ms()}
    stage.interrupt(0, "agent-greeting")
    await stage.run(None, "agent-greeting", attempt=2, **asked)
    (end,) = stage.wire.of(TurnEnd)
    assert end.reason == "interrupted"


async def test_the_next_turn_knows_the_greeting() -> None:
    stage = Stage()
    await stage.run(None, "agent-greeting", say=HELLO, cause="greeting")
    await stage.run("A table, please.", "t2")
    (prompt,) = stage.responder.prompts
    assert [(m.role, m.text) for m in prompt.history] == [("assistant", HELLO)]


async def test_a_greeting_is_said_by_one_of_two_invocations() -> None:
    stage = Stage()
    await asyncio.gather(
        stage.run(None, "agent-greeting", say=HELLO, cause="greeting", owner="one"),
        stage.run(None, "agent-greeting", say=HELLO, cause="greeting", owner="two"),
    )
    assert "".join(each.delta for each in stage.wire.of(ReplyText)) == HELLO


async def test_a_greeting_is_said_again_after_a_failure_whoever_replies() -> None:
    stage = Stage()
    stage.responder.rules = replace(stage.responder.rules, repeatable=False)
    stage.store.acquire_lease(REF, "agent-greeting", "dead")
    stage.store.fail_turn(REF, "agent-greeting", "dead")
    again: dict[str, Any] = {"say": HELLO, "cause": "greeting", "received_at_ms": now_ms() + 1}
    await stage.run(None, "agent-greeting", **again)
    assert stage.text == HELLO


@pytest.mark.parametrize("name", ["gone", "broken"])
async def test_a_session_whose_agent_cannot_be_had_is_told_and_logged(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("layer")
    (folder / "agents").mkdir()
    (folder / "agents" / "broken.toml").write_text("prompt = 7")
    stage = Stage()
    stage.agents = AgentCatalog(
        "",
        stage.deployment.settings_policy,
        files=AgentFiles([str(folder)]),
        log=lambda event, fields: stage.logged.append((event, fields)),
    )
    stage.store.open_session(signed_agent=AgentOverrides(agent=name))
    await stage.run("Hello.")
    (end,) = stage.wire.of(TurnEnd)
    assert (end.reason, end.code) == ("failed", "internal")
    assert stage.responder.prompts == []
    why = dict(stage.logged)["agent_unusable"]["why"]
    assert why.startswith(f"agents/{name}.toml: ")
