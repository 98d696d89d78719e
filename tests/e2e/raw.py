"""A client that knows only the protocol: plain `websockets` and JSON.

It is not the Python client on purpose: what it checks, the protocol promises.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

Event = dict[str, Any]
SAY_AGAIN_S = 0.5
ASKED_AT = -1
"""`sent_at` of the questions after a turn that API Gateway's error frames are a reason for."""


@dataclass
class Reply:
    """Everything that came for one turn, each event once and in order.

    Attributes:
        first_seq: the number of the first event that is expected.
    """

    turn_id: str
    events: list[Event] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    first_seq: int = 1
    _early: dict[int, Event] = field(default_factory=dict)

    def take(self, event: Event) -> bool:
        """Take an event, which may have come before or too early; whether the turn ended."""
        if event["seq"] == 0:  # why, and that, the turn's function died
            self._add(event)
            return bool(event["type"] == "turn_end")
        following = self.first_seq + len(self.events)
        if event["seq"] >= following:
            self._early[event["seq"]] = event
        while (due := self._early.pop(following, None)) is not None:
            self._add(due)
            following += 1
        return bool(self.events) and self.events[-1]["type"] == "turn_end"

    def _add(self, event: Event) -> None:
        self.events.append(event)
        self.times.append(time.monotonic())

    @property
    def audio(self) -> bytes:
        """The audio of the reply, joined."""
        return b"".join(base64.b64decode(e["audio"]) for e in self.events if e["type"] == "audio")

    @property
    def text(self) -> str:
        """The text of the reply, joined from its deltas."""
        return "".join(e["delta"] for e in self.events if e["type"] == "reply_text")

    @property
    def transcript(self) -> str:
        """The final transcript of a spoken turn."""
        finals = [e["text"] for e in self.events if e["type"] == "transcript" and e["final"]]
        assert len(finals) == 1, f"expected one final transcript, got {finals}"
        return str(finals[0])

    @property
    def end(self) -> Event:
        """The turn's last event."""
        assert self.events[-1]["type"] == "turn_end", self.events[-1]
        return self.events[-1]

    @property
    def errors(self) -> list[Event]:
        """The errors among the turn's events."""
        return [event for event in self.events if event["type"] == "error"]

    def time_of(self, kind: str) -> float:
        """When the first event of this type arrived."""
        return next(t for e, t in zip(self.events, self.times, strict=True) if e["type"] == kind)

    def check_gapless(self) -> None:
        """Every event of a turn is numbered from 1 without a gap."""
        assert [e["seq"] for e in self.events] == list(range(1, len(self.events) + 1))


