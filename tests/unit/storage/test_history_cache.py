"""An environment reads only what is new of a session that it has seen before."""

from __future__ import annotations

from parley.principal import SessionRef
from parley.protocol.messages import Message, Settings
from parley.storage.history import History
from parley.storage.history_cache import HistoryCache
from parley.storage.item_codec import Session
from tests.unit.memory import REF, own


class Table:
    """Keeps a history as the store does, and notes what was asked for."""

    def __init__(self) -> None:
        self.messages: dict[str, Message] = {}
        self.reads: list[int] = []

    def say(self, turn: int, role: str, text: str, heard: str | None = None) -> None:
        """Write a message of a turn. Turns are a minute apart."""
        rank, at_ms = 1 if role == "user" else 2, turn * 60_000
        message = Message("user" if role == "user" else "assistant", text, f"t{turn}", heard, at_ms)
        self.messages[f"MESSAGE#{at_ms:015d}#t{turn}#{rank}"] = message

    def read_conversation(
        self, ref: SessionRef, messages: int, since: str = "MESSAGE#", rounds: int = 0
    ) -> tuple[Session | None, History]:
        found = [m for key, m in sorted(self.messages.items()) if key >= since][-messages:]
        self.reads.append(len(found))
        return Session(ref, "", "", Settings(), "active"), History(found)


def texts(history: list[Message]) -> list[str]:
    return [message.heard or message.text for message in history]


def test_a_second_read_gets_only_the_last_turn_and_what_came_after() -> None:
    table = Table()
    for turn in range(10):
        table.say(turn, "user", f"q{turn}")
        table.say(turn, "assistant", f"a{turn}")
    history = HistoryCache(table, 40)  # type: ignore[arg-type]  # a fake that keeps the contract
    assert len(history.read(REF)[1].messages) == 20
    table.say(10, "user", "q10")
    table.say(10, "assistant", "a10")
    assert texts(history.read(REF)[1].messages)[-4:] == ["q9", "a9", "q10", "a10"]
    assert table.reads == [20, 4]


def test_a_reply_that_was_interrupted_since_is_seen() -> None:
    table = Table()
    table.say(1, "user", "q")
    table.say(1, "assistant", "a long answer")
    history = HistoryCache(table, 40)  # type: ignore[arg-type]  # a fake that keeps the contract
    history.read(REF)
    table.say(1, "assistant", "a long answer", heard="a long")
    assert texts(history.read(REF)[1].messages) == ["q", "a long"]


def test_a_turn_that_another_environment_served_is_seen_in_order() -> None:
    table = Table()
    table.say(1, "user", "q1")
    mine, theirs = HistoryCache(table, 4), HistoryCache(table, 4)  # type: ignore[arg-type]  # a fake that keeps the contract
    assert texts(mine.read(REF)[1].messages) == ["q1"]
    table.say(1, "assistant", "a1")
    table.say(2, "user", "q2")
    table.say(2, "assistant", "a2")
    assert texts(theirs.read(REF)[1].messages) == ["q1", "a1", "q2", "a2"]
    table.say(3, "user", "q3")
    assert texts(mine.read(REF)[1].messages) == ["a1", "q2", "a2", "q3"], "the last four"


def test_sessions_are_not_mixed_up_when_many_are_known() -> None:
    table = Table()
    table.say(1, "user", "q")
    history = HistoryCache(table, 40)  # type: ignore[arg-type]  # a fake that keeps the contract
    for number in range(250):
        session, found = history.read(own(f"s{number}"))
        assert session is not None
        assert session.session_id == f"s{number}"
        assert texts(found.messages) == ["q"]


def test_a_reply_that_came_after_a_later_turn_had_begun_is_seen() -> None:
    table = Table()
    table.say(1, "user", "q1")
    table.say(2, "user", "q2")
    table.say(2, "assistant", "a2")
    history = HistoryCache(table, 40)  # type: ignore[arg-type]  # a fake that keeps the contract
    assert texts(history.read(REF)[1].messages) == ["q1", "q2", "a2"]
    table.say(1, "assistant", "a1")
    assert texts(history.read(REF)[1].messages) == ["q1", "a1", "q2", "a2"]


def test_turns_that_were_never_answered_are_not_waited_for_for_ever() -> None:
    table = Table()
    table.say(1, "user", "never answered")
    for turn in range(2, 20):
        table.say(turn, "user", f"q{turn}")
        table.say(turn, "assistant", f"a{turn}")
    history = HistoryCache(table, 40)  # type: ignore[arg-type]  # a fake that keeps the contract
    history.read(REF)
    history.read(REF)
    assert table.reads == [37, 2]
