"""Nothing lost: turns of the client that go on over another connection."""

from __future__ import annotations

import asyncio

import pytest

from parley_client import (
    Conversation,
    Notice,
    Reconnect,
    ReplyText,
    SessionLost,
    SessionRenewed,
    Settings,
    Timeouts,
    TurnEnd,
    TurnFailed,
)
from scripted_server import (
    QUICK,
    Json,
    Peer,
    ScriptedServer,
    answer,
    answer_to,
    nothing,
    reply_events,
    tone,
    turn_end,
)


async def test_a_reply_goes_on_where_it_broke_off(server: ScriptedServer) -> None:
    async def break_off(peer: Peer, message: Json) -> None:
        if peer.number == 1:
            await peer.send(*reply_events(message["turn_id"], "One two three")[:2])
            await peer.cut()

    async def resume(peer: Peer, message: Json) -> None:
        await server.ready(peer, message)
        if peer.number == 2:
            turn_id = message["received"]["turn_id"]
            # one more than needed, and before the rest: both are allowed
            await peer.send(*reply_events(turn_id, "One two three")[1:])

    server.on("user_message", break_off)
    server.on("init", resume)
    async with Conversation.connect(server.url, reconnect=QUICK) as conversation:
        turn = conversation.say("count")
        events = [event async for event in turn]
        reply = await turn
        ack = await server.wait_for("ack", connection=2)
    assert [event.seq for event in events] == [1, 2, 3, 4, 5]
    assert (reply.text, reply.audio) == ("One two three", tone("One two three"))
    received = server.messages("init")[1]["received"]
    assert received in ({"turn_id": turn.turn_id, "seq": seq} for seq in (0, 1, 2))
    assert ack == {"type": "ack", "turn_id": turn.turn_id, "seq": 5}


async def test_a_message_that_may_not_have_arrived_is_sent_again_as_the_same_attempt(
    server: ScriptedServer,
) -> None:
    async def cut_first(peer: Peer, message: Json) -> None:
        await (peer.cut() if peer.number == 1 else answer(peer, message))

    server.on("user_message", cut_first)
    async with Conversation.connect(server.url, reconnect=QUICK) as conversation:
        turn = conversation.say("hello")
        assert (await turn).text == answer_to("hello")
    message = {"type": "user_message", "turn_id": turn.turn_id, "text": "hello", "attempt": 1}
    assert server.messages("user_message") == [message, message]


async def test_a_turn_that_has_ended_is_not_sent_again(server: ScriptedServer) -> None:
    async with Conversation.connect(server.url, reconnect=QUICK) as conversation:
        await conversation.say("one")
        await server.peers[0].cut()
        await conversation.say("two")
    assert [m["text"] for m in server.messages("user_message", connection=2)] == ["two"]


async def test_an_end_that_comes_again_is_acknowledged_again(server: ScriptedServer) -> None:
    async with Conversation.connect(server.url, reconnect=QUICK) as conversation:
        first, second = conversation.say("one"), conversation.say("two")
        ends = [(turn.turn_id, (await turn, turn.received_seq)[1]) for turn in (first, second)]
        await conversation.say("three")  # by now the first two are forgotten
        for turn_id, seq in ends:
            await server.peers[0].send(turn_end(turn_id, seq, "again"))
        await server.wait_for("ack", 5)
    acknowledged = [(ack["turn_id"], ack["seq"]) for ack in server.messages("ack")]
    assert acknowledged[:2] == acknowledged[3:] == ends


async def test_an_end_without_a_number_ends_the_turn_whatever_is_missing(
    server: ScriptedServer,
) -> None:
    async def die(peer: Peer, message: Json) -> None:
        turn_id = message["turn_id"]
        events = reply_events(turn_id, "One two three")
        await peer.send(
            events[0],
            events[2],
            turn_end(turn_id, 0, "", reason="failed", code="internal", retryable=True),
        )

    server.on("user_message", die)
    async with Conversation.connect(server.url, reconnect=QUICK) as conversation:
        turn = conversation.say("count")
        with pytest.raises(TurnFailed) as failed:
            await turn
        assert (failed.value.code, failed.value.retryable) == ("internal", True)
        assert failed.value.reply.text == ""
        assert [type(e) async for e in turn] == [ReplyText, TurnEnd]
        ack = await server.wait_for("ack")
    assert ack == {"type": "ack", "turn_id": turn.turn_id, "seq": 0}


async def test_late_events_of_an_older_turn_reach_it(server: ScriptedServer) -> None:
    async def first_waits(peer: Peer, message: Json) -> None:
        turn_id = message["turn_id"]
        events = reply_events(turn_id, "One two three")
        if message["text"] == "first":
            await peer.send(events[0])
            return
        await peer.send(events[0])
        older = server.messages("user_message")[0]["turn_id"]
        await peer.send(turn_end(older, 2, "One", reason="interrupted", heard="One"))
        await peer.send(*events[1:])

    server.on("user_message", first_waits)
    async with Conversation.connect(server.url, reconnect=QUICK) as conversation:
        first = conversation.say("first")
        await anext(aiter(first))
        second = conversation.say("second")
        assert (await second).text == "One two three"
        assert (await first).heard == "One"


