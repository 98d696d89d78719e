"""The client's conversation, against a scripted WebSocket server."""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import AsyncIterator

import pytest

from parley_client import (
    AnswerTimeout,
    Audio,
    BadInput,
    ConnectionLost,
    Conversation,
    ConversationClosed,
    Error,
    EventGap,
    ProtocolViolation,
    Reconnect,
    ReplyText,
    ServerError,
    Settings,
    Timeouts,
    TurnEnd,
    TurnFailed,
)
from parley_client.messages import PROTOCOL_VERSION
from tests.unit.client_server import (
    READY,
    Json,
    Peer,
    ScriptedServer,
    answer,
    answer_to,
    reply_events,
    tone,
    turn_end,
)


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer() as running:
        running.on("user_message", answer)
        yield running


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


async def test_an_event_that_never_comes_fails_the_turn_and_is_named(
    server: ScriptedServer,
) -> None:
    async def with_a_hole(peer: Peer, message: Json) -> None:
        events = reply_events(message["turn_id"], answer_to(message["text"]))
        await peer.send(*(event for event in events if event["seq"] != 2))

    server.on("user_message", with_a_hole)
    async with Conversation.connect(server.url, timeouts=Timeouts(gap_s=0.1)) as conversation:
        turn = conversation.say("mind it")
        with pytest.raises(EventGap, match="Event 2 of the reply never came") as gap:
            await turn
        assert gap.value.missing == (2,)
        assert turn.received_seq == 1


async def test_a_failed_turn_raises_the_servers_reason_with_what_came(
    server: ScriptedServer,
) -> None:
    async def fail(peer: Peer, message: Json) -> None:
        turn_id = message["turn_id"]
        await peer.send(
            {"type": "reply_text", "turn_id": turn_id, "seq": 1, "delta": "It is"},
            {
                "type": "error",
                "code": "reply_failed",
                "message": "The model went away.",
                "retryable": True,
                "turn_id": turn_id,
                "seq": 2,
                "retry_after_ms": 500,
            },
            turn_end(turn_id, 3, "It is", reason="failed"),
        )

    server.on("user_message", fail)
    async with Conversation.connect(server.url) as conversation:
        turn = conversation.say("what time?")
        with pytest.raises(TurnFailed, match=r"The model went away\.") as failed:
            await turn
        error = failed.value
        assert (error.code, error.retryable, error.retry_after_ms) == ("reply_failed", True, 500)
        assert error.reply.text == "It is"
        assert [type(e) async for e in turn] == [ReplyText, Error, TurnEnd]


async def test_speech_that_fails_leaves_the_text_and_the_error(server: ScriptedServer) -> None:
    async def mute(peer: Peer, message: Json) -> None:
        turn_id = message["turn_id"]
        await peer.send(
            {"type": "reply_text", "turn_id": turn_id, "seq": 1, "delta": "Noon."},
            {
                "type": "error",
                "code": "speech_failed",
                "message": "No voice.",
                "retryable": True,
                "turn_id": turn_id,
                "seq": 2,
            },
            turn_end(turn_id, 3, "Noon."),
        )

    server.on("user_message", mute)
    async with Conversation.connect(server.url) as conversation:
        reply = await conversation.say("what time?")
    assert (reply.text, reply.audio, reply.timings.first_sound_ms) == ("Noon.", b"", None)
    assert [error.code for error in reply.errors] == ["speech_failed"]


@pytest.mark.parametrize("named", [True, False])
async def test_a_refused_message_fails_its_turn_and_not_the_conversation(
    server: ScriptedServer, named: bool
) -> None:
    async def refuse_once(peer: Peer, message: Json) -> None:
        if len(server.messages("user_message")) > 1:
            await answer(peer, message)
            return
        await peer.send(
            {
                "type": "error",
                "code": "rate_limited",
                "message": "Slower.",
                "retryable": True,
                **({"turn_id": message["turn_id"]} if named else {}),
            }
        )

    server.on("user_message", refuse_once)
    async with Conversation.connect(server.url) as conversation:
        with pytest.raises(ServerError, match="Slower") as refused:
            await conversation.say("hi")
        assert refused.value.code == "rate_limited"
        assert (await conversation.say("hi again")).text == answer_to("hi again")


