"""Turns of the client that run again: attempts, and messages that a gateway lost."""

from __future__ import annotations

import asyncio
import base64
import itertools
from collections.abc import AsyncIterator

import pytest

from parley_client import (
    AnswerTimeout,
    BadInput,
    Conversation,
    ReplyText,
    Restarted,
    ServerError,
    Timeouts,
    TurnEnd,
    TurnFailed,
    turns,
)
from scripted_server import (
    QUICK,
    Json,
    Peer,
    ScriptedServer,
    answer,
    answer_to,
    reply_events,
    tone,
    turn_end,
)


def again(events: list[Json], attempt: int) -> list[Json]:
    """The events as those of another attempt."""
    return [{**event, "attempt": attempt} for event in events]


def failed_end(turn_id: str, seq: int, text: str = "", *, retryable: bool = True) -> Json:
    return turn_end(turn_id, seq, text, reason="failed", code="reply_failed", retryable=retryable)


async def fail_first(peer: Peer, message: Json) -> None:
    """Handler for `user_message`: the first attempt says a word and fails."""
    turn_id = message["turn_id"]
    if message["attempt"] == 1:
        await peer.send(
            {"type": "reply_text", "turn_id": turn_id, "seq": 1, "delta": "It is"},
            failed_end(turn_id, 2, "It is"),
        )
    else:
        events = reply_events(turn_id, answer_to(message["text"]))
        await peer.send(*again(events, message["attempt"]))


async def test_a_turn_that_failed_is_tried_again_and_the_part_before_is_void(
    server: ScriptedServer,
) -> None:
    server.on("user_message", fail_first)
    async with Conversation.connect(server.url) as conversation:
        turn = conversation.say("noon?")
        with pytest.raises(TurnFailed, match=r"reply_failed.* Try it again") as failed:
            await turn
        assert (failed.value.code, failed.value.retryable) == ("reply_failed", True)
        assert failed.value.reply.text == "It is"
        reply = await turn.retry()
        assert reply.text == answer_to("noon?")
        assert reply.timings.total_ms is not None
        assert turn.attempt == 2
        kinds = [type(event) for event in [event async for event in turn]]
        assert kinds[-1] is TurnEnd
        assert Restarted not in kinds
    assert [m["attempt"] for m in server.messages("user_message")] == [1, 2]
    assert len({m["turn_id"] for m in server.messages("user_message")}) == 1
    assert [ack["seq"] for ack in server.messages("ack")] == [2, turn.received_seq]


async def test_an_end_says_whether_to_try_again_better_than_the_error_before_it(
    server: ScriptedServer,
) -> None:
    async def fail(peer: Peer, message: Json) -> None:
        turn_id = message["turn_id"]
        await peer.send(
            {
                "type": "error",
                "code": "reply_failed",
                "message": "The model went away.",
                "retryable": True,
                "turn_id": turn_id,
                "seq": 1,
            },
            failed_end(turn_id, 2, retryable=False),
        )

    server.on("user_message", fail)
    async with Conversation.connect(server.url) as conversation:
        with pytest.raises(TurnFailed, match=r"The model went away\.") as failed:
            await conversation.say("noon?")
        assert not failed.value.retryable


async def test_a_spoken_turn_is_tried_again_from_the_audio_it_had(server: ScriptedServer) -> None:
    heard: dict[int, bytearray] = {1: bytearray(), 2: bytearray()}
    attempt = 0

    async def begin(peer: Peer, message: Json) -> None:
        nonlocal attempt
        attempt = message["attempt"]

    async def hear(peer: Peer, message: Json) -> None:
        heard[attempt] += base64.b64decode(message["audio"])

    async def end(peer: Peer, message: Json) -> None:
        turn_id = message["turn_id"]
        if attempt == 1:
            await peer.send(failed_end(turn_id, 1))
        else:
            await peer.send(*again(reply_events(turn_id, "Heard."), 2))

    server.on("audio_start", begin)
    server.on("audio_chunk", hear)
    server.on("audio_end", end)
    pcm = tone("the quick brown fox")
    async with Conversation.connect(server.url) as conversation:
        turn = conversation.speak(pcm, format="pcm_16000", real_time=False)
        with pytest.raises(TurnFailed):
            await turn
        assert (await turn.retry()).text == "Heard."
    assert heard[1] == heard[2] == pcm
    starts = server.messages("audio_start")
    assert starts[1] == {**starts[0], "attempt": 2}


