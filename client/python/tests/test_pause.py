"""What follows when nobody says anything: the silence is told, or the conversation is hung up."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from parley_client import Conversation, ConversationClosed, Notice, StateChanged, Timeouts
from parley_client.messages import SilenceRules
from parley_client.pause import Pause
from scripted_server import (
    DEADLINE_S,
    QUICK,
    READY,
    Json,
    Peer,
    ScriptedServer,
    answer,
    audio_event,
    nothing,
    turn_end,
)

SOUND_MS = 150
SOUND = bytes(32 * SOUND_MS)


def with_rules(server: ScriptedServer, **rules: int) -> None:
    """Have `ready` say when silence is to be told."""

    async def ready(peer: Peer, message: Json) -> None:
        await peer.send({**READY, "silence": rules})

    server.on("init", ready)


async def reply_aloud(peer: Peer, message: Json) -> None:
    """A reply of so much sound, at once."""
    turn_id = message["turn_id"]
    await peer.send(audio_event(turn_id, 1, SOUND), turn_end(turn_id, 2, "Yes."))


async def say_goodbye(peer: Peer, message: Json) -> None:
    turn_id = message["turn_id"]
    end = turn_end(turn_id, 2, "Goodbye.", ends_session=True)
    await (
        answer(peer, message)
        if message["text"] == "Wait!"
        else peer.send(audio_event(turn_id, 1, SOUND), end)
    )


def closed_by(notices: list[Notice]) -> list[object]:
    return [n.reason for n in notices if isinstance(n, StateChanged) and n.state == "closed"]


async def until_closed(conversation: Conversation) -> None:
    async with asyncio.timeout(DEADLINE_S):
        await conversation.wait_closed()


async def test_silence_is_told_once_so_long_after_the_reply_has_been_played(
    server: ScriptedServer,
) -> None:
    with_rules(server, ask_after_ms=60)
    server.on("user_message", reply_aloud)
    async with Conversation.connect(server.url) as conversation:
        await conversation.say("Are you there?")
        silence = await server.wait_for("silence")
        await asyncio.sleep(0.15)
    assert server.messages("silence") == [silence]
    assert 60 <= silence["silent_ms"] < 1_000
    at_s = {got.message["type"]: got.at_s for got in server.got}
    # the sound came after the question
    assert at_s["silence"] - at_s["user_message"] >= 0.06 + SOUND_MS / 1000


async def test_silence_counts_anew_from_the_reply_to_who_breaks_it(
    server: ScriptedServer,
) -> None:
    with_rules(server, ask_after_ms=100)
    replied = asyncio.Event()

    async def wait(peer: Peer, message: Json) -> None:
        if message["text"] == "two":
            await replied.wait()
        await answer(peer, message)

    server.on("user_message", wait)
    async with Conversation.connect(server.url) as conversation:
        first = conversation.say("one")
        await first
        await first.interrupt()  # its sound would be heard for longer
        second = conversation.say("two")
        await asyncio.sleep(0.25)
        assert server.messages("silence") == [], "a reply is waited for"
        replied.set()
        await second
        await second.interrupt()
        await server.wait_for("silence")


async def test_the_session_is_to_end_so_long_after_the_agent_has_asked(
    server: ScriptedServer,
) -> None:
    with_rules(server, ask_after_ms=30, end_after_ms=300)

    async def ask(peer: Peer, message: Json) -> None:
        if len(server.messages("silence")) == 1:
            began = {"type": "agent_turn", "turn_id": "a", "seq": 1, "cause": "silence"}
            await peer.send(began, turn_end("a", 2, "Are you there?"))
        else:
            ended = {"type": "session_ended", "session_id": "session-1", "reason": "silence"}
            await peer.send(ended)

    async def nod(peer: Peer, message: Json) -> None:
        await peer.send(turn_end(message["turn_id"], 1, "Yes."))

    server.on("silence", ask)
    server.on("user_message", nod)
    async with Conversation.connect(server.url) as conversation:
        await conversation.say("hello")
        await until_closed(conversation)
        assert conversation.ending == "silence"
    first, second = (message["silent_ms"] for message in server.messages("silence"))
    assert 30 <= first < 300 <= second


async def test_silence_counts_from_a_reply_whose_first_event_came_last(
    server: ScriptedServer,
) -> None:
    with_rules(server, ask_after_ms=20)
    async with Conversation.connect(server.url):
        began = {"type": "agent_turn", "turn_id": "a", "seq": 1, "cause": "greeting"}
        await server.peers[0].send(turn_end("a", 2, "Hello."), began)
        await server.wait_for("silence")


async def test_a_connection_that_takes_the_place_of_another_is_not_told_again() -> None:
    told: list[float] = []
    pause = Pause(
        rules=lambda: SilenceRules(ask_after_ms=0), tell=told.append, hang_up=lambda: None
    )
    pause.connected()
    pause.begins(asyncio.get_running_loop().time(), is_last=False)
    await asyncio.sleep(0.01)  # a loop's timers run in order: what was due has run
    pause.connected()
    await asyncio.sleep(0.01)
    assert len(told) == 1


async def test_silence_is_told_again_over_the_next_connection(server: ScriptedServer) -> None:
    with_rules(server, end_after_ms=30)

    async def cut_first(peer: Peer, message: Json) -> None:
        if peer.number == 1:
            await peer.cut()

    server.on("silence", cut_first)
    server.on("user_message", reply_aloud)
    async with Conversation.connect(server.url, reconnect=QUICK) as conversation:
        await conversation.say("hello")
        await server.wait_for("silence", connection=2)


@pytest.mark.parametrize(
    ("rules", "text"),
    [({}, "hello"), ({"ask_after_ms": 20}, None)],
    ids=["without rules", "before the first reply"],
)
async def test_silence_counts_for_nothing(
    rules: Mapping[str, int], text: str | None, server: ScriptedServer
) -> None:
    with_rules(server, **rules)

    async def nod(peer: Peer, message: Json) -> None:
        await peer.send(turn_end(message["turn_id"], 1, "Yes."))

    server.on("user_message", nod)
    async with Conversation.connect(server.url) as conversation:
        if text is not None:
            await conversation.say(text)
        await asyncio.sleep(0.1)
        await conversation.ping()
    assert server.messages("silence") == []


async def test_the_conversation_is_hung_up_once_the_agent_s_goodbye_has_been_heard(
    server: ScriptedServer,
) -> None:
    server.on("user_message", say_goodbye)
    notices: list[Notice] = []
    async with Conversation.connect(server.url, on_notice=notices.append) as conversation:
        reply = await conversation.say("Goodbye.")
        assert reply.ends_session
        assert not conversation.closed, "it is still being heard"
        assert conversation.ending is None
        await until_closed(conversation)
        assert conversation.ending == "agent"
        with pytest.raises(ConversationClosed, match="The agent has ended") as closed:
            conversation.say("Hello?")
        assert closed.value.ending == "agent"
    assert closed_by(notices) == [closed.value]
    assert server.kinds(1)[-2:] == ["ack", "end"]
    assert server.handshakes == 1


async def test_a_goodbye_that_is_interrupted_has_been_heard(server: ScriptedServer) -> None:
    async def at_length(peer: Peer, message: Json) -> None:
        turn_id = message["turn_id"]
        end = turn_end(turn_id, 2, "Goodbye.", ends_session=True)
        await peer.send(audio_event(turn_id, 1, bytes(32 * 2_000)), end)

    server.on("user_message", at_length)
    async with Conversation.connect(server.url) as conversation:
        turn = conversation.say("Goodbye.")
        await turn
        await turn.interrupt()
        started_s = asyncio.get_running_loop().time()
        await until_closed(conversation)
        assert conversation.ending == "agent"
    assert asyncio.get_running_loop().time() - started_s < 1.5


async def test_who_says_something_before_that_keeps_the_conversation(
    server: ScriptedServer,
) -> None:
    server.on("user_message", say_goodbye)
    async with Conversation.connect(server.url) as conversation:
        await conversation.say("Goodbye.")
        await conversation.say("Wait!")
        await asyncio.sleep(2 * SOUND_MS / 1000)
        assert not conversation.closed
        assert server.messages("end") == []


async def test_a_server_that_does_not_answer_is_hung_up_on_all_the_same(
    server: ScriptedServer,
) -> None:
    server.on("end", nothing)
    server.on("user_message", say_goodbye)
    timeouts = Timeouts(request_s=0.05)
    async with Conversation.connect(server.url, timeouts=timeouts) as conversation:
        await conversation.say("Goodbye.")
        await until_closed(conversation)
        assert conversation.ending == "agent"


async def test_a_session_that_is_gone_has_been_hung_up(server: ScriptedServer) -> None:
    async def gone(peer: Peer, message: Json) -> None:
        if peer.number == 1:
            await peer.cut()

    async def ready(peer: Peer, message: Json) -> None:
        lost = {"type": "error", "code": "session_not_found", "message": "Gone."}
        first = peer.number == 1
        await (server.ready(peer, message) if first else peer.send({**lost, "retryable": False}))

    server.on("init", ready)
    server.on("end", gone)
    server.on("user_message", say_goodbye)
    async with Conversation.connect(server.url, reconnect=QUICK) as conversation:
        await conversation.say("Goodbye.")
        await until_closed(conversation)
        assert conversation.ending == "agent"


async def test_to_leave_while_it_is_being_hung_up_is_no_error(server: ScriptedServer) -> None:
    async def take_time(peer: Peer, message: Json) -> None:
        if len(server.messages("end")) == 2:
            await peer.send({"type": "session_ended", "session_id": "session-1"})

    server.on("end", take_time)
    server.on("user_message", say_goodbye)
    async with Conversation.connect(server.url) as conversation:
        await conversation.say("Goodbye.")
        await server.wait_for("end")
    assert conversation.ending == "agent"


@pytest.mark.parametrize("reason", ["silence", "too_long"])
async def test_a_session_that_the_deployment_ends_is_not_come_back_to(
    reason: str, server: ScriptedServer
) -> None:
    server.on("user_message", nothing)
    async with Conversation.connect(server.url, reconnect=QUICK) as conversation:
        turn = conversation.say("hello")
        await server.wait_for("user_message")
        ended = {"type": "session_ended", "session_id": "session-1", "reason": reason}
        await server.peers[0].send(ended)
        with pytest.raises(ConversationClosed) as closed:
            await turn
        assert conversation.ending == closed.value.ending == reason
    assert server.handshakes == 1
    assert server.messages("end") == []


async def test_the_application_s_own_end_is_none_of_the_agent_s(server: ScriptedServer) -> None:
    async with Conversation.connect(server.url) as conversation:
        await conversation.end()
        await until_closed(conversation)
        assert conversation.ending is None