async def test_a_refused_interrupt_does_not_end_the_running_turn(server: ScriptedServer) -> None:
    async def begin(peer: Peer, message: Json) -> None:
        await peer.send(reply_events(message["turn_id"], "One two")[0])

    async def refuse(peer: Peer, message: Json) -> None:
        turn_id = message["turn_id"]
        await peer.send(
            {
                "type": "error",
                "code": "bad_request",
                "message": "No.",
                "retryable": False,
                "turn_id": turn_id,
                "field": "interrupt.played_ms",
            },
            *reply_events(turn_id, "One two")[1:],
        )

    server.on("user_message", begin)
    server.on("interrupt", refuse)
    async with Conversation.connect(server.url) as conversation:
        turn = conversation.say("count")
        await anext(aiter(turn))
        await turn.interrupt(-1)
        reply = await turn
    assert reply.text == "One two"
    assert [error.message for error in reply.errors] == ["No."]


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


async def test_a_server_that_falls_silent_fails_the_turn(server: ScriptedServer) -> None:
    async def begin(peer: Peer, message: Json) -> None:
        await peer.send(reply_events(message["turn_id"], "One two")[0])

    server.on("user_message", begin)
    timeouts = Timeouts(answer_s=0.1)
    async with Conversation.connect(server.url, timeouts=timeouts) as conversation:
        turn = conversation.say("count")
        with pytest.raises(AnswerTimeout, match=r"Nothing came from the server for 0\.1 s"):
            await turn
        assert turn.so_far.text == "One"


@pytest.mark.parametrize(
    ("code", "reason", "sentence"),
    [
        (1001, "Going away", r"closed \(1001: Going away\)"),
        (1001, "", "10 idle minutes"),
        (1011, "", "the server failed"),
    ],
)
async def test_without_attempts_a_connection_that_closes_fails_the_running_turn(
    server: ScriptedServer, code: int, reason: str, sentence: str
) -> None:
    async def leave(peer: Peer, message: Json) -> None:
        await peer.close(code, reason)

    server.on("user_message", leave)
    never = Reconnect(attempts=0)
    async with Conversation.connect(server.url, reconnect=never) as conversation:
        with pytest.raises(ConnectionLost, match=sentence) as lost:
            await conversation.say("hello")
        assert lost.value.close_code == code
        with pytest.raises(ConnectionLost):
            conversation.say("still there?")
    assert len(server.peers) == 1


async def test_a_server_of_another_kind_is_recognised(server: ScriptedServer) -> None:
    async def greet(peer: Peer, message: Json) -> None:
        await peer.socket.send("Welcome to the chat!")

    server.on("init", greet)
    with pytest.raises(ProtocolViolation, match="Is this the URL of a Parley API"):
        await Conversation.connect(server.url)


async def test_a_refused_session_says_why(server: ScriptedServer) -> None:
    async def refuse(peer: Peer, message: Json) -> None:
        await peer.send(
            {
                "type": "error",
                "code": "unsupported_protocol",
                "message": "Use version 2.",
                "retryable": False,
            }
        )

    server.on("init", refuse)
    with pytest.raises(ServerError, match=r"Use version 2\.") as refused:
        await Conversation.connect(server.url)
    assert refused.value.code == "unsupported_protocol"


async def test_a_server_without_a_ready_is_given_up(server: ScriptedServer) -> None:
    async def silence(peer: Peer, message: Json) -> None:
        return

    server.on("init", silence)
    with pytest.raises(AnswerTimeout, match=r"didn't answer `init` within 0\.1 s"):
        await Conversation.connect(server.url, timeouts=Timeouts(connect_s=0.1))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("", "empty"), (" \n", "empty"), ("x" * 8_001, "8,001 characters"), ("\ud800", "surrogate")],
)
async def test_a_text_that_cannot_be_sent_is_refused_at_once(
    server: ScriptedServer, text: str, sentence: str
) -> None:
    async with Conversation.connect(server.url) as conversation:
        with pytest.raises(BadInput, match=sentence):
            conversation.say(text)
    assert server.messages("user_message") == []


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


async def test_the_reason_of_a_failed_turn_is_not_the_error_it_survived(
    server: ScriptedServer,
) -> None:
    async def fail(peer: Peer, message: Json) -> None:
        turn_id = message["turn_id"]
        codes = ["reply_failed", "speech_failed"]
        await peer.send(
            *(
                {
                    "type": "error",
                    "code": code,
                    "message": f"{code}!",
                    "retryable": True,
                    "turn_id": turn_id,
                    "seq": seq,
                }
                for seq, code in enumerate(codes, 1)
            ),
            turn_end(turn_id, 3, "", reason="failed"),
        )

    server.on("user_message", fail)
    async with Conversation.connect(server.url) as conversation:
        with pytest.raises(TurnFailed, match="reply_failed!"):
            await conversation.say("hello")