async def test_a_turn_that_fails_while_the_user_speaks_is_tried_again_with_all_of_it(
    server: ScriptedServer,
) -> None:
    heard: dict[int, bytes] = {}
    failed, more = asyncio.Event(), asyncio.Event()

    async def on_chunk(peer: Peer, message: Json) -> None:
        heard[message["seq"]] = base64.b64decode(message["audio"])
        if message["seq"] == 2 and not failed.is_set():
            failed.set()
            await peer.send(failed_end(message["turn_id"], 1))

    async def on_end(peer: Peer, message: Json) -> None:
        events = reply_events(message["turn_id"], f"{message['chunks']} chunks")
        await peer.send(*again(events, 2))

    server.on("audio_chunk", on_chunk)
    server.on("audio_end", on_end)
    whole = tone("a" * 50, lead_ms=0)

    async def microphone() -> AsyncIterator[bytes]:
        yield whole[: 3200 * 2]
        await more.wait()
        yield whole[3200 * 2 :]

    async with Conversation.connect(server.url) as conversation:
        turn = conversation.speak(microphone(), real_time=False, chunk_ms=100)
        with pytest.raises(TurnFailed):
            await turn
        turn.retry()  # before anybody else has heard of the failure
        await asyncio.sleep(0)
        more.set()
        reply = await turn
    assert reply.text == "5 chunks"
    assert b"".join(heard[seq] for seq in sorted(heard)) == whole


async def test_a_retry_that_a_connection_loses_is_sent_again_as_the_same_attempt(
    server: ScriptedServer,
) -> None:
    async def lose_second(peer: Peer, message: Json) -> None:
        if message["attempt"] == 2 and peer.number == 1:
            await peer.cut()
        else:
            await fail_first(peer, message)

    server.on("user_message", lose_second)
    async with Conversation.connect(server.url, reconnect=QUICK) as conversation:
        turn = conversation.say("noon?")
        with pytest.raises(TurnFailed):
            await turn
        assert (await turn.retry()).text == answer_to("noon?")
    assert [m["attempt"] for m in server.messages("user_message")] == [1, 2, 2]
    assert server.messages("init")[1]["received"] == {
        "turn_id": turn.turn_id,
        "seq": 0,
        "attempt": 2,
    }


async def test_events_of_an_older_attempt_are_dropped(server: ScriptedServer) -> None:
    async def mixed(peer: Peer, message: Json) -> None:
        turn_id = message["turn_id"]
        if message["attempt"] == 1:
            await peer.send(failed_end(turn_id, 1))
            return
        new = again(reply_events(turn_id, "One two"), 2)
        old = reply_events(turn_id, "Stale words come late")
        for pair in zip(old, new, strict=False):
            await peer.send(*pair)

    server.on("user_message", mixed)
    async with Conversation.connect(server.url) as conversation:
        turn = conversation.say("count")
        with pytest.raises(TurnFailed):
            await turn
        assert (await turn.retry()).text == "One two"


async def test_that_a_function_died_may_be_told_again_while_the_next_attempt_begins(
    server: ScriptedServer,
) -> None:
    """Lambda's failure destination tells of it, and so does the answer to a question."""

    async def die_first(peer: Peer, message: Json) -> None:
        turn_id, attempt = message["turn_id"], message["attempt"]
        error = {"code": "internal", "message": "It broke off.", "retryable": True}
        died: list[Json] = [
            {"type": "error", "turn_id": turn_id, "seq": 0, **error},
            turn_end(turn_id, 0, "", reason="failed", code="internal", retryable=True),
        ]
        await peer.send(*died)
        if attempt == 2:
            await peer.send(*again(reply_events(turn_id, answer_to(message["text"])), 2))

    server.on("user_message", die_first)
    async with Conversation.connect(server.url) as conversation:
        turn = conversation.say("noon?")
        with pytest.raises(TurnFailed, match=r"It broke off\."):
            await turn
        assert (await turn.retry()).text == answer_to("noon?")
    assert [m["attempt"] for m in server.messages("user_message")] == [1, 2]


async def test_a_newer_attempt_makes_the_running_one_void(server: ScriptedServer) -> None:
    begun = asyncio.Event()

    async def begin_twice(peer: Peer, message: Json) -> None:
        turn_id = message["turn_id"]
        await peer.send({"type": "reply_text", "turn_id": turn_id, "seq": 1, "delta": "Perh"})
        await begun.wait()
        await peer.send(*again(reply_events(turn_id, "Certainly so"), 2))

    server.on("user_message", begin_twice)
    async with Conversation.connect(server.url) as conversation:
        turn = conversation.say("sure?")
        events: list[object] = []
        async for event in turn:
            events.append(event)
            begun.set()
        reply = await turn
    assert reply.text == "Certainly so"
    assert isinstance(events[0], ReplyText)
    assert events[1] == Restarted(turn.turn_id, 2)
    deltas = [event.delta for event in events[2:] if isinstance(event, ReplyText)]
    assert deltas == ["Certainly", " so"]


