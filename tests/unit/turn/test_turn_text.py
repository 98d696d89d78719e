"""What a turn speaks of its reply, what it shows, and what the history keeps as heard: whole turns
over the in-memory providers, in which a character sounds for 10 ms."""

from __future__ import annotations

import asyncio
import re

import pytest

import parley_client
from parley.protocol.messages import Audio, Settings
from parley.sessions.interruption import Interruption
from parley.storage.inbox_entries import InterruptEntry
from tests.unit.fakes import CHAR_MS, FakeResponder, FakeSynthesizer, Step, until
from tests.unit.memory import REF
from tests.unit.stage import Stage, holding

MARKED = "# **Menu**\n\nToday *soup*, [fish](https://a.example/b) and `pie`.\n"


def words_of(stage: Stage) -> list[parley_client.Word]:
    """What a client has of the words."""
    return [
        parley_client.Word(word.text, word.start_ms, word.end_ms)
        for event in stage.wire.of(Audio)
        for word in event.words
    ]


async def test_marks_are_shown_and_kept_but_not_spoken() -> None:
    stage = Stage(responder=FakeResponder([re.findall(r"\w+|\W", MARKED)]))
    await stage.run("What is there?")
    assert stage.text == stage.wire.end.text == MARKED
    assert stage.history_texts[-1] == ("assistant", MARKED, None)
    (speech,) = stage.synthesizer.streams
    assert speech.clauses == ["Menu", "Today soup,", "fish and pie."]
    assert "".join(word.text for word in words_of(stage)) == "".join(MARKED.split())


async def test_what_was_heard_of_a_marked_reply_is_the_beginning_of_its_text() -> None:
    responder, _ = holding(MARKED)
    stage = Stage(responder=responder, provider_timeout_s=5)
    running = asyncio.create_task(stage.run())
    await until(lambda: "`pie`." in [word.text for word in words_of(stage)])
    stage.interrupt(len("Menu Today soup, ") * CHAR_MS)
    await running
    assert stage.wire.end.heard == "# **Menu**\n\nToday *soup*,"
    assert stage.history_texts[-1] == ("assistant", MARKED, "# **Menu**\n\nToday *soup*,")


async def test_han_is_heard_to_the_character_also_after_the_end() -> None:
    said = "今天天气很好我们去公园。明天继续。"
    stage = Stage(responder=FakeResponder([[*said]]))
    await stage.run("天气？")
    interrupting = Interruption(stage.store, stage.store)
    for played_ms in range(0, 220, 5):
        done = interrupting.interrupt(REF, "t1", InterruptEntry(float(played_ms), played_ms))
        assert done is not None
        heard = parley_client.heard_text(said, words_of(stage), played_ms)
        assert done.heard == stage.store.messages()[-1].heard == heard
    assert heard == said
    assert [word.text for word in words_of(stage)][:6] == [*"今天天气很好"]


async def test_the_language_of_the_session_decides_what_an_ordinal_is() -> None:
    reply: list[Step] = ["Am", " 3", ".", " Juni", " kommt", " er", "."]
    for language, pieces in [("de", ["Am 3. Juni kommt er."]), ("en", ["Am 3.", "Juni kommt er."])]:
        stage = Stage(responder=FakeResponder([[*reply]]))
        stage.store.open_session(settings=Settings(language=language))
        await stage.run("Wann?")
        assert stage.synthesizer.streams[0].clauses == pieces


LULU = "Lulu sang. Then Lulu left."


async def history_and_client(
    broken_off: int, played_ms: float
) -> tuple[str | None, str, str | None]:
    """What the history keeps as heard, what the client takes for heard, and what it was told."""
    responder, _ = holding(LULU)
    voice = FakeSynthesizer(breaks_off_after=broken_off)
    stage = Stage(responder=responder, synthesizer=voice, provider_timeout_s=5)
    running = asyncio.create_task(stage.run())
    await until(lambda: stage.errors)
    stage.interrupt(played_ms)
    await running
    end = stage.wire.end
    client = parley_client.heard_text(end.text, words_of(stage), played_ms)
    return stage.store.messages()[-1].heard, client, end.heard


@pytest.mark.parametrize("broken_off", range(1, len(LULU) + 1))
async def test_of_a_voice_that_broke_off_both_sides_know_the_same(broken_off: int) -> None:
    for played_ms in (0, 15, broken_off * CHAR_MS, 400):
        kept, client, told = await history_and_client(broken_off, played_ms)
        assert kept == client == told
        assert LULU.startswith(client)
        whole = [n for n in range(broken_off + 1) if LULU[n : n + 1] in (" ", "")]
        assert len(client) == max([n for n in whole if n * CHAR_MS <= played_ms], default=0)


@pytest.mark.parametrize("broken_off", [2, 4, 13, 17])
async def test_both_sides_know_the_same_of_an_interruption_after_the_end(broken_off: int) -> None:
    stage = Stage(
        responder=FakeResponder([[LULU]]), synthesizer=FakeSynthesizer(breaks_off_after=broken_off)
    )
    await stage.run()
    interrupting = Interruption(stage.store, stage.store)
    interrupting.interrupt(REF, "t1", InterruptEntry(400.0, 1))
    client = parley_client.heard_text(LULU, words_of(stage), 400)
    assert stage.store.messages()[-1].heard == client
    assert client in ("", "Lulu", "Lulu sang.", "Lulu sang. Then")