async def test_with_several_unfinished_turns_the_oldest_is_named_as_received(
    server: ScriptedServer,
) -> None:
    async def begin(peer: Peer, message: Json) -> None:
        await peer.send(reply_events(message["turn_id"], "One two")[0])
        if peer.number == 2:
            await peer.send(*reply_events(message["turn_id"], "One two")[1:])

    server.on("user_message", begin)
    async with Conversation.connect(server.url, reconnect=QUICK) as conversation:
        turns = [conversation.say("a"), conversation.say("b")]
        for turn in turns:
            await anext(aiter(turn))
        await server.peers[0].cut()
        assert [(await turn).text for turn in turns] == ["One two", "One two"]
    assert server.messages("init")[1]["received"] == {"turn_id": turns[0].turn_id, "seq": 1}


async def test_missing_events_are_had_by_coming_back(server: ScriptedServer) -> None:
    arrive_over = {1: (1, 3), 2: (2, 3, 5), 3: (4, 5)}

    async def with_a_hole(peer: Peer, message: Json) -> None:
        events = reply_events(message["turn_id"], "One two three")
        await peer.send(*(e for e in events if e["seq"] in arrive_over[peer.number]))

    server.on("user_message", with_a_hole)
    gap = Timeouts(gap_s=0.05)
    async with Conversation.connect(server.url, reconnect=QUICK, timeouts=gap) as conversation:
        assert (await conversation.say("count")).text == "One two three"
    received = [init["received"]["seq"] for init in server.messages("init")[1:]]
    assert received == [1, 3]


async def test_time_without_a_connection_is_no_silence_of_the_server(
    server: ScriptedServer,
) -> None:
    gate = asyncio.Event()

    async def slow(peer: Peer, message: Json) -> None:
        if peer.number > 1:
            await gate.wait()
        await server.ready(peer, message)

    server.on("init", slow)
    server.on("user_message", nothing)
    timeouts = Timeouts(answer_s=0.1, gap_s=0.1)
    async with Conversation.connect(server.url, reconnect=QUICK, timeouts=timeouts) as conversation:
        turn = conversation.say("hello")
        await server.wait_for("user_message")
        server.on("user_message", answer)
        await server.peers[0].cut()
        await server.wait_for("init", connection=2)
        meanwhile = conversation.say("still there?")
        await asyncio.sleep(0.2)  # longer than an answer may take
        assert not turn.done
        assert not meanwhile.done
        gate.set()
        assert (await turn).text == answer_to("hello")
        assert (await meanwhile).text == answer_to("still there?")


def _lost(code: str) -> Json:
    return {"type": "error", "code": code, "message": "Start anew.", "retryable": False}


@pytest.mark.parametrize("code", ["session_not_found", "resume_denied"])
async def test_a_session_that_is_gone_is_an_error_of_its_own(
    server: ScriptedServer, code: str
) -> None:
    async def forget(peer: Peer, message: Json) -> None:
        if "session_id" in message:
            await peer.send(_lost(code))
        else:
            await server.ready(peer, message)

    async def leave(peer: Peer, message: Json) -> None:
        await peer.cut()

    server.on("init", forget)
    server.on("user_message", leave)
    async with Conversation.connect(server.url, reconnect=QUICK) as conversation:
        with pytest.raises(SessionLost, match="Start anew") as lost:
            await conversation.say("hello")
        assert (lost.value.code, lost.value.retryable) == (code, False)
        assert conversation.closed
    assert len(server.peers) == 2


async def test_a_session_that_is_gone_can_be_replaced_by_a_new_one(
    server: ScriptedServer,
) -> None:
    async def forget(peer: Peer, message: Json) -> None:
        if "session_id" in message:
            await peer.send(_lost("session_not_found"))
        else:
            await server.ready(peer, message)

    async def answer_later(peer: Peer, message: Json) -> None:
        if peer.number == 1 and message["text"] == "begun":
            await peer.send(reply_events(message["turn_id"], "One two")[0])
        elif peer.number > 1:
            await answer(peer, message)

    server.on("init", forget)
    server.on("user_message", answer_later)
    told: list[Notice] = []
    renew = Reconnect(base_s=0.01, cap_s=0.02, stable_s=0.0, new_session=True)
    async with Conversation.connect(
        server.url, Settings(voice="v1"), reconnect=renew, on_notice=told.append
    ) as conversation:
        begun, waiting = conversation.say("begun"), conversation.say("waiting")
        await anext(aiter(begun))
        await server.wait_for("user_message", 2)
        await server.peers[0].cut()
        with pytest.raises(SessionLost):
            await begun
        assert begun.so_far.text == "One"
        assert (await waiting).text == answer_to("waiting")
    assert [n for n in told if isinstance(n, SessionRenewed)] == [
        SessionRenewed("session-1", "session-1")
    ]
    init = server.messages("init")[-1]
    assert "session_id" not in init
    assert init["settings"] == {"voice": "v1", "language": "en"}


async def test_a_change_of_settings_survives_a_lost_connection(server: ScriptedServer) -> None:
    async def cut_first(peer: Peer, message: Json) -> None:
        if peer.number == 1:
            await peer.cut()
        else:
            await peer.send({"type": "config_updated", "settings": message["settings"]})

    server.on("config", cut_first)
    async with Conversation.connect(server.url, reconnect=QUICK) as conversation:
        assert await conversation.configure({"speed": 0.8}) == Settings(speed=0.8)
    assert len(server.messages("config")) == 2