async def test_a_refused_turn_can_be_sent_again(server: ScriptedServer) -> None:
    async def refuse_first(peer: Peer, message: Json) -> None:
        if message["attempt"] > 1:
            await fail_first(peer, message)
            return
        error = {"code": "rate_limited", "message": "Slower.", "retryable": True}
        await peer.send({"type": "error", "turn_id": message["turn_id"], **error})

    server.on("user_message", refuse_first)
    async with Conversation.connect(server.url) as conversation:
        turn = conversation.say("noon?")
        with pytest.raises(TurnFailed, match="Slower"):
            await turn
        assert (await turn.retry()).text == answer_to("noon?")


async def test_only_a_turn_that_failed_can_be_tried_again(server: ScriptedServer) -> None:
    async with Conversation.connect(server.url) as conversation:
        turn = conversation.say("hello")
        with pytest.raises(BadInput, match="Only a turn that has failed"):
            turn.retry()
        await turn
        with pytest.raises(BadInput, match="Only a turn that has failed"):
            turn.retry()


async def test_whoever_waits_for_a_turn_that_is_tried_again_gets_the_new_reply(
    server: ScriptedServer,
) -> None:
    server.on("user_message", fail_first)
    async with Conversation.connect(server.url) as conversation:
        turn = conversation.say("noon?")

        async def retrying() -> str:
            try:
                return (await turn).text
            except TurnFailed:
                return (await turn.retry()).text

        async def waiting() -> str:
            return (await turn).text

        texts = await asyncio.gather(retrying(), waiting())
    assert list(texts) == [answer_to("noon?")] * 2


