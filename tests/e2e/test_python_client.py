"""The Python client against the whole stack, over a network that breaks."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from parley.audio.mulaw import decode_mulaw
from parley_client import (
    Audio,
    Conversation,
    Notice,
    Reconnect,
    ReplyText,
    Restarted,
    SessionReplaced,
    StateChanged,
)
from parley_client.mulaw import encode_mulaw
from parley_client.turn import Turn
from tests.e2e.raw import opened
from tests.e2e.stack import Stack

LONG = "Tell me a story about the sea."
QUICK = Reconnect(base_s=0.02, cap_s=0.1, attempts=20, stable_s=0.0)


class Network:
    """A TCP relay to the stack whose connections can be cut."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._pipes: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._more = asyncio.Event()
        self._passed_bytes = 0
        self.connections = 0

    async def __aenter__(self) -> Network:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        return f"ws://127.0.0.1:{port}{self._target.path}"

    def cut(self) -> None:
        """Reset every connection."""
        for pipe in self._pipes:
            pipe.transport.abort()
        self._pipes.clear()
        self._passed_bytes = 0

    async def passed(self, size_bytes: int) -> None:
        """Wait until so much has passed since the last cut, both ways together."""
        while self._passed_bytes < size_bytes:
            self._more.clear()
            await self._more.wait()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        up, down = await asyncio.open_connection(self._target.hostname, self._target.port)
        self._pipes |= {writer, down}
        for source, sink in ((reader, down), (up, writer)):
            task = asyncio.create_task(self._pump(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(4_096):
                sink.write(data)
                await sink.drain()
                self._passed_bytes += len(data)
                self._more.set()
        sink.close()


@pytest.fixture
async def network(stack: Stack) -> AsyncIterator[Network]:
    async with Network(stack.url) as relay:
        yield relay


async def cut_now_and_then(network: Network, turn: Turn, rng: random.Random) -> None:
    """Cut ever again when something has passed: a slow machine's client is not away for longer.

    Fewer cuts than attempts: what is repeated after a cut may be more than passes until the next.
    """
    for _ in range(QUICK.attempts // 2):
        await network.passed(rng.randrange(5_000, 60_000))
        if turn.done:
            return
        network.cut()


@contextlib.asynccontextmanager
async def cuts(network: Network, turn: Turn, seed: int) -> AsyncIterator[None]:
    """While this lasts, the connection is cut now and then."""
    cutting = asyncio.create_task(cut_now_and_then(network, turn, random.Random(seed)))
    try:
        yield
    finally:
        cutting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await cutting


def spoken(stack: Stack) -> bytes:
    """All audio of the last reply, as the synthesizer sent it."""
    record = [r for r in stack.elevenlabs.requests() if "multi-stream" in r["path"]][-1]
    return stack.elevenlabs.audio(record["id"], "out")


@pytest.mark.parametrize("seed", range(2))
async def test_a_typed_turn_over_a_network_that_keeps_breaking_loses_nothing(
    stack: Stack, network: Network, seed: int
) -> None:
    stack.llm.put(delays={"llm_token_ms": 40})
    async with Conversation.connect(network.url, reconnect=QUICK) as conversation:
        turn = conversation.say(LONG)
        async with cuts(network, turn, seed):
            events = [event async for event in turn]
            reply = await turn
    assert network.connections > 2
    assert not any(isinstance(event, Restarted) for event in events)
    assert [event.seq for event in events] == [*range(1, len(events) + 1)]
    assert "".join(e.delta for e in events if isinstance(e, ReplyText)) == reply.text
    assert reply.audio == spoken(stack)


async def test_a_spoken_turn_over_a_network_that_keeps_breaking_is_heard_whole(
    stack: Stack, network: Network, speech: Callable[[str], bytes]
) -> None:
    stack.llm.put(delays={"llm_token_ms": 20})
    pcm = speech("What is the tallest mountain?")
    async with Conversation.connect(network.url, reconnect=QUICK) as conversation:
        turn = conversation.speak(pcm, companding=True)
        async with cuts(network, turn, seed=5):
            reply = await turn
    assert network.connections > 2
    record = [r for r in stack.elevenlabs.requests() if "speech-to-text" in r["path"]][-1]
    heard = decode_mulaw(encode_mulaw(pcm))  # as it was coded on the way
    assert stack.elevenlabs.audio(record["id"], "in").rstrip(b"\0") == heard.rstrip(b"\0")
    assert reply.transcript
    assert reply.audio == spoken(stack)


async def test_rotation_is_not_noticed_and_history_goes_on(stack: Stack, network: Network) -> None:
    told: list[Notice] = []
    rotating = Reconnect(rotate_after_s=0.5)
    async with Conversation.connect(
        network.url, reconnect=rotating, on_notice=told.append
    ) as conversation:
        await conversation.say("My name is Ada.")
        async with asyncio.timeout(20):
            while network.connections < 2:
                await asyncio.sleep(0.05)
        reply = await conversation.say("What is my name?")
        assert "Ada" in reply.text
        states = [notice.state for notice in told if isinstance(notice, StateChanged)]
    assert states == ["connecting", "ready"]


async def test_a_session_taken_over_by_another_client_is_left_to_it(stack: Stack) -> None:
    async with Conversation.connect(stack.url, reconnect=QUICK) as conversation:
        turn = conversation.say(LONG)
        await anext(aiter(turn))
        again: dict[str, Any] = {
            "session_id": conversation.session_id,
            "resume_token": conversation.resume_token,
        }
        async with opened(stack.url, **again) as other:
            with pytest.raises(SessionReplaced):
                await turn
            assert conversation.closed
            assert (await other.ended(turn.turn_id)).end["reason"] == "completed"


async def test_an_interruption_without_a_connection_stops_the_reply_when_there_is_one(
    stack: Stack, network: Network
) -> None:
    stack.llm.put(delays={"llm_token_ms": 100})
    async with Conversation.connect(network.url, reconnect=QUICK) as conversation:
        turn = conversation.say(LONG)
        async for event in turn:
            if isinstance(event, Audio):
                break
        network.cut()
        await turn.interrupt(200)
        reply = await turn
    assert reply.reason == "interrupted"
    assert reply.heard is not None
    assert len(reply.heard) < len(reply.text)
