"""Who speaks in a turn: the responder is told, and nothing waits or fails for it."""

from __future__ import annotations

from parley.principal import parse_session_id
from parley.providers.llm import Speaker
from parley.providers.speaker import make_speaker
from tests.unit.fakes import FakeTranscriber, spoken
from tests.unit.memory import REF
from tests.unit.stage import Stage


async def test_a_responder_is_told_who_speaks_typed_or_spoken() -> None:
    stage = Stage(transcriber=FakeTranscriber())
    await stage.run("Hello.", "t1")
    await stage.run(None, "t2", audio=spoken("Hello again."))
    assert stage.session_key is not None
    assert [prompt.speaker for prompt in stage.responder.prompts] == [
        make_speaker(REF, turn_id, stage.session_key) for turn_id in ("t1", "t2")
    ]
    first, second = (prompt.speaker for prompt in stage.responder.prompts)
    assert first.session == second.session
    assert parse_session_id(REF) not in (first.session, first.subject, first.pseudonym)


async def test_a_secret_that_cannot_be_read_costs_who_it_is_and_not_the_turn() -> None:
    stage = Stage()
    stage.session_key = None
    await stage.run("Hello.", "t1")
    assert stage.wire.end.reason == "completed"
    assert stage.responder.prompts[0].speaker == Speaker(turn_id="t1")
    assert stage.logged == [("session_key_not_read", {"error": "OSError"})]


async def test_a_secret_without_the_key_still_tells_sessions_apart() -> None:
    stage = Stage()
    stage.session_key = ""
    await stage.run("Hello.", "t1")
    assert stage.responder.prompts[0].speaker == make_speaker(REF, "t1", "")
    assert stage.responder.prompts[0].speaker.session