RESEND_AFTER_S = 0.05
"""The usual wait would hold up each of these tests."""


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a gateway could not deliver is sent again after `RESEND_AFTER_S`."""
    monkeypatch.setattr(turns, "RESEND_AFTER_S", RESEND_AFTER_S)


TIMED_OUT = "Endpoint request timed out"
GATEWAY_ERRORS = [
    "Internal server error",
    "Forbidden",
    "Too Many Requests",
]


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("said", GATEWAY_ERRORS)
async def test_a_message_that_the_gateway_could_not_deliver_is_sent_again(
    server: ScriptedServer, said: str
) -> None:
    async def fail_once(peer: Peer, message: Json) -> None:
        if len(server.messages("user_message")) == 1:
            await peer.send({"message": said, "connectionId": "c=", "requestId": "r="})
        else:
            await answer(peer, message)

    server.on("user_message", fail_once)
    async with Conversation.connect(server.url) as conversation:
        assert (await conversation.say("hello")).text == answer_to("hello")
    first, second = server.messages("user_message")
    assert first == second
    at_s = [got.at_s for got in server.got if got.message["type"] == "user_message"]
    assert at_s[1] - at_s[0] >= RESEND_AFTER_S


@pytest.mark.usefixtures("soon")
async def test_a_request_that_timed_out_says_nothing_of_its_turn(server: ScriptedServer) -> None:
    async def time_out(peer: Peer, message: Json) -> None:
        await peer.send({"message": TIMED_OUT, "connectionId": "c=", "requestId": "r="})
        # Nothing tells that a turn is not sent again: the time in which it would be must pass.
        await asyncio.sleep(2 * RESEND_AFTER_S)
        await answer(peer, message)

    server.on("user_message", time_out)
    async with Conversation.connect(server.url) as conversation:
        assert (await conversation.say("hello")).text == answer_to("hello")
        assert list(conversation.errors) == []
    assert len(server.messages("user_message")) == 1
    assert server.messages("ping") == []


@pytest.mark.usefixtures("soon")
async def test_after_a_failed_request_the_server_is_asked_at_once_for_each_turn_it_may_have_run(
    server: ScriptedServer,
) -> None:
    async def die(peer: Peer, message: Json) -> None:
        await peer.send(reply_events(message["turn_id"], "One two")[0])
        await peer.send(
            {"message": "Internal server error", "connectionId": "c", "requestId": "r="}
        )

    async def end(peer: Peer, message: Json) -> None:
        died = {"seq": 0, "turn_id": message["turn_id"], "reason": "failed", "text": ""}
        more = {"code": "internal", "retryable": True, "metrics": {}}
        attempt = message.get("attempt", 1)
        await peer.send({"type": "turn_end", **died, **more, "attempt": attempt})

    server.on("user_message", die)
    server.on("ping", end)
    async with Conversation.connect(server.url) as conversation:
        turn = conversation.say("count")
        for _ in range(2):
            with pytest.raises(TurnFailed) as failed:
                await turn
            assert failed.value.retryable
            turn = turn.retry() if turn.attempt == 1 else turn
    asked = [{k: v for k, v in ping.items() if k != "sent_at"} for ping in server.messages("ping")]
    first = {"type": "ping", "turn_id": turn.turn_id, "request_id": "r="}
    assert asked == [first, {**first, "attempt": 2}]


async def test_questions_that_fail_too_are_not_asked_without_end(server: ScriptedServer) -> None:
    failed = {"message": "Internal server error", "connectionId": "c", "requestId": "r="}

    async def begin(peer: Peer, message: Json) -> None:
        events = reply_events(message["turn_id"], "One two")
        # As many as there would be if each question failed, and that were asked about again.
        await peer.send(events[0], *[failed] * 20, *events[1:])

    server.on("user_message", begin)
    async with Conversation.connect(server.url) as conversation:
        assert (await conversation.say("count")).text == "One two"
        await conversation.configure({"speed": 1.1})  # what was asked before has been sent before
    asked = [ping for ping in server.messages("ping") if "request_id" in ping]
    assert len(asked) == 8


@pytest.mark.usefixtures("soon")
async def test_after_four_more_times_the_gateways_error_is_the_turns(
    server: ScriptedServer,
) -> None:
    async def crash(peer: Peer, message: Json) -> None:
        await peer.send({"message": "Internal server error", "connectionId": "c", "requestId": "r"})

    server.on("user_message", crash)
    async with Conversation.connect(server.url) as conversation:
        with pytest.raises(ServerError, match="Internal server error") as failed:
            await conversation.say("hello")
        assert failed.value.code == "gateway_error"
    at_s = [got.at_s for got in server.got if got.message["type"] == "user_message"]
    waits_s = [after - before for before, after in itertools.pairwise(at_s)]
    assert len(waits_s) == 4
    assert all(s >= RESEND_AFTER_S * 2**n for n, s in enumerate(waits_s))


@pytest.mark.usefixtures("soon")
async def test_a_gateway_error_does_not_send_a_reply_that_has_begun_again(
    server: ScriptedServer,
) -> None:
    async def begin(peer: Peer, message: Json) -> None:
        events = reply_events(message["turn_id"], "One two")
        await peer.send(events[0], {"message": "Internal server error", "connectionId": "c"})
        # Nothing tells that a turn is not sent again: the time in which it would be must pass.
        await asyncio.sleep(2 * RESEND_AFTER_S)
        await peer.send(*events[1:])

    server.on("user_message", begin)
    async with Conversation.connect(server.url) as conversation:
        assert (await conversation.say("count")).text == "One two"
        assert [error.code for error in conversation.errors] == ["gateway_error"]
    assert len(server.messages("user_message")) == 1
    assert len(server.messages("user_message")) == 1


@pytest.mark.usefixtures("soon")
async def test_speech_that_the_gateway_lost_is_sent_again(server: ScriptedServer) -> None:
    async def lose_start(peer: Peer, message: Json) -> None:
        if len(server.messages("audio_start")) == 1:
            await peer.send({"message": "Internal server error", "connectionId": "c"})

    async def reply(peer: Peer, message: Json) -> None:
        if len(server.messages("audio_start")) == 2:
            await peer.send(*reply_events(message["turn_id"], "Heard."))

    server.on("audio_start", lose_start)
    server.on("audio_end", reply)
    async with Conversation.connect(server.url) as conversation:
        turn = conversation.speak(tone("the quick brown fox"), real_time=False)
        assert (await turn).text == "Heard."
    count = server.messages("audio_end")[0]["chunks"]
    seqs = [m["seq"] for m in server.messages("audio_chunk")]
    assert seqs == [*range(1, count + 1)] * 2


@pytest.mark.usefixtures("soon")
async def test_speech_too_is_sent_again_four_times_at_most(server: ScriptedServer) -> None:
    async def crash(peer: Peer, message: Json) -> None:
        await peer.send({"message": "Internal server error", "connectionId": "c"})

    server.on("audio_start", crash)
    timeouts = Timeouts(answer_s=25 * RESEND_AFTER_S)
    async with Conversation.connect(server.url, timeouts=timeouts) as conversation:
        with pytest.raises(AnswerTimeout, match="Internal server error"):
            await conversation.speak(tone("fox"), real_time=False)
    assert len(server.messages("audio_start")) == 5
