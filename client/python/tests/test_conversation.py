"""The client's conversation, against a scripted WebSocket server."""

from __future__ import annotations

import asyncio
import base64
import random

import pytest

from parley_client import (
    Audio,
    Conversation,
    ConversationClosed,
    ProtocolViolation,
    ReplyText,
    ServerError,
    SessionLost,
    Settings,
    TurnEnd,
)
from parley_client.messages import PROTOCOL_VERSION
from scripted_server import (
    QUICK,
    READY,
    Json,
    Peer,
    ScriptedServer,
    answer_to,
    reply_events,
    tone,
    turn_end,
)


async def test_a_typed_turn_brings_text_audio_and_timings(server: ScriptedServer) -> None:
    async with Conversation.connect(server.url) as conversation:
        reply = await conversation.say("good morning")
    text = answer_to("good morning")
    assert (reply.text, reply.reason, reply.transcript) == (text, "completed", None)
    assert reply.audio == tone(text)
    assert reply.audio_ms == 20 + 10 * len(text)
    assert reply.metrics.responder_ms == 10.0
    timings = reply.timings
    assert timings.first_text_ms is not None
    assert timings.first_audio_ms is not None
    assert timings.first_sound_ms is not None
    assert timings.total_ms is not None
    assert 0 < timings.first_text_ms <= timings.first_audio_ms <= timings.total_ms
    assert timings.first_sound_ms == pytest.approx(timings.first_audio_ms + 20, abs=1)


async def test_the_session_opens_with_the_settings_and_ends_with_the_block(
    server: ScriptedServer,
) -> None:
    async with Conversation.connect(server.url, Settings(voice="v1", speed=0.9)) as conversation:
        assert conversation.session_id == READY["session_id"]
        assert conversation.resume_token == READY["resume_token"]
        assert conversation.settings == Settings(voice="v1", language="en", speed=0.9)
    assert server.messages("init") == [
        {"type": "init", "protocol": PROTOCOL_VERSION, "settings": {"voice": "v1", "speed": 0.9}}
    ]
    assert len(server.messages("end")) == 1
    with pytest.raises(ConversationClosed):
        conversation.say("anyone there?")


async def test_leaving_by_an_exception_does_not_end_the_session(server: ScriptedServer) -> None:
    with pytest.raises(RuntimeError, match="mine"):
        async with Conversation.connect(server.url):
            raise RuntimeError("mine")
    assert server.messages("end") == []


def _lose_the_end(server: ScriptedServer, code: str) -> None:
    """The connection breaks at `end`, and whoever comes back is told so."""

    async def refuse(peer: Peer, message: Json) -> None:
        if peer.number == 1:
            await server.ready(peer, message)
        else:
            error = {"code": code, "message": "Gone.", "retryable": False}
            await peer.send({"type": "error", **error})

    async def cut(peer: Peer, message: Json) -> None:
        await peer.cut()

    server.on("init", refuse)
    server.on("end", cut)


async def test_a_session_that_ended_as_asked_is_not_lost(server: ScriptedServer) -> None:
    _lose_the_end(server, "session_not_found")
    async with Conversation.connect(server.url, reconnect=QUICK) as conversation:
        await conversation.say("good bye")
    assert conversation.closed


async def test_a_session_that_is_anothers_by_now_has_not_ended(server: ScriptedServer) -> None:
    _lose_the_end(server, "resume_denied")
    conversation = await Conversation.connect(server.url, reconnect=QUICK)
    with pytest.raises(SessionLost, match="Gone"):
        await conversation.end()


async def test_events_in_any_order_and_twice_arrive_in_order_and_once(
    server: ScriptedServer,
) -> None:
    async def shuffled(peer: Peer, message: Json) -> None:
        events = reply_events(message["turn_id"], answer_to(message["text"]))
        events += events[:-1]
        random.Random(7).shuffle(events)
        await peer.send(*events)

    server.on("user_message", shuffled)
    async with Conversation.connect(server.url) as conversation:
        turn = conversation.say("one two three")
        events = [event async for event in turn]
        reply = await turn
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    deltas = [event.delta for event in events if isinstance(event, ReplyText)]
    assert "".join(deltas) == reply.text == answer_to("one two three")
    assert [type(event) for event in events[-2:]] == [Audio, TurnEnd]


async def test_a_turn_can_be_iterated_again_after_its_end(server: ScriptedServer) -> None:
    async with Conversation.connect(server.url) as conversation:
        turn = conversation.say("hello")
        await turn
        assert [event async for event in turn] == [event async for event in turn]


async def test_the_end_of_a_turn_is_acknowledged_before_the_session_ends(
    server: ScriptedServer,
) -> None:
    async with Conversation.connect(server.url) as conversation:
        turn = conversation.say("hello")
        await turn
    kinds = [got.message["type"] for got in server.got]
    assert kinds == ["init", "user_message", "ack", "end"]
    acknowledged = server.messages("ack")[0]
    assert acknowledged == {"type": "ack", "turn_id": turn.turn_id, "seq": turn.received_seq}


