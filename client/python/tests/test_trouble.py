"""The Python client when something fails: each turn says what, and the conversation goes on."""

from __future__ import annotations

import pytest

from parley_client import (
    AnswerTimeout,
    BadInput,
    ConnectionLost,
    Conversation,
    Error,
    EventGap,
    ProtocolViolation,
    Reconnect,
    ReplyText,
    ServerError,
    Timeouts,
    TurnEnd,
    TurnFailed,
)
from scripted_server import (
    Json,
    Peer,
    ScriptedServer,
    answer,
    answer_to,
    fail,
    reply_events,
    turn_end,
)


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


async def test_settings_that_the_gateway_could_not_deliver_are_an_error(
    server: ScriptedServer,
) -> None:
    async def crash(peer: Peer, message: Json) -> None:
        await peer.send({"message": "Internal server error", "connectionId": "c"})

    server.on("config", crash)
    async with Conversation.connect(server.url) as conversation:
        with pytest.raises(ServerError, match="Internal server error") as failed:
            await conversation.configure({"speed": 1.0})
        assert (failed.value.code, failed.value.retryable) == ("gateway_error", True)


def too_fast(**more: object) -> Json:
    """The error about a message that was dropped."""
    return {"type": "error", "code": "rate_limited", "message": "Slower.", "retryable": True} | more


@pytest.mark.parametrize("named", [{}, {"field": "audio_chunk"}])
async def test_a_chunk_that_was_dropped_is_no_answer_to_a_ping(
    server: ScriptedServer, named: Json
) -> None:
    async def complain(peer: Peer, message: Json) -> None:
        await peer.send(too_fast(**named), {"type": "pong", "sent_at": message["sent_at"]})

    async def reply(peer: Peer, message: Json) -> None:
        await peer.send(*reply_events(message["turn_id"], "Heard."))

    server.on("ping", complain)
    server.on("interrupt", reply)
    async with Conversation.connect(server.url) as conversation:
        turn = conversation.speak(bytes(320), real_time=False)
        await server.wait_for("audio_end")
        assert await conversation.ping() > 0
        await turn.interrupt()
        assert (await turn).text == "Heard."


@pytest.mark.parametrize("named", [{}, {"field": "config"}])
async def test_settings_that_were_dropped_are_refused_at_once(
    server: ScriptedServer, named: Json
) -> None:
    async def refuse(peer: Peer, message: Json) -> None:
        await peer.send(too_fast(**named))

    server.on("config", refuse)
    async with Conversation.connect(server.url) as conversation:
        with pytest.raises(ServerError, match="Slower"):
            await conversation.configure({"speed": 1.0})


@pytest.mark.parametrize("field", ["audio_chunk", "ping", "ack", "interrupt.played_ms"])
async def test_a_turn_is_not_blamed_for_another_message(server: ScriptedServer, field: str) -> None:
    async def complain(peer: Peer, message: Json) -> None:
        await peer.send(too_fast(field=field))
        await answer(peer, message)

    server.on("user_message", complain)
    async with Conversation.connect(server.url) as conversation:
        assert (await conversation.say("hi")).text == answer_to("hi")
        assert [error.field for error in conversation.errors] == [field]


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


async def test_settings_that_cannot_be_sent_are_refused_at_once(server: ScriptedServer) -> None:
    half = {"style": "\ud800"}
    with pytest.raises(BadInput, match="half a character"):
        await Conversation.connect(server.url, half)
    async with Conversation.connect(server.url) as conversation:
        with pytest.raises(BadInput, match="half a character"):
            await conversation.configure(half)
        assert await conversation.configure({"speed": 0.8})
    assert len(server.messages("config")) == len(server.peers) == 1


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
