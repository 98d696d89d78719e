"""The client's books of its turns, without a connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace

import pytest

from parley_client import (
    Error,
    Notice,
    ParleyClientError,
    Reconnect,
    ReplyText,
    SessionLost,
    Timeouts,
    TurnEnd,
)
from parley_client.client_tools import ClientTools
from parley_client.conversation import _new_turn_id
from parley_client.messages import ClientMessage, Metrics
from parley_client.pause import Pause
from parley_client.turn import Turn
from parley_client.turns import Turns
from parley_client.utterance import Utterance


class Posts:
    """Takes every message, and hands it on at once."""

    def __init__(self, turns: Turns) -> None:
        self.all: list[ClientMessage] = []
        self._turns = turns
        self._tasks: set[asyncio.Task[None]] = set()

    def check_open(self) -> None:
        """It always is."""

    async def post(self, message: ClientMessage, *, always: bool = False) -> None:
        self.all.append(message)
        self._turns.on_sent(message, asyncio.get_running_loop().time())

    def spawn(
        self,
        work: Coroutine[object, object, None],
        failed: Callable[[Exception], None] | None = None,
    ) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        return task

    def drop(self, reason: ParleyClientError) -> None:
        raise AssertionError("nothing is missing here")

    def announce(self, notice: Notice) -> None:
        raise AssertionError("there is nothing to tell here")

    async def settled(self) -> None:
        """Everything that was to be posted has been."""
        await asyncio.gather(*self._tasks)


@pytest.fixture
async def turns() -> AsyncIterator[Turns]:
    made = Turns(
        Timeouts(),
        Reconnect(),
        tools=ClientTools({}, lambda: 32_768),
        pause=Pause(rules=lambda: None, tell=lambda _: None, hang_up=lambda: None),
        on_agent_turn=lambda _: None,
    )
    posts = Posts(made)
    made.attach(posts)
    made.on_ready()
    yield made
    made.on_closed(ParleyClientError("The test is over."))
    await posts.settled()


def begin(turns: Turns, turn_id: str, sent_at_s: float | None = 100.0) -> Turn:
    turn = turns.begin(Utterance.typed(turn_id, "hello"))
    if sent_at_s is not None:
        turns.on_sent(turn.utterance.opening(), sent_at_s)
    return turn


def end(turn_id: str, seq: int, *, failed: bool = False) -> TurnEnd:
    return TurnEnd(turn_id, seq, "failed" if failed else "completed", "", Metrics())


async def test_a_turn_that_was_not_sent_yet_is_not_waited_for(turns: Turns) -> None:
    begin(turns, "queued", sent_at_s=None)
    begin(turns, "sent", sent_at_s=100.0)
    assert turns.waiting() == {"sent": 100.0}
    assert turns.received() == {"turn_id": "sent", "seq": 0}


async def test_sending_it_again_is_no_sign_of_the_server(turns: Turns) -> None:
    turn = begin(turns, "t", sent_at_s=100.0)
    turns.on_sent(turn.utterance.opening(), 105.0)
    assert turns.waiting() == {"t": 100.0}


async def test_an_event_breaks_the_silence_of_its_turn_alone(turns: Turns) -> None:
    long_ago_s = -1.0
    begin(turns, "a", sent_at_s=long_ago_s)
    begin(turns, "b", sent_at_s=long_ago_s)
    turns.on_turn_event(ReplyText("b", 1, "Hi"))
    waiting = turns.waiting()
    assert waiting["a"] == long_ago_s
    assert waiting["b"] > long_ago_s


async def test_when_all_turns_have_ended_the_last_heard_of_is_named(turns: Turns) -> None:
    begin(turns, "a")
    begin(turns, "b")
    turns.on_turn_event(end("a", 1))
    turns.on_turn_event(ReplyText("b", 1, "Hi"))
    turns.on_turn_event(end("b", 2))
    assert turns.received() == {"turn_id": "b", "seq": 2}
    assert turns.waiting() == {}


async def test_a_turn_tried_again_is_as_old_as_it_was(turns: Turns) -> None:
    older = begin(turns, "older")
    turns.on_turn_event(end("older", 1, failed=True))
    begin(turns, "newer")
    turns.on_turn_event(ReplyText("newer", 1, "Hi"))
    older.retry()
    turns.on_sent(older.utterance.opening(), 101.0)
    assert turns.received() == {"turn_id": "older", "seq": 0, "attempt": 2}
    assert turns.latest is older


async def test_of_a_lost_session_nothing_has_been_received(turns: Turns) -> None:
    begun = begin(turns, "begun")
    begin(turns, "unheard")
    turns.on_turn_event(ReplyText("begun", 1, "Hi"))
    turns.on_session_lost(SessionLost(Error("session_not_found", "Gone.", retryable=False)))
    assert begun.done
    assert turns.received() == {"turn_id": "unheard", "seq": 0}


async def test_no_turn_is_under_way_once_each_has_ended(turns: Turns) -> None:
    await turns.idle()
    begin(turns, "a")
    begin(turns, "b")
    idle = asyncio.ensure_future(turns.idle())
    turns.on_turn_event(end("a", 1))
    await asyncio.sleep(0)
    assert not idle.done()
    turns.on_turn_event(end("b", 1))
    await idle


async def test_an_interruption_after_the_end_is_sent_again_while_it_may_not_have_arrived(
    turns: Turns,
) -> None:
    turn = begin(turns, "a")
    turns.on_turn_event(end("a", 1))
    before_s = asyncio.get_running_loop().time()
    await turn.interrupt(1_250)
    begin(turns, "b", sent_at_s=None)  # "a" is forgotten, but not this
    assert turns.again(before_s) == [{"type": "interrupt", "turn_id": "a", "played_ms": 1_250}]
    later_s = asyncio.get_running_loop().time() + 1
    assert turns.again(later_s) == []


async def test_an_interruption_that_crosses_the_end_is_sent_again(turns: Turns) -> None:
    turn = begin(turns, "a")
    await turn.interrupt(50)
    unfinished = turns.again(0)
    turns.on_turn_event(end("a", 1))
    assert turns.again(0) == unfinished[-1:]
    assert unfinished[-1]["type"] == "interrupt"


async def test_an_interruption_does_not_stop_the_next_attempt(turns: Turns) -> None:
    turn = begin(turns, "a")
    turns.on_turn_event(end("a", 1, failed=True))
    await turn.interrupt(0)
    turn.retry()
    turns.on_turn_event(replace(end("a", 1), attempt=2))
    assert turns.again(0) == []


async def test_another_session_is_not_told_of_an_interruption(turns: Turns) -> None:
    turn = begin(turns, "a")
    turns.on_turn_event(end("a", 1))
    await turn.interrupt(50)
    turns.on_session_lost(SessionLost(Error("session_not_found", "Gone.", retryable=False)))
    assert turns.again(0) == []


def test_a_turn_s_id_sorts_after_those_before_it() -> None:
    ids = [_new_turn_id() for _ in range(1_000)]
    assert sorted(set(ids)) == ids