async def test_an_interrupt_says_how_much_was_heard_and_brings_the_shortened_reply(
    server: ScriptedServer,
) -> None:
    stopped = asyncio.Event()

    async def talk_until_stopped(peer: Peer, message: Json) -> None:
        words = (f"word{i} " for i in range(10_000))
        said = ""
        seq = 0
        for seq, word in enumerate(words, 1):
            if stopped.is_set():
                break
            said += word
            await peer.send(
                {
                    "type": "reply_text",
                    "turn_id": message["turn_id"],
                    "seq": seq,
                    "delta": word,
                }
            )
            await asyncio.sleep(0.001)
        await peer.send(
            turn_end(message["turn_id"], seq, said, reason="interrupted", heard=said[:5])
        )

    async def stop(peer: Peer, message: Json) -> None:
        stopped.set()

    server.on("user_message", talk_until_stopped)
    server.on("interrupt", stop)
    async with Conversation.connect(server.url) as conversation:
        turn = conversation.say("talk to me")
        async for event in turn:
            if event.seq == 3:
                await conversation.interrupt(123.4)
        reply = await turn
    assert server.messages("interrupt") == [
        {"type": "interrupt", "turn_id": turn.turn_id, "played_ms": 123.4}
    ]
    assert (reply.reason, reply.heard) == ("interrupted", "word0")


async def test_what_was_heard_of_a_voice_without_times_is_told_to_be_an_estimate(
    server: ScriptedServer,
) -> None:
    async def talk(peer: Peer, message: Json) -> None:
        about = {"turn_id": message["turn_id"]}
        await peer.send({"type": "reply_text", **about, "seq": 1, "delta": "One two."})
        audio = {"audio": "AAA=", "format": "pcm_24000", "start_ms": 0, "duration_ms": 900}
        words = [["One", 0, 400], ["two.", 400, 900]]
        await peer.send(
            {"type": "audio", **about, "seq": 2, **audio, "words": words, "estimated": True}
        )
        end = turn_end(message["turn_id"], 3, "One two.", reason="interrupted", heard="One")
        await peer.send({**end, "heard_estimated": True})

    server.on("user_message", talk)
    async with Conversation.connect(server.url) as conversation:
        reply = await conversation.say("a")
    assert (reply.heard, reply.heard_estimated, reply.words_estimated) == ("One", True, True)


async def test_without_a_figure_an_interrupt_counts_what_would_have_been_played(
    server: ScriptedServer,
) -> None:
    async with Conversation.connect(server.url) as conversation:
        turn = conversation.say("a")
        await turn
        await asyncio.sleep(0.05)
        await turn.interrupt()
        interrupt = await server.wait_for("interrupt")
    assert 50 <= interrupt["played_ms"] <= turn.so_far.audio_ms


async def test_settings_are_changed_and_a_bad_one_is_explained(server: ScriptedServer) -> None:
    async with Conversation.connect(server.url) as conversation:
        in_force = await conversation.configure({"style": "Like a pirate."})
        assert in_force == Settings(language="en", style="Like a pirate.") == conversation.settings

        async def refuse(peer: Peer, message: Json) -> None:
            await peer.send(
                {
                    "type": "error",
                    "code": "bad_request",
                    "message": "config.settings.speed: expected at most 1.2.",
                    "retryable": False,
                    "field": "config.settings.speed",
                }
            )

        server.on("config", refuse)
        with pytest.raises(ServerError, match=r"at most 1\.2"):
            await conversation.configure(Settings(speed=9))
        assert conversation.settings == in_force


async def test_a_ping_measures_the_round_trip(server: ScriptedServer) -> None:
    async def late(peer: Peer, message: Json) -> None:
        await asyncio.sleep(0.03)
        await peer.send({"type": "pong", "sent_at": message["sent_at"]})

    async with Conversation.connect(server.url) as conversation:
        server.on("ping", late)
        assert 30 <= await conversation.ping() < 1_000


async def test_the_heartbeat_pings_by_itself(server: ScriptedServer) -> None:
    async with Conversation.connect(server.url, heartbeat_s=0.01):
        await server.wait_for("ping", count=3)


async def test_two_turns_at_once_keep_their_events_apart(server: ScriptedServer) -> None:
    async with Conversation.connect(server.url) as conversation:
        first, second = conversation.say("alpha"), conversation.say("beta")
        replies = await asyncio.gather(first, second)
    assert [reply.text for reply in replies] == [answer_to("alpha"), answer_to("beta")]


async def test_audio_that_changes_its_format_is_not_mixed(server: ScriptedServer) -> None:
    async def mixed(peer: Peer, message: Json) -> None:
        sound = {
            "type": "audio",
            "turn_id": message["turn_id"],
            "audio": base64.b64encode(b"\1\1").decode(),
            "start_ms": 0,
            "duration_ms": 0,
        }
        await peer.send(
            {**sound, "seq": 1, "format": "pcm_16000"}, {**sound, "seq": 2, "format": "pcm_24000"}
        )

    server.on("user_message", mixed)
    async with Conversation.connect(server.url) as conversation:
        with pytest.raises(ProtocolViolation, match="from pcm_16000 to pcm_24000"):
            await conversation.say("sing")
