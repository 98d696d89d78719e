"""Turns that the agent begins by itself."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from parley_client import (
    AgentTurn,
    BadInput,
    Conversation,
    Custom,
    ReplyText,
    SessionLost,
    Timeouts,
    Turn,
    TurnEnd,
    TurnFailed,
)
from parley_client.messages import Span
from scripted_server import (
    DEADLINE_S,
    QUICK,
    READY,
    Json,
    Peer,
    ScriptedServer,
    answer_to,
    audio_event,
    nothing,
    reply_events,
    tone,
    turn_end,
)


def agent_turn(turn_id: str, cause: str = "greeting", **more: object) -> Json:
    """The first event of such a turn."""
    return {"type": "agent_turn", "turn_id": turn_id, "seq": 1, "cause": cause, **more}


def greeting(turn_id: str, text: str = "Good day to you.") -> list[Json]:
    """All events of such a turn."""
    return [agent_turn(turn_id), *reply_events(turn_id, text, first_seq=2)]


class Begun:
    """Takes the turns that the agent begins."""

    def __init__(self) -> None:
        self.turns: asyncio.Queue[Turn] = asyncio.Queue()

    def __call__(self, turn: Turn) -> None:
        self.turns.put_nowait(turn)

    async def next(self) -> Turn:
        """The next one."""
        async with asyncio.timeout(DEADLINE_S):
            return await self.turns.get()


async def test_a_greeting_is_a_turn_like_any_other(server: ScriptedServer) -> None:
    async def greet(peer: Peer, message: Json) -> None:
        await server.ready(peer, message)
        await peer.send(*greeting("a"))

    server.on("init", greet)
    begun = Begun()
    async with Conversation.connect(server.url, on_agent_turn=begun) as conversation:
        turn = await begun.next()
        events = [event async for event in turn]
        reply = await turn
        ack = await server.wait_for("ack")
        assert (turn.turn_id, turn.cause, turn.spoken) == ("a", "greeting", False)
        assert isinstance(events[0], AgentTurn)
        assert isinstance(events[-1], TurnEnd)
        assert (reply.text, reply.audio) == ("Good day to you.", tone("Good day to you."))
        assert reply.timings.first_sound_ms is not None
        assert ack == {"type": "ack", "turn_id": "a", "seq": len(events)}
        assert (await conversation.say("hello")).text == answer_to("hello")


async def test_its_events_may_come_before_its_first(server: ScriptedServer) -> None:
    begun = Begun()
    async with Conversation.connect(server.url, on_agent_turn=begun) as conversation:
        first, *rest = greeting("a")
        await server.peers[0].send(*rest)
        await conversation.ping()
        assert begun.turns.empty()
        await server.peers[0].send(first)
        assert (await (await begun.next())).text == "Good day to you."


async def test_an_async_function_follows_the_turn_while_the_conversation_goes_on(
    server: ScriptedServer,
) -> None:
    heard: list[str] = []
    is_over = asyncio.Event()

    async def follow(turn: Turn) -> None:
        async for event in turn:
            if isinstance(event, ReplyText):
                heard.append(event.delta)
        is_over.set()

    async with Conversation.connect(server.url, on_agent_turn=follow):
        await server.peers[0].send(*greeting("a", "One two three"))
        async with asyncio.timeout(DEADLINE_S):
            await is_over.wait()
    assert heard == ["One", " two", " three"]


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_function_that_fails_is_told_and_harms_nothing(
    is_async: bool, server: ScriptedServer
) -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    async def later(turn: Turn) -> None:
        raise RuntimeError("theirs")

    def at_once(turn: Turn) -> None:
        raise RuntimeError("theirs")

    follow = later if is_async else at_once
    async with Conversation.connect(server.url, on_agent_turn=follow) as conversation:
        await server.peers[0].send(*greeting("a"))
        await server.wait_for("ack")
        assert (await conversation.say("hello")).text == answer_to("hello")
    assert [str(context["exception"]) for context in told] == ["theirs"]


async def test_one_that_nobody_follows_is_acknowledged(server: ScriptedServer) -> None:
    async with Conversation.connect(server.url):
        await server.peers[0].send(*greeting("a"))
        assert (await server.wait_for("ack"))["turn_id"] == "a"


async def test_the_user_interrupts_it(server: ScriptedServer) -> None:
    async def stop(peer: Peer, message: Json) -> None:
        await peer.send(turn_end(message["turn_id"], 3, "Good", reason="interrupted"))

    server.on("interrupt", stop)
    begun = Begun()
    async with Conversation.connect(server.url, on_agent_turn=begun) as conversation:
        await server.peers[0].send(*greeting("a")[:2])
        turn = await begun.next()
        await conversation.interrupt(played_ms=120)
        assert (await turn).reason == "interrupted"
    assert server.messages("interrupt") == [{"type": "interrupt", "turn_id": "a", "played_ms": 120}]


async def test_over_another_connection_it_goes_on_where_it_was(server: ScriptedServer) -> None:
    async def resume(peer: Peer, message: Json) -> None:
        await server.ready(peer, message)
        if peer.number == 2:
            await peer.send(*greeting("a", "One two three")[2:])

    server.on("init", resume)
    begun = Begun()
    async with Conversation.connect(server.url, on_agent_turn=begun, reconnect=QUICK):
        await server.peers[0].send(*greeting("a", "One two three")[:3])
        turn = await begun.next()
        events = aiter(turn)
        for _ in range(3):
            await anext(events)
        await server.peers[0].cut()
        reply = await turn
    assert reply.text == "One two three"
    assert server.messages("init")[1]["received"] == {"turn_id": "a", "seq": 3}
    assert server.messages("user_message") == []


async def test_the_client_comes_back_for_its_first_event(server: ScriptedServer) -> None:
    async def resume(peer: Peer, message: Json) -> None:
        await server.ready(peer, message)
        if peer.number == 2:
            await peer.send(greeting("a")[0])

    server.on("init", resume)
    begun = Begun()
    timeouts = Timeouts(gap_s=0.05)
    async with Conversation.connect(
        server.url, on_agent_turn=begun, timeouts=timeouts, reconnect=QUICK
    ):
        await server.peers[0].send(*greeting("a")[1:])
        assert (await (await begun.next())).text == "Good day to you."
    assert server.messages("init")[1]["received"] == {"turn_id": "a", "seq": 0}


@pytest.mark.parametrize("attempt", [1, 2])
async def test_it_is_over_when_its_session_is_lost(attempt: int, server: ScriptedServer) -> None:
    async def forget(peer: Peer, message: Json) -> None:
        gone = {"type": "error", "code": "session_not_found", "message": "", "retryable": False}
        await (server.ready(peer, message) if peer.number != 2 else peer.send(gone))

    server.on("init", forget)
    begun = Begun()
    again = type(QUICK)(base_s=0.01, cap_s=0.02, stable_s=0.0, new_session=True)
    async with Conversation.connect(
        server.url, on_agent_turn=begun, reconnect=again
    ) as conversation:
        await server.peers[0].send(agent_turn("a"))
        turn = await begun.next()
        if attempt == 2:  # of which the first event is missing
            more = {"type": "reply_text", "turn_id": "a", "seq": 2, "delta": "Hi", "attempt": 2}
            await server.peers[0].send(more)
            await conversation.ping()
        await server.peers[0].cut()
        with pytest.raises(SessionLost):
            await turn
        await conversation.say("hello")
    assert "received" not in server.messages("init")[2]


async def test_another_attempt_at_it_begins_anew(server: ScriptedServer) -> None:
    begun = Begun()
    async with Conversation.connect(server.url, on_agent_turn=begun):
        await server.peers[0].send(*greeting("a")[:2])
        turn = await begun.next()
        again = [{**event, "attempt": 2} for event in greeting("a", "Hello.")]
        await server.peers[0].send(*again)
        assert (await turn).text == "Hello."
        assert await server.wait_for("ack") == {
            "type": "ack",
            "turn_id": "a",
            "seq": len(again),
            "attempt": 2,
        }
    assert begun.turns.empty()


async def test_one_that_failed_cannot_be_tried_again_by_the_client(
    server: ScriptedServer,
) -> None:
    begun = Begun()
    async with Conversation.connect(server.url, on_agent_turn=begun):
        failed = {"reason": "failed", "code": "internal", "retryable": True}
        await server.peers[0].send(agent_turn("a"), turn_end("a", 2, "", **failed))
        turn = await begun.next()
        with pytest.raises(TurnFailed):
            await turn
        with pytest.raises(BadInput, match="the agent began this"):
            turn.retry()


@pytest.mark.parametrize("newer", ["the user's", "the agent's"])
async def test_of_two_that_begin_at_once_the_one_that_the_server_runs_is_the_latest(
    newer: str, server: ScriptedServer
) -> None:
    server.on("user_message", nothing)
    begun = Begun()
    async with Conversation.connect(server.url, on_agent_turn=begun) as conversation:
        users = conversation.say("hello")
        await server.wait_for("user_message")
        peer = server.peers[0]
        await peer.send(agent_turn("a"))
        agents = await begun.next()
        if newer == "the user's":
            await peer.send(turn_end("a", 2, "", reason="interrupted"))
            await agents
        else:
            await peer.send(turn_end(users.turn_id, 1, "", reason="interrupted"))
            await users
        await conversation.interrupt(played_ms=0)
        stopped = (await server.wait_for("interrupt"))["turn_id"]
    assert stopped == (users.turn_id if newer == "the user's" else "a")


async def test_late_events_of_a_turn_that_is_over_begin_none(server: ScriptedServer) -> None:
    begun = Begun()
    gap_s = 0.05
    async with Conversation.connect(
        server.url, on_agent_turn=begun, timeouts=Timeouts(gap_s=gap_s)
    ) as conversation:
        first = conversation.say("one")
        await first
        await conversation.say("two")  # by now the first is forgotten
        late = reply_events(first.turn_id, answer_to("one"))[2]
        await server.peers[0].send(late, {**late, "turn_id": "nobody's", "seq": 1})
        await conversation.ping()
        assert begun.turns.empty()
        await asyncio.sleep(3 * gap_s)
        assert (await conversation.say("three")).text == answer_to("three")
    assert server.handshakes == 1, "nothing of it is waited for"


async def test_an_event_of_the_deployment_s_own_comes_with_the_turn(
    server: ScriptedServer,
) -> None:
    async def fill(peer: Peer, message: Json) -> None:
        turn_id = message["turn_id"]
        about = {"type": "tool", "turn_id": turn_id, "call_id": "c", "name": "book"}
        await peer.send(
            {**about, "seq": 1, "title": "Book a table", "state": "running"},
            {"type": "reply_text", "turn_id": turn_id, "seq": 2, "delta": "😀 ", "filler": True},
            {"type": "reply_text", "turn_id": turn_id, "seq": 3, "delta": "Hm. ", "filler": True},
            {"type": "custom", "turn_id": turn_id, "seq": 4, "name": "cart", "data": {"items": 2}},
            {**about, "seq": 5, "title": "Book a table", "state": "done", "ms": 1_100},
            {"type": "reply_text", "turn_id": turn_id, "seq": 6, "delta": "It is booked."},
            turn_end(turn_id, 7, "😀 Hm. It is booked."),
        )

    server.on("user_message", fill)
    async with Conversation.connect(server.url) as conversation:
        turn = conversation.say("Book it.")
        custom = [event async for event in turn if isinstance(event, Custom)]
        reply = await turn
    assert [(event.name, event.data) for event in custom] == [("cart", {"items": 2})]
    assert reply.fillers == (Span(0, 6),)
    assert [(tool.title, tool.state, tool.ms) for tool in reply.tools] == [
        ("Book a table", "done", 1_100)
    ]


async def test_an_agent_is_asked_for_and_named(server: ScriptedServer) -> None:
    async def ready(peer: Peer, message: Json) -> None:
        await peer.send({**READY, "agent": message["agent"]})

    server.on("init", ready)
    async with Conversation.connect(server.url, agent="support") as conversation:
        assert conversation.agent == "support"


async def test_a_fact_is_told_where_the_deployment_takes_it(server: ScriptedServer) -> None:
    choices = {"settings": [], "voices": [], "languages": [], "context": True}

    async def ready(peer: Peer, message: Json) -> None:
        await peer.send({**READY, "choices": choices})

    server.on("init", ready)
    async with Conversation.connect(server.url) as conversation:
        await conversation.tell("The user looks at the map.")
        told = await server.wait_for("context")
        assert told == {"type": "context", "text": "The user looks at the map."}
        for fact, sentence in [
            (" ", "nothing to tell"),
            ("x" * 2_001, "at most 2,000 can be told"),
        ]:
            with pytest.raises(BadInput, match=sentence):
                await conversation.tell(fact)
    server.on("init", server.ready)
    async with Conversation.connect(server.url) as conversation:
        with pytest.raises(BadInput, match=r"`choices\.context` says"):
            await conversation.tell("The user looks at the map.")


async def test_sound_after_an_interruption_counts_as_unheard(server: ScriptedServer) -> None:
    begun = Begun()
    second = bytes(32_000)
    async with Conversation.connect(server.url, on_agent_turn=begun) as conversation:
        peer = server.peers[0]
        await peer.send(agent_turn("a"), audio_event("a", 2, second))
        turn = await begun.next()
        await turn.interrupt()
        heard_ms = turn.played_ms
        await peer.send(audio_event("a", 3, second))
        await conversation.ping()
        assert turn.so_far.audio_ms == 2_000
        assert turn.played_ms == heard_ms < 1_000
