"""Silence and old age of the client's connection: questions, half-open sockets, rotation."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping

from parley_client import Conversation, Notice, Reconnect, StateChanged, Timeouts
from parley_client.heartbeat import Heartbeat, Verdict
from scripted_server import (
    DEADLINE_S,
    QUICK,
    Json,
    Peer,
    ScriptedServer,
    answer,
    answer_to,
    nothing,
    reply_events,
    turn_end,
)

IMPATIENT = Timeouts(ask_s=0.2, silence_s=0.4)


# --- the plain object -------------------------------------------------------------


def heartbeat(heartbeat_s: float | None = None) -> Heartbeat:
    return Heartbeat(100.0, ask_after_s=5.0, dead_after_s=10.0, heartbeat_s=heartbeat_s)


def test_nothing_is_due_while_nobody_waits() -> None:
    verdict = heartbeat().check(1_000.0, {})
    assert (verdict.dead, verdict.ask, verdict.next_at_s) == (False, (), math.inf)


def test_a_silent_turn_is_asked_after_and_then_the_connection_is_dead() -> None:
    watch = heartbeat()
    waiting = {"t": 200.0}
    assert watch.check(201.0, waiting) == Verdict(dead=False, ask=(), next_at_s=205.0)
    assert watch.check(205.0, waiting) == Verdict(dead=False, ask=("t",), next_at_s=210.0)
    assert watch.check(209.9, waiting) == Verdict(dead=False, ask=(), next_at_s=210.0)
    assert watch.check(210.0, waiting).dead


def test_who_was_too_busy_to_ask_has_not_been_kept_waiting() -> None:
    watch = heartbeat()
    assert watch.check(299.0, {"t": 200.0}) == Verdict(dead=False, ask=("t",), next_at_s=304.0)
    assert watch.check(304.0, {"t": 200.0}).dead


def test_an_answer_keeps_the_connection_but_the_turn_is_asked_after_again() -> None:
    watch = heartbeat()
    waiting: Mapping[str, float] = {"t": 200.0}
    assert watch.check(205.0, waiting).ask == ("t",)
    watch.heard(206.0)
    assert watch.check(209.9, waiting).ask == ()
    verdict = watch.check(210.0, waiting)
    assert (verdict.ask, verdict.dead) == (("t",), False)
    assert watch.check(215.0, waiting).dead


def test_each_silent_turn_is_asked_after_even_while_another_talks() -> None:
    watch = heartbeat()
    watch.heard(204.9)
    assert watch.check(205.0, {"old": 200.0, "new": 204.0}).ask == ("old",)


def test_silence_before_the_connection_was_ready_does_not_count() -> None:
    assert heartbeat().check(104.0, {"t": 50.0}).ask == ()


def test_an_idle_connection_is_pinged_and_given_up_without_an_answer() -> None:
    watch = heartbeat(heartbeat_s=240.0)
    assert watch.check(300.0, {}).next_at_s == 340.0
    assert watch.check(340.0, {}).ask == (None,)
    assert not watch.check(349.9, {}).dead
    assert watch.check(350.0, {}).dead


def test_an_answered_heartbeat_beats_again_after_the_same_time() -> None:
    watch = heartbeat(heartbeat_s=240.0)
    watch.check(340.0, {})
    watch.heard(341.0)
    verdict = watch.check(351.0, {})
    assert (verdict.dead, verdict.next_at_s) == (False, 581.0)


def test_a_question_about_a_turn_is_a_heartbeat_too() -> None:
    watch = heartbeat(heartbeat_s=6.0)
    assert watch.check(105.0, {"t": 100.0}).ask == ("t",)
    assert watch.check(106.0, {"t": 100.0}).ask == ()


# --- over a real socket -----------------------------------------------------------


async def test_a_silent_turn_is_asked_after(server: ScriptedServer) -> None:
    async def end_it(peer: Peer, message: Json) -> None:
        await peer.send({"type": "pong", "sent_at": message["sent_at"]})
        if (turn_id := message.get("turn_id")) is not None:
            await peer.send(turn_end(turn_id, 0, "", reason="failed", code="internal"))

    server.on("user_message", nothing)
    server.on("ping", end_it)
    timeouts = Timeouts(ask_s=0.05, begin_s=0.05)
    async with Conversation.connect(server.url, timeouts=timeouts) as conversation:
        await conversation.configure({})  # by now the client is idle, and must wake up
        turn = conversation.say("hello?")
        events = [event async for event in turn]
    assert [event.seq for event in events] == [0]
    assert server.messages("ping")[0]["turn_id"] == turn.turn_id
    assert len(server.peers) == 1


async def test_a_turn_whose_function_has_to_start_is_not_asked_after_before_it_should_have_begun(
    server: ScriptedServer,
) -> None:
    async def slow(peer: Peer, message: Json) -> None:
        await server.wait_for("ping", 4)
        await peer.send(
            {"type": "reply_text", "turn_id": message["turn_id"], "seq": 1, "delta": "Y"}
        )
        await server.wait_for("ping", 6)
        await peer.send(turn_end(message["turn_id"], 2, "Y"))

    server.on("user_message", slow)
    async with Conversation.connect(server.url, timeouts=Timeouts(ask_s=0.05)) as conversation:
        turn = conversation.say("hello?")
        assert (await turn).text == "Y"
    asked = [ping.get("turn_id") for ping in server.messages("ping")]
    assert asked[:4] == [None] * 4, "the connection lives; the turn may be about to begin"
    assert turn.turn_id in asked[4:]


async def test_a_connection_that_nothing_comes_over_is_left_for_another(
    server: ScriptedServer,
) -> None:
    async def deaf_at_first(peer: Peer, message: Json) -> None:
        if peer.number > 1:
            await answer(peer, message)

    server.on("user_message", deaf_at_first)
    server.on("ping", nothing)
    told: list[Notice] = []
    async with Conversation.connect(
        server.url, reconnect=QUICK, timeouts=IMPATIENT, on_notice=told.append
    ) as conversation:
        assert (await conversation.say("hello?")).text == answer_to("hello?")
    lost = [n for n in told if isinstance(n, StateChanged) and n.state == "reconnecting"]
    assert lost[0].reason is not None
    assert lost[0].reason.message == "Nothing came from the server for 0.4 s."
    assert server.kinds(1) == ["init", "user_message", "ping"]


async def test_a_slow_reply_is_waited_for_as_long_as_the_server_answers(
    server: ScriptedServer,
) -> None:
    async def slow(peer: Peer, message: Json) -> None:
        await server.wait_for("ping", 3)
        await answer(peer, message)

    server.on("user_message", slow)
    timeouts = Timeouts(ask_s=0.05, silence_s=1.0)
    async with Conversation.connect(server.url, reconnect=QUICK, timeouts=timeouts) as conversation:
        assert (await conversation.say("hello?")).text == answer_to("hello?")
    assert len(server.peers) == 1


async def test_an_idle_connection_that_died_is_replaced(server: ScriptedServer) -> None:
    async def deaf_at_first(peer: Peer, message: Json) -> None:
        if peer.number > 1:
            await peer.send({"type": "pong", "sent_at": message["sent_at"]})

    server.on("ping", deaf_at_first)
    async with Conversation.connect(
        server.url, heartbeat_s=0.05, reconnect=QUICK, timeouts=IMPATIENT
    ) as conversation:
        await server.wait_for("ping", connection=2)
        assert (await conversation.say("hello")).text == answer_to("hello")


async def test_a_ping_of_the_heart_does_not_answer_one_of_the_application(
    server: ScriptedServer,
) -> None:
    held: list[Json] = []

    async def late_for_the_first(peer: Peer, message: Json) -> None:
        held.append(message)
        if len(held) > 1:
            await peer.send({"type": "pong", "sent_at": held[1]["sent_at"]})
            await asyncio.sleep(0.05)
            await peer.send({"type": "pong", "sent_at": held[0]["sent_at"]})

    server.on("ping", late_for_the_first)
    async with Conversation.connect(server.url, heartbeat_s=0.02) as conversation:
        assert await conversation.ping() >= 50


def rotating(after_s: float, patience_s: float = 60.0) -> Reconnect:
    return Reconnect(
        base_s=0.01, cap_s=0.02, stable_s=0.0, rotate_after_s=after_s, rotate_patience_s=patience_s
    )


class Takeover:
    """Ends the older connection when the session comes back over a newer one."""

    def __init__(self, server: ScriptedServer) -> None:
        self._server = server
        server.on("init", self.init)

    async def init(self, peer: Peer, message: Json) -> None:
        if peer.number > 1:
            older = self._server.peers[peer.number - 2]
            ended = {"type": "session_ended", "session_id": "session-1", "reason": "replaced"}
            await older.send(ended)
            await older.close(1000)
        await self._server.ready(peer, message)


async def test_an_old_connection_is_replaced_without_anybody_noticing(
    server: ScriptedServer,
) -> None:
    Takeover(server)
    told: list[Notice] = []
    async with Conversation.connect(
        server.url, reconnect=rotating(0.1), on_notice=told.append
    ) as conversation:
        await server.wait_for("init", 3)
        assert (await conversation.say("hello")).text == answer_to("hello")
        assert conversation.state == "ready"
        states = [notice.state for notice in told if isinstance(notice, StateChanged)]
    assert states == ["connecting", "ready"]
    tokens = [init.get("resume_token") for init in server.messages("init")[:3]]
    assert tokens == [None, "token-1", "token-2"]


async def test_a_running_turn_is_not_disturbed_by_the_change(server: ScriptedServer) -> None:
    released = asyncio.Event()

    async def wait(peer: Peer, message: Json) -> None:
        events = reply_events(message["turn_id"], "One two")
        await peer.send(events[0])
        await released.wait()
        await peer.send(*events[1:])

    server.on("user_message", wait)
    async with Conversation.connect(server.url, reconnect=rotating(0.05)) as conversation:
        turn = conversation.say("count")
        await asyncio.sleep(0.15)  # three times the age
        assert len(server.peers) == 1
        released.set()
        await turn
        await server.wait_for("init", 2)


async def test_a_turn_that_outlasts_the_patience_goes_on_over_the_next_connection(
    server: ScriptedServer,
) -> None:
    async def begin(peer: Peer, message: Json) -> None:
        if peer.number == 1:
            await peer.send(reply_events(message["turn_id"], "One two")[0])

    async def go_on(peer: Peer, message: Json) -> None:
        await server.ready(peer, message)
        if "received" in message:
            events = reply_events(message["received"]["turn_id"], "One two")
            await peer.send(*events[message["received"]["seq"] :])

    server.on("user_message", begin)
    server.on("init", go_on)
    policy = rotating(0.1, patience_s=0.1)
    async with Conversation.connect(server.url, reconnect=policy) as conversation:
        assert (await conversation.say("count")).text == "One two"
    assert len(server.peers) >= 2


async def test_what_is_said_during_the_change_is_sent_over_the_next_connection(
    server: ScriptedServer,
) -> None:
    changing, go_on = asyncio.Event(), asyncio.Event()

    async def slow(peer: Peer, message: Json) -> None:
        if peer.number == 2:
            changing.set()
            await go_on.wait()
        await server.ready(peer, message)

    server.on("init", slow)
    async with Conversation.connect(server.url, reconnect=rotating(0.1)) as conversation:
        async with asyncio.timeout(DEADLINE_S):
            await changing.wait()
        turn = conversation.say("hello")
        assert conversation.state == "ready"
        go_on.set()
        assert (await turn).text == answer_to("hello")
    [got] = [got for got in server.got if got.message["type"] == "user_message"]
    assert got.connection == 2


async def test_a_change_that_fails_half_way_is_mended_by_coming_back(
    server: ScriptedServer,
) -> None:
    async def break_second(peer: Peer, message: Json) -> None:
        await (peer.cut() if peer.number == 2 else server.ready(peer, message))

    server.on("init", break_second)
    async with Conversation.connect(server.url, reconnect=rotating(0.1)) as conversation:
        await server.wait_for("init", 3)
        assert (await conversation.say("hello")).text == answer_to("hello")


async def test_a_change_that_finds_nobody_keeps_the_connection_it_has(
    server: ScriptedServer,
) -> None:
    async with Conversation.connect(server.url, reconnect=rotating(0.05)) as conversation:
        server.refusals = [503, 503]
        await server.wait_for("init", 2)
        assert server.refusals == []
        assert (await conversation.say("hello")).text == answer_to("hello")


async def test_a_connection_that_takes_nothing_more_does_not_hold_the_speaker_up(
    server: ScriptedServer,
) -> None:
    async def stop_reading(peer: Peer, message: Json) -> None:
        if peer.number == 1:
            peer.socket.transport.pause_reading()

    async def reply(peer: Peer, message: Json) -> None:
        await peer.send(*reply_events(message["turn_id"], "Heard."))

    server.on("audio_start", stop_reading)
    server.on("audio_end", reply)
    pcm = bytes(20_480) * 400  # more than the buffers on the way can hold
    roomy = Reconnect(base_s=0.01, cap_s=0.02, stable_s=0.0, queue_bytes=16_000_000)
    timeouts = Timeouts(ask_s=0.3, silence_s=1.0)
    async with Conversation.connect(server.url, reconnect=roomy, timeouts=timeouts) as talking:
        turn = talking.speak(pcm, chunk_ms=640, real_time=False)
        assert (await turn).text == "Heard."
    assert len(server.messages("audio_chunk", connection=1)) < 400
    await server.peers[0].cut()
    again = {got.message.get("seq") for got in server.got if got.connection > 1}
    assert again >= set(range(1, 401))
