"""Speech and interruptions across a connection that breaks: nothing is said twice or lost."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator

from parley_client import (
    Audio,
    Conversation,
    TurnEnd,
)
from scripted_server import (
    QUICK,
    Json,
    Peer,
    ScriptedServer,
    audio_event,
    reply_events,
    tone,
    turn_end,
)


class Ears:
    """Hears a spoken turn over several connections; says what is missing."""

    def __init__(self, server: ScriptedServer, deaf_to: set[int]) -> None:
        self.heard: dict[int, bytes] = {}
        self._deaf_to = deaf_to
        server.on("audio_chunk", self.chunk)
        server.on("audio_end", self.end)

    async def chunk(self, peer: Peer, message: Json) -> None:
        if peer.number == 1 and message["seq"] in self._deaf_to:
            return
        self.heard[message["seq"]] = base64.b64decode(message["audio"])

    async def end(self, peer: Peer, message: Json) -> None:
        turn_id, count = message["turn_id"], message["chunks"]
        missing = [seq for seq in range(1, count + 1) if seq not in self.heard]
        if peer.number == 1:
            await peer.cut()
        elif missing:
            await peer.send(
                {
                    "type": "error",
                    "code": "audio_gap",
                    "message": "Some audio is missing.",
                    "retryable": True,
                    "turn_id": turn_id,
                    "missing": missing,
                }
            )
        else:
            text = f"{sum(map(len, self.heard.values()))} bytes"
            await peer.send(
                {"type": "transcript", "turn_id": turn_id, "seq": 1, "text": text, "final": True},
                *reply_events(turn_id, "Heard.", first_seq=2),
            )


async def test_speech_whose_end_was_lost_is_sent_again_with_its_recent_chunks(
    server: ScriptedServer,
) -> None:
    ears = Ears(server, deaf_to={2, 3})
    pcm = tone("the quick brown fox jumps")
    async with Conversation.connect(server.url, reconnect=QUICK) as conversation:
        reply = await conversation.speak(pcm, real_time=False)
    assert b"".join(ears.heard[seq] for seq in sorted(ears.heard)) == pcm
    assert reply.transcript == f"{len(pcm)} bytes"
    kinds = server.kinds(2)
    assert kinds[:2] == ["init", "audio_start"]
    assert kinds.index("audio_end") > kinds.index("audio_chunk")
    assert server.messages("audio_start")[1] == {
        **server.messages("audio_start")[0],
        "attempt": 1,
    }


async def test_speech_goes_on_while_there_is_no_connection(server: ScriptedServer) -> None:
    ears = Ears(server, deaf_to=set())
    cut = asyncio.Event()

    async def microphone() -> AsyncIterator[bytes]:
        yield b"\1\0" * 1_600
        await server.wait_for("audio_chunk")
        await server.peers[0].cut()
        cut.set()
        yield b"\2\0" * 1_600
        yield b"\3\0" * 1_600
        await server.wait_for("audio_chunk", 3, connection=2)
        yield b"\4\0" * 1_600

    async with Conversation.connect(server.url, reconnect=QUICK) as conversation:
        await conversation.speak(microphone(), real_time=False, chunk_ms=100)
    assert [ears.heard[seq][0] for seq in (1, 2, 3, 4)] == [1, 2, 3, 4]
    assert [m["seq"] for m in server.messages("audio_chunk", connection=1)] == [1]
    assert server.kinds(2)[:2] == ["init", "audio_start"]


async def test_an_interruption_while_there_is_no_connection_is_kept(
    server: ScriptedServer,
) -> None:
    gate = asyncio.Event()

    async def begin(peer: Peer, message: Json) -> None:
        if peer.number == 1:
            await peer.send(*reply_events(message["turn_id"], "One two three")[:1])

    async def slow(peer: Peer, message: Json) -> None:
        if peer.number > 1:
            await gate.wait()
        await server.ready(peer, message)

    async def stop(peer: Peer, message: Json) -> None:
        await peer.send(turn_end(message["turn_id"], 2, "One", reason="interrupted", heard=""))

    server.on("user_message", begin)
    server.on("init", slow)
    server.on("interrupt", stop)
    async with Conversation.connect(server.url, reconnect=QUICK) as conversation:
        turn = conversation.say("count")
        await anext(aiter(turn))
        await server.peers[0].cut()
        await server.wait_for("init", connection=2)
        await turn.interrupt(123.4)
        gate.set()
        reply = await turn
    assert reply.reason == "interrupted"
    [sent, *_] = server.messages("interrupt")
    assert sent == {"type": "interrupt", "turn_id": turn.turn_id, "played_ms": 123.4}


async def test_an_interruption_that_may_be_lost_is_sent_again(server: ScriptedServer) -> None:
    async def begin(peer: Peer, message: Json) -> None:
        if peer.number == 1:
            await peer.send(*reply_events(message["turn_id"], "One two three")[:1])

    async def stop(peer: Peer, message: Json) -> None:
        if peer.number == 1:
            await peer.cut()
        else:
            await peer.send(turn_end(message["turn_id"], 2, "One", reason="interrupted"))

    server.on("user_message", begin)
    server.on("interrupt", stop)
    async with Conversation.connect(server.url, reconnect=QUICK) as conversation:
        turn = conversation.say("count")
        await anext(aiter(turn))
        await turn.interrupt(50)
        assert (await turn).reason == "interrupted"
    assert [m["played_ms"] for m in server.messages("interrupt")] == [50, 50]


async def test_an_interruption_of_a_reply_that_has_ended_survives_the_connection(
    server: ScriptedServer,
) -> None:
    async def lose_first(peer: Peer, message: Json) -> None:
        if peer.number == 1:
            await peer.cut()

    server.on("interrupt", lose_first)
    async with Conversation.connect(server.url, reconnect=QUICK) as conversation:
        turn = conversation.say("hello")
        await turn
        await conversation.interrupt(played_ms=120)
        sent = await server.wait_for("interrupt", connection=2)
    assert sent == {"type": "interrupt", "turn_id": turn.turn_id, "played_ms": 120}


async def test_audio_that_was_cut_off_by_an_interruption_leaves_no_gap(
    server: ScriptedServer,
) -> None:
    async def resume(peer: Peer, message: Json) -> None:
        if peer.number == 1:
            await peer.send(audio_event(message["turn_id"], 1, tone("One")))
            await peer.cut()
        else:
            turn_id = message["turn_id"]
            empty = {**audio_event(turn_id, 2, b""), "start_ms": 50}
            await peer.send(empty, turn_end(turn_id, 3, "One two", reason="interrupted"))

    server.on("user_message", resume)
    async with Conversation.connect(server.url, reconnect=QUICK) as conversation:
        turn = conversation.say("count")
        events = [event async for event in turn]
        reply = await turn
    assert [type(event) for event in events] == [Audio, Audio, TurnEnd]
    assert reply.audio == tone("One")