class RawClient:
    """One connection."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self._turns: dict[str, Reply] = {}
        self._ended: dict[str, asyncio.Event] = {}
        self._begun: dict[str, Event] = {}
        self._again: set[asyncio.Task[None]] = set()
        self._others: asyncio.Queue[Event] = asyncio.Queue()
        self._changed = asyncio.Event()
        self._counter = itertools.count(1)
        self.acknowledges = True
        self.faults: list[Event] = []
        """API Gateway's own error frames."""
        self.fault_times: list[float] = []
        self._received: Event | None = None
        self.ready: Event = {}
        self.audio_ended_at = 0.0

    async def send(self, **message: Any) -> None:
        """Send one message."""
        if message.get("type") in ("user_message", "audio_start"):
            self._begun[message["turn_id"]] = {"attempt": 1, **message}
        await self.socket.send(json.dumps(message))

    async def read(self) -> None:
        """Sort what arrives: numbered events to their turn, the rest to `other`."""
        async for frame in self.socket:
            event = json.loads(frame)
            if "type" not in event:
                await self._ask_after_all(event)
            elif event.get("sent_at") == ASKED_AT:
                continue
            elif "seq" in event:
                if self.reply(event["turn_id"]).take(event):
                    if self.acknowledges:
                        attempt = event.get("attempt", 1)
                        await self.send(
                            type="ack",
                            turn_id=event["turn_id"],
                            seq=event["seq"],
                            attempt=attempt,
                        )
                    self._ended[event["turn_id"]].set()
            else:
                self._others.put_nowait(event)
            self._changed.set()
            self._changed = asyncio.Event()

    async def _ask_after_all(self, fault: Event) -> None:
        """Do what a client does when API Gateway says that a request has failed: ask whether it ran
        a turn, and say again what was not answered."""
        self.faults.append(fault)
        self.fault_times.append(time.monotonic())
        if fault["message"] != "Internal server error":
            return
        for turn_id, began in self._begun.items():
            if self.has_ended(turn_id):
                continue
            attempt = {"attempt": began["attempt"]} if began["attempt"] else {}
            asked = {"turn_id": turn_id, "request_id": fault["requestId"], **attempt}
            await self.send(type="ping", sent_at=ASKED_AT, **asked)
            self._again.add(asyncio.create_task(self._say_again(turn_id)))

    async def _say_again(self, turn_id: str) -> None:
        await asyncio.sleep(SAY_AGAIN_S)
        if not self.reply(turn_id).events:
            await self.send(**self._begun[turn_id])

    async def stop(self, reading: asyncio.Task[None]) -> None:
        """End what is going on."""
        for task in (reading, *self._again):
            task.cancel()
        await asyncio.gather(reading, *self._again, return_exceptions=True)

    def reply(self, turn_id: str) -> Reply:
        """What has come so far for a turn."""
        self._ended.setdefault(turn_id, asyncio.Event())
        return self._turns.setdefault(turn_id, Reply(turn_id, first_seq=self._first(turn_id)))

    @property
    def replies(self) -> list[Reply]:
        """What has come for all turns, in the order in which they were begun."""
        return list(self._turns.values())

    def _first(self, turn_id: str) -> int:
        received = self._received or {}
        return int(received["seq"]) + 1 if received.get("turn_id") == turn_id else 1

    async def other(self, timeout_s: float = 10) -> Event:
        """The next event that belongs to no turn."""
        return await asyncio.wait_for(self._others.get(), timeout_s)

    @property
    def turn_ids(self) -> list[str]:
        """The turns of which something has come, or was waited for."""
        return list(self._turns)

    def no_others(self) -> bool:
        """Whether no unnumbered event is waiting."""
        return self._others.empty()

    def new_turn_id(self) -> str:
        """A turn id that this connection has not used."""
        return f"t{next(self._counter)}"

    async def init(self, **fields: Any) -> Event:
        """Open the session."""
        self._received = fields.get("received")
        await self.send(type="init", protocol=1, **fields)
        self.ready = await self.other()
        assert self.ready["type"] == "ready", self.ready
        return self.ready

    def forget(self, turn_id: str) -> None:
        """Forget what has come for a turn, before it is asked for again."""
        self._turns.pop(turn_id, None)
        self._ended.pop(turn_id, None)

    def has_ended(self, turn_id: str) -> bool:
        """Whether a turn's end has come."""
        self.reply(turn_id)
        return self._ended[turn_id].is_set()

    async def ended(self, turn_id: str, timeout_s: float = 60) -> Reply:
        """Wait for a turn's end."""
        reply = self.reply(turn_id)
        try:
            await asyncio.wait_for(self._ended[turn_id].wait(), timeout_s)
        except TimeoutError:
            shown = [{**e, "audio": "…"} if "audio" in e else e for e in reply.events]
            raise AssertionError(f"no turn_end for {turn_id}; events: {shown}") from None
        return reply

    async def has(self, turn_id: str, kind: str, timeout_s: float = 20) -> None:
        """Wait for the first event of a type in a turn."""
        await self.until(
            turn_id, lambda reply: any(e["type"] == kind for e in reply.events), timeout_s
        )

    async def until(
        self, turn_id: str, reached: Callable[[Reply], bool], timeout_s: float = 20
    ) -> Reply:
        """Wait until what has come for a turn is as far as that."""
        async with asyncio.timeout(timeout_s):
            while not reached(reply := self.reply(turn_id)):
                await self._changed.wait()
        return reply

    async def refused(self, frame: str) -> Event:
        """Send what is no good message; the only answer, and the connection lives."""
        await self.socket.send(frame)
        error = await self.other()
        await self.send(type="ping", sent_at=1)
        after = await self.other()
        assert after["type"] == "pong", f"one answer, not more: {after}"
        return error

    async def say(self, text: str, turn_id: str | None = None) -> Reply:
        """Hold a typed turn."""
        turn = turn_id or self.new_turn_id()
        await self.send(type="user_message", turn_id=turn, text=text)
        return await self.ended(turn)

    async def speak(
        self,
        pcm: bytes,
        turn_id: str | None = None,
        *,
        chunk_ms: int = 400,
        speed: float = 1.0,
    ) -> Reply:
        """Hold a spoken turn: 16 kHz PCM, sent in real time or `speed` times quicker.

        The chunks are larger than a client's: how many come at once is how many environments
        start. It says that it tells of pauses, and tells of none: no reply begins before the end.
        """
        turn = turn_id or self.new_turn_id()
        chunks = pcm_chunks(pcm, chunk_ms)
        await self.send(type="audio_start", turn_id=turn, format="pcm_16000", pauses=True)
        began = time.monotonic()
        for seq, chunk in enumerate(chunks, 1):
            due = began + seq * chunk_ms / 1000 / speed
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await self.chunk(turn, seq, chunk)
        self.audio_ended_at = time.monotonic()
        await self.send(type="audio_end", turn_id=turn, chunks=len(chunks))
        return await self.ended(turn)

    async def chunk(self, turn_id: str, seq: int, pcm: bytes) -> None:
        """Send one chunk of audio."""
        audio = base64.b64encode(pcm).decode()
        await self.send(type="audio_chunk", turn_id=turn_id, seq=seq, audio=audio)


def pcm_chunks(pcm: bytes, chunk_ms: int = 100) -> list[bytes]:
    """16 kHz PCM in chunks."""
    size = 32 * chunk_ms
    return [pcm[i : i + size] for i in range(0, len(pcm), size)]


@asynccontextmanager
async def opened(
    url: str, *, init: bool = True, token: str | None = None, **fields: Any
) -> AsyncIterator[RawClient]:
    """A connection, with its session unless that is not wanted."""
    offered = [Subprotocol("parley"), Subprotocol(token)] if token is not None else None
    async with connect(url, max_size=None, subprotocols=offered) as socket:
        client = RawClient(socket)
        reading = asyncio.create_task(client.read())
        try:
            if init:
                await client.init(**fields)
            yield client
        finally:
            await client.stop(reading)
